//! Sentences about work that comes every day.

use super::{Teller, because};
use ocim_domain::timer::{Event, Outcome};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    match event {
        Event::FellDue { job, due, .. } => {
            format!("The time of {job} has come: {}", due.format("%F %T UTC"))
        }
        Event::RunRequested { job, .. } => format!("{} asked for {job} now", teller.who()),
        Event::RunFinished { job, outcome, .. } => match outcome {
            Outcome::LogsDeleted { before, runs, lines } => format!(
                "{job} deleted {runs} logs with {lines} lines, of runs that had ended before {}",
                before.format("%F %T UTC")
            ),
            Outcome::AppserversCleanedUp { instances, requested, refused, failed } => {
                let kept: u64 = refused.values().sum();
                format!(
                    "{job} looked at {instances} instances with machines that serve nobody: {requested} go, \
                     {kept} would and stay for now, {failed} instances could not be looked at"
                )
            }
            Outcome::MetadataUpdated { instances, changed, removed, failed } => format!(
                "{job} looked at {instances} sites: {changed} were told anew in Consul, {removed} that are \
                 gone removed, {failed} refused"
            ),
        },
        Event::RunStopped { job, reason, .. } => {
            format!("{job} was not done{}", because(Some(reason)))
        }
    }
}
