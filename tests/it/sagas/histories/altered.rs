//! The histories tell when a version is altered: its order, its kinds, and what it keeps.

use super::super::former::definitions;
use super::{decide_anew, load_histories, version_of};
use crate::support::counts::report_counts;
use ocim::processes::world::Limits;
use ocim_domain::saga::{Kind, Plan, StepPlan};
use std::collections::BTreeMap;

const NONE: Kind = Kind::NoUndo(String::new());

/// Tables that are wrong in one place each: two steps in another order, one left out, one that is
/// no more undone, one kept from another step on, another point of no return.
fn altered_plans(plan: &Plan) -> Vec<(String, Plan)> {
    let steps: Vec<StepPlan> = plan.steps().cloned().collect();
    let mut all = vec![];
    let mut alter = |what: String, change: &dyn Fn(&mut Vec<StepPlan>)| {
        let mut altered = steps.clone();
        change(&mut altered);
        all.push((what, Plan::new(altered)));
    };
    for (at, step) in steps.iter().enumerate() {
        let path = &step.path;
        alter(format!("without {path}"), &|steps| drop(steps.remove(at)));
        if at + 1 < steps.len() {
            alter(format!("{path} later"), &|steps| steps.swap(at, at + 1));
        }
        match &step.kind {
            Kind::Compensable { keep_after } => {
                let kind = Kind::NoUndo("no more".to_owned());
                alter(format!("{path} not undone"), &|steps| steps[at].kind = kind.clone());
                let Some((from, reason)) = keep_after else { continue };
                let from = steps.iter().position(|step| step.path == *from).unwrap();
                for other in [from - 1, from + 1] {
                    let keep_after = Some((steps[other].path.clone(), reason.clone()));
                    let kind = Kind::Compensable { keep_after };
                    alter(format!("{path} kept after {other}"), &|steps| {
                        steps[at].kind = kind.clone();
                    });
                }
            }
            Kind::Pivot(_) => {
                let others = [at.checked_sub(1), Some(at + 1).filter(|it| *it < steps.len())];
                for other in others.into_iter().flatten() {
                    alter(format!("the pivot at {other}"), &|steps| {
                        let kind = std::mem::replace(&mut steps[at].kind, NONE);
                        steps[other].kind = kind;
                    });
                }
            }
            Kind::Retryable(_) | Kind::NoUndo(_) => {}
        }
    }
    all
}

#[test]
fn a_version_whose_steps_are_altered_is_noticed() {
    let histories = load_histories();
    let mut noticed = BTreeMap::new();
    for definition in definitions() {
        let own = histories
            .values()
            .filter(|lines| version_of(lines) == (definition.name.to_owned(), definition.version));
        let own: Vec<_> = own.collect();
        for (what, plan) in altered_plans(&definition.plan(&Limits::default())) {
            let (name, version) = (definition.name, definition.version);
            let told = own.iter().find_map(|lines| decide_anew(lines, &plan).err());
            let told = told.unwrap_or_else(|| panic!("{name} {version}, {what}: nobody noticed"));
            assert!(told.contains("bump the version") || told.contains("not at rest"), "{told}");
            *noticed.entry(format!("{name} v{version}")).or_default() += 1;
        }
    }
    report_counts("altered definitions", &noticed);
}
