//! The daily clean-up: asks for a run of its own for each Appserver that is obsolete.
//!
//! Each is decided by its instance's and its own log; what can't be told of one instance keeps no other
//! from its clean-up. The ids of what is asked for follow from the timer's run, so that it may die anywhere.

use super::step::{Costs, StepContext, StepError};
use crate::app::{AppError, CleanUpPlan, CleanUpRequest};
use ocim_adapters::logs::Level;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::clean_up::Verdict;
use ocim_domain::saga::step_key;
use ocim_domain::timer::Outcome;
use ocim_engine::sagas::host::Host;
use std::collections::BTreeMap;

/// Instances that are listed at a time.
const PAGE: usize = 200;
/// The word for one that changed between the look and the deed.
const CHANGED: &str = "changed";

/// What has become of those that were looked at.
#[derive(Debug, Default)]
struct Tally {
    instances: u64,
    requested: u64,
    refused: BTreeMap<String, u64>,
    failed: u64,
}

impl Tally {
    fn refuse(&mut self, why: &str) {
        *self.refused.entry(why.to_owned()).or_default() += 1;
    }
}

/// Looks at each instance that has machines which serve nobody. One that was stopped half-way looks at
/// all of them anew: what it asked for before it does not ask for again, and counts while it stands.
pub(super) async fn clean_up_appservers(context: &StepContext) -> Result<Outcome, StepError> {
    let app = &context.world.app;
    let (mut tally, mut outage, mut after) = (Tally::default(), None, None);
    loop {
        let page = app.list_idle_instances(after, PAGE).await?;
        for instance in &page {
            tally.instances += 1;
            match clean_up_instance(context, *instance, &mut tally).await.map_err(StepError::from) {
                Ok(()) => {}
                // Nobody's fault: the step looks again, once the store answers.
                Err(error) if error.costs == Costs::Outage => outage = Some(error),
                Err(error) => {
                    tally.failed += 1;
                    let text = format!("{instance} could not be looked at: {error}");
                    context.world.say(context.run, context.step, Level::Error, text).await;
                }
            }
        }
        after = page.last().copied();
        if page.len() < PAGE {
            break;
        }
    }
    if let Some(outage) = outage {
        return Err(outage);
    }
    context.say(tell(&tally)).await;
    let Tally { instances, requested, refused, failed } = tally;
    Ok(Outcome::AppserversCleanedUp { instances, requested, refused, failed })
}

async fn clean_up_instance(
    context: &StepContext,
    instance: InstanceId,
    tally: &mut Tally,
) -> Result<(), AppError> {
    let app = &context.world.app;
    let CleanUpPlan { name, verdicts, .. } = app.plan_clean_up(instance, None).await?;
    for (id, number, verdict) in verdicts {
        let told = format!("{name}: AppServer {number} ({id})");
        // Derived of the timer's run, so that one that is done again asks for nothing new.
        let run = RunId(step_key(context.run, &format!("clean-up of {id}")));
        match &verdict {
            Verdict::Stays { why, .. } if why.is_run(run) => tally.requested += 1,
            Verdict::Stays { why, .. } if why.is_hindrance() => {
                tally.refuse(why.word());
                context.say(format!("{told} is {}", verdict.tell())).await;
            }
            Verdict::Stays { .. } => {}
            Verdict::Goes { .. } => {
                let reason = verdict.tell();
                match app.clean_up_obsolete(&context.metadata(), id, run, reason.clone()).await? {
                    CleanUpRequest::Requested => {
                        tally.requested += 1;
                        context.say(format!("{told} {reason}: {run}")).await;
                    }
                    CleanUpRequest::Refused(why) => {
                        tally.refuse(CHANGED);
                        context.say(format!("{told} stays: {why}")).await;
                    }
                }
            }
        }
    }
    Ok(())
}

fn tell(tally: &Tally) -> String {
    let Tally { instances, requested, refused, failed } = tally;
    let refused: Vec<_> = refused.iter().map(|(why, count)| format!("{why} {count}")).collect();
    let refused = if refused.is_empty() { "none".to_owned() } else { refused.join(", ") };
    format!(
        "looked at {instances} instances with machines that serve nobody: {requested} appservers go; \
         would go, and stay for now: {refused}; could not be looked at: {failed}"
    )
}
