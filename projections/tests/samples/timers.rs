//! Events of work that comes every day.

use super::{RUN, at, recorded};
use ocim_domain::event::Recorded;
use ocim_domain::timer::{Event as E, Job, Outcome};

pub(super) fn all_events() -> Vec<Recorded> {
    let job = Job::DeleteOldLogs;
    let outcome = Outcome::LogsDeleted { before: at(0), runs: 2, lines: 7 };
    let cleaned_up = Outcome::AppserversCleanedUp {
        instances: 5,
        requested: 2,
        refused: [("held".to_owned(), 1), ("at_work".to_owned(), 2)].into(),
        failed: 1,
    };
    let events = [
        E::FellDue { job, due: at(0), run: RUN, at: at(1) },
        E::RunRequested { job, run: RUN, at: at(1) },
        E::RunFinished { job, run: RUN, at: at(2), outcome },
        E::RunFinished { job, run: RUN, at: at(2), outcome: cleaned_up },
        E::RunStopped { job, run: RUN, at: at(2), reason: "not now".to_owned() },
    ];
    events.iter().map(|event| recorded(job.timer_id().stream(), event)).collect()
}
