//! Sentences about bulk operations.

use super::Teller;
use crate::bulk::tell_stop;
use ocim_domain::bulk::{Event, Outcome, Work};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let who = teller.who();
    match event {
        Event::Requested(request) => {
            let what = match &request.work {
                Work::Redeploy(how) => format!("redeploy as {}", how.tag),
                Work::Archive => "archive".to_owned(),
            };
            let (count, size) = (request.instances.len(), request.pace.batch_size);
            format!("{who} asked to {what} {count} instances, {size} at a time: {}", request.reason)
        }
        Event::BatchBegun { instances, .. } => {
            let names: Vec<_> = instances.iter().map(|id| teller.name(id)).collect();
            format!("The next of the bulk operation are {}", super::list(&names))
        }
        Event::InstanceSettled { instance, outcome } => {
            let name = teller.name(instance);
            match outcome {
                Outcome::Succeeded => format!("The bulk operation has succeeded with {name}"),
                Outcome::Failed { why } => {
                    format!("The bulk operation has failed with {name}: {why}")
                }
                Outcome::Skipped { why } => format!("The bulk operation left {name} out: {why}"),
            }
        }
        Event::Paused { reason } => format!("{who} paused the bulk operation: {reason}"),
        Event::Resumed {} => format!("{who} had the bulk operation go on"),
        Event::Stopped { stop } => {
            format!("The bulk operation begins with no more instances: {}", tell_stop(stop))
        }
        Event::Ended {} => "The bulk operation has ended".to_owned(),
        Event::TakenUp {} => "The bulk operation goes on where it was left off".to_owned(),
        Event::LeftOff { reason } => {
            format!("The bulk operation was left off; what it began goes on by itself: {reason}")
        }
    }
}
