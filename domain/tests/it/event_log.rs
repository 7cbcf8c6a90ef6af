//! The rules of the log as such.

use crate::given::given;
use crate::sample::event_log_events;
use ocim_domain::event::{Position, StreamId};
use ocim_domain::event_log::{Command, Event, EventLog, Rejected};
use uuid::Uuid;

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

#[test]
fn a_position_reads_only_as_it_is_written_and_sorts_as_a_text() {
    let written = "00000000000000000012.00000000000000000345";
    assert_eq!(written.parse::<Position>().unwrap(), Position([12, 345]));
    assert_eq!(Position([12, 345]).to_string(), written);
    for other in [
        "12.345",
        "+0000000000000000012.00000000000000000345",
        "00000000000000000012",
        "00000000000000000012.",
        "",
    ] {
        assert!(other.parse::<Position>().is_err(), "{other:?}");
    }
}

#[test]
fn a_stream_is_named_by_its_category_and_its_uuid() {
    let id = Uuid::from_u128(7);
    let stream = StreamId::new("load_balancer", id);
    let text = "load_balancer-00000000-0000-0000-0000-000000000007";
    assert_eq!((stream.category(), stream.id()), ("load_balancer", id));
    assert_eq!(stream.to_string(), text);
    assert_eq!(text.parse::<StreamId>().unwrap(), stream);
    assert_eq!(serde_json::to_value(&stream).unwrap(), text);
    assert_eq!(serde_json::from_value::<StreamId>(text.into()).unwrap(), stream);
    for other in ["load_balancer", "-00000000-0000-0000-0000-000000000007", "load_balancer-7"] {
        assert!(other.parse::<StreamId>().is_err(), "{other:?}");
    }
}
