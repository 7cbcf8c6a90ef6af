//! What a projection may be told: to step over an event, once, and for a reason.

use crate::given::given;
use ocim_domain::projection::{Command, Event, Projection, Rejected};
use uuid::Uuid;

fn skip(reason: &str) -> Command {
    Command::SkipEvent {
        projection: "instances".to_owned(),
        event: Uuid::from_u128(7),
        event_kind: "instance.created".to_owned(),
        reason: reason.to_owned(),
    }
}

fn skipped(reason: &str) -> Event {
    Event::EventSkipped {
        projection: "instances".to_owned(),
        event: Uuid::from_u128(7),
        event_kind: "instance.created".to_owned(),
        reason: reason.to_owned(),
    }
}

#[test]
fn an_event_is_stepped_over_once_and_for_a_reason() {
    given::<Projection>([]).when_then(skip("a bug"), [skipped("a bug")]);
    given::<Projection>([]).when_refused(skip(" "), Rejected::NoReason);
    given::<Projection>([skipped("a bug")]).when_silent(skip("again"));
}
