//! The rules of the log as such.

use crate::given::given;
use crate::sample::event_log_events;
use ocim_domain::event_log::{Command, Event, EventLog, Rejected};

#[test]
fn another_end_of_the_log_is_taken_for_a_reason_alone() {
    let log = given::<EventLog>([]);
    for event in event_log_events() {
        let Event::HeadAccepted { known, found, reason } = event.clone();
        let accept = |reason: &str| Command::AcceptHead {
            known: known.clone(),
            found: found.clone(),
            reason: reason.to_owned(),
        };
        log.when_then(accept(&reason), [event]);
        for blank in ["", " \n"] {
            log.when_refused(accept(blank), Rejected::NoReason);
        }
    }
}
