//! Random processes, random trouble: what is left is what a model of the outside allows.
//!
//! A case is a process of up to eight steps (in a row and beside each other, of every kind) and all
//! that happens to a run of it: what each call comes to, crashes and outages at appends, cancels,
//! a deadline, a node that is left behind and wakes up, people who help. The same cases are drawn
//! each time; one that fails is made as small as it still fails, and printed.

mod case;
mod invariants;
mod outside;
mod play;
mod table;

pub(crate) use play::{Fate, play};

use crate::support::counts::report_count;
pub(crate) use case::Case;
use case::{Row, Turn, any_case};
use ocim_domain::saga::ErrorClass;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

const CASES: u32 = 500;

/// Draws the same cases each time.
fn drawer(config: Config) -> TestRunner {
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// The first cases of all.
pub(crate) fn draw(count: usize) -> Vec<Case> {
    let mut drawer = drawer(Config::default());
    let cases = any_case();
    (0..count).map(|_| cases.new_tree(&mut drawer).expect("a case").current()).collect()
}

#[test]
fn any_process_in_any_trouble_leaves_what_the_model_allows() {
    let config = Config {
        cases: CASES,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let fates = RefCell::new(BTreeMap::new());
    let outcome = drawer(config).run(&any_case(), |case| {
        for fate in play(&case).map_err(TestCaseError::fail)? {
            *fates.borrow_mut().entry(fate).or_insert(0) += 1;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let fates = fates.into_inner();
    assert_eq!(fates.len(), 8, "something never happened: {fates:?}");
    report_count("random processes", "cases", CASES as usize);
    report_count("random processes", "kinds of ends", fates.len());
}

/// A process without a pivot, of steps beside each other that look after doubt.
fn beside(turns: &[&[Turn]]) -> Case {
    let rows = turns.iter().map(|turns| vec![Row::new(turns)]);
    Case::new(vec![rows.collect()])
}

#[test]
fn doubt_lasts_until_somebody_has_looked() {
    let put_off: &[Turn] = &[Turn::LosesReply, Turn::IsFree];
    for (what, case) in [
        ("the look fails", beside(&[&[Turn::LosesReply, Turn::Fails(ErrorClass::Transient)]])),
        ("a timer has put the look off", beside(&[put_off])),
        ("the look is put off, and a branch beside goes on", beside(&[put_off, &[Turn::NotYet]])),
    ] {
        for timeout in 0..3 {
            let mut case = case.clone();
            case.blocks[0][0][0].timeout = timeout;
            assert_eq!(play(&case), Ok(vec![Fate::Completed]), "{what}");
        }
    }
}
