//! How effects fail: what a failure means, and what people are told of it.

use crate::sample::incident;
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::saga::ErrorCode;
use std::time::Duration;

#[test]
fn a_failure_names_who_was_asked_once_and_keeps_all_else() {
    let error = PortError::permanent(ErrorCode::StateForbids, "it is locked").naming("the cloud");
    assert_eq!(error.to_string(), "the cloud: it is locked");
    assert_eq!((&error.class, error.code), (&Class::Permanent, Some(ErrorCode::StateForbids)));
    assert_eq!(error.naming("the cloud").message, "the cloud: it is locked");
}

#[test]
fn who_refuses_is_well_and_who_gives_no_answer_is_not() {
    let blamed = |class| PortError::new(class, "no").blame;
    for class in [Class::Transient, Class::Ambiguous] {
        assert_eq!(blamed(class), Blame::Provider);
    }
    for class in [Class::RateLimited(Duration::ZERO), Class::Conflict, Class::Permanent] {
        assert_eq!(blamed(class), Blame::Caller);
    }
    let disk_full = PortError::transient("no space left").blamed_on(Blame::Other);
    assert_eq!((disk_full.blame, disk_full.class), (Blame::Other, Class::Transient));
    assert_eq!(disk_full.message, "no space left");
}

#[test]
fn a_call_that_was_not_made_says_until_when_or_by_whom() {
    let minute = Duration::from_secs(60);
    let postponed = PortError::postponed(minute, "the circuit is open");
    assert_eq!(postponed.class, Class::RateLimited(minute));
    assert_eq!((postponed.free_for, postponed.paused_by), (Some(minute), None));
    assert_eq!(postponed.message, "the circuit is open");
    let paused = PortError::paused(incident(), "works on the network");
    assert_eq!(paused.class, Class::RateLimited(Duration::ZERO));
    assert_eq!((paused.free_for, paused.paused_by), (None, Some(incident())));
    assert_eq!(paused.message, "works on the network");
}
