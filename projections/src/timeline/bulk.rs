//! Sentences about bulk operations.

use super::Teller;
use crate::bulk::tell_stop;
use ocim_domain::bulk::{Event, Outcome, Redeployment, Work};

/// What runs on the databases before.
fn tell_sql(work: &Work) -> String {
    let Work::Redeploy(Redeployment { sql: Some(sql), .. }) = work else { return String::new() };
    match sql.count.get() {
        1 => ", after a statement of SQL on each one's database".to_owned(),
        count => format!(", after {count} statements of SQL on each one's database"),
    }
}

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let who = teller.who();
    match event {
        Event::Requested(request) => {
            let what = match &request.work {
                Work::Redeploy(how) => format!("redeploy as {}", how.tag),
                Work::Archive => "archive".to_owned(),
            };
            let (count, size) = (request.instances.len(), request.pace.batch_size);
            let (sql, reason) = (tell_sql(&request.work), &request.reason);
            format!("{who} asked to {what} {count} instances, {size} at a time{sql}: {reason}")
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
