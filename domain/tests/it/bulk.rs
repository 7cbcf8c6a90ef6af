//! The rules of bulk operations: batches, canary, failures, pauses, and when it is over.

use crate::given::{Given, given};
use crate::sample::{at, run_id, tag};
use chrono::Duration;
use ocim_domain::bulk::forecast::{Pacing, forecast_end};
use ocim_domain::bulk::sql::{
    STATEMENT_CHARS_MAX, STATEMENTS_BYTES_MAX, STATEMENTS_MAX, Sql, check_statements,
};
use ocim_domain::bulk::{
    Bulk, Command, Event, Outcome, Pace, ProgressTags, Rejected, Request, Stop, Work,
};
use ocim_domain::ids::InstanceId;
use std::num::NonZeroU32;
use uuid::Uuid;

fn instance(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

/// So many at a time, as soon as the ones before are done; nothing stops it.
fn pace(batch_size: u32) -> Pace {
    Pace {
        batch_size: NonZeroU32::new(batch_size).unwrap(),
        frequency_seconds: 0,
        canary: false,
        failures_max: None,
    }
}

fn requested(count: u128, pace: Pace) -> Event {
    Event::Requested(Box::new(Request {
        run: run_id(1),
        reason: "nobody learns there any more".to_owned(),
        work: Work::Archive,
        instances: (1..=count).map(instance).collect(),
        pace,
    }))
}

fn settle(number: u128, outcome: Outcome) -> Command {
    Command::SettleInstance { instance: instance(number), outcome }
}

fn failed() -> Outcome {
    Outcome::Failed { why: "its machine never came up".to_owned() }
}

/// The operation after its first batch.
fn begun(count: u128, pace: Pace) -> Given<Bulk> {
    given::<Bulk>([requested(count, pace)]).after(Command::BeginBatch)
}

fn ongoing(bulk: &Given<Bulk>) -> Vec<InstanceId> {
    bulk.state().as_ref().unwrap().ongoing.iter().copied().collect()
}

#[test]
fn so_many_are_under_way_at_a_time_in_their_order() {
    let bulk = begun(5, pace(2));
    assert_eq!(ongoing(&bulk), [instance(1), instance(2)]);
    bulk.when_silent(Command::BeginBatch);
    let next = bulk.after(settle(1, Outcome::Succeeded)).after(Command::BeginBatch);
    assert_eq!(ongoing(&next), [instance(2), instance(3)]);
    // A settled one is not settled again, and none that was never begun.
    next.when_silent(settle(1, failed()));
    next.when_silent(settle(5, failed()));
}

#[test]
fn no_batch_begins_before_its_time() {
    let slow = Pace { frequency_seconds: 3600, ..pace(1) };
    let bulk = begun(2, slow).after(settle(1, Outcome::Succeeded));
    bulk.when_silent(Command::BeginBatch);
    assert!(bulk.state().as_ref().unwrap().next_at.is_some());
}

#[test]
fn the_first_one_proves_it_to_the_others() {
    let bulk = begun(3, Pace { canary: true, ..pace(2) });
    assert_eq!(ongoing(&bulk), [instance(1)]);
    bulk.when_silent(Command::BeginBatch);
    let proven = bulk.after(settle(1, Outcome::Succeeded)).after(Command::BeginBatch);
    assert_eq!(ongoing(&proven), [instance(2), instance(3)]);
    let failed_first = bulk.after(settle(1, failed()));
    assert_eq!(failed_first.state().as_ref().unwrap().stopped, Some(Stop::Canary));
    failed_first.when_silent(Command::BeginBatch);
    // One of which nothing was tried proves nothing, and stops nothing: the next one goes first.
    let skipped = bulk.after(settle(1, Outcome::Skipped { why: "it is archived".to_owned() }));
    let next = skipped.after(Command::BeginBatch);
    assert_eq!(ongoing(&next), [instance(2)]);
    let failed_then = next.after(settle(2, failed()));
    assert_eq!(failed_then.state().as_ref().unwrap().stopped, Some(Stop::Canary));
    // Once it is proven, one that fails stops nothing.
    let failed_later = proven.after(settle(2, failed()));
    assert_eq!(failed_later.state().as_ref().unwrap().stopped, None);
}

#[test]
fn it_stops_after_as_many_failures_as_are_allowed() {
    let bulk = begun(9, Pace { failures_max: NonZeroU32::new(2), ..pace(3) });
    let one = bulk.after(settle(1, failed()));
    assert_eq!(one.state().as_ref().unwrap().stopped, None);
    let two = one.after(settle(2, failed()));
    assert_eq!(two.state().as_ref().unwrap().stopped, Some(Stop::Failures { count: 2 }));
    two.when_silent(Command::BeginBatch);
    two.when_refused(Command::End, Rejected::NotDone);
    let last = two.after(settle(3, failed()));
    last.when_then(Command::End, [Event::Ended {}]);
    assert_eq!(last.state().as_ref().unwrap().begun, 3);
}

#[test]
fn a_pause_begins_nothing_and_a_stop_is_for_good() {
    let pause = || Command::Pause { reason: "a storm".to_owned() };
    let stop = || Command::Stop { stop: Stop::Asked { reason: "enough".to_owned() } };
    let bulk = begun(5, pace(1)).after(settle(1, Outcome::Succeeded));
    let paused = bulk.after(pause());
    paused.when_silent(pause());
    paused.when_silent(Command::BeginBatch);
    assert_eq!(ongoing(&paused.after(Command::Resume).after(Command::BeginBatch)), [instance(2)]);
    bulk.when_silent(Command::Resume);
    let stopped = paused.after(stop());
    stopped.when_silent(stop());
    stopped.when_refused(pause(), Rejected::Stopped);
    stopped.when_refused(Command::Resume, Rejected::Stopped);
    let over = stopped.after(Command::End);
    over.when_silent(Command::End);
    for command in [pause(), Command::Resume, stop()] {
        over.when_refused(command, Rejected::Over);
    }
}

#[test]
fn it_is_asked_for_once_and_is_over_when_all_are_done() {
    let Event::Requested(request) = requested(1, pace(1)) else { panic!() };
    given::<Bulk>([]).when_then(Command::Request(request.clone()), [requested(1, pace(1))]);
    given::<Bulk>([]).when_refused(Command::BeginBatch, Rejected::Absent);
    let bulk = begun(1, pace(1));
    bulk.when_refused(Command::Request(request), Rejected::Exists);
    bulk.when_refused(Command::End, Rejected::NotDone);
    bulk.after(settle(1, failed())).when_then(Command::End, [Event::Ended {}]);
    let left = bulk.after(Command::LeaveOff { reason: "it was cancelled".to_owned() });
    left.when_silent(Command::LeaveOff { reason: "again".to_owned() });
    left.when_silent(Command::BeginBatch);
    bulk.when_silent(Command::TakeUp);
    left.when_then(Command::TakeUp, [Event::TakenUp {}]);
    let back = left.after(Command::TakeUp).after(settle(1, Outcome::Succeeded));
    back.when_then(Command::End, [Event::Ended {}]);
}

#[test]
fn tags_of_progress_are_made_of_a_base() {
    let tags = ProgressTags::new(&tag("may")).unwrap();
    assert_eq!(tags.all().map(|tag| tag.as_str()), ["may-ongoing", "may-success", "may-failure"]);
    assert!(ProgressTags::new(&tag(&"x".repeat(92))).is_ok());
    assert!(ProgressTags::new(&tag(&"x".repeat(93))).is_err());
}

#[test]
fn the_end_is_forecast_by_those_that_are_done() {
    let minutes = |count| Duration::minutes(count);
    let pacing = Pacing {
        settled: 2,
        ongoing: 0,
        pending: 6,
        batch_size: 2,
        frequency: minutes(10),
        average: Some(minutes(4)),
        next_at: None,
    };
    // Three batches, ten minutes apart, and the last takes four.
    assert_eq!(forecast_end(&pacing, at(0)), Some(at(24 * 60)));
    let waiting = Pacing { next_at: Some(at(300)), ..pacing };
    assert_eq!(forecast_end(&waiting, at(0)), Some(at(29 * 60)));
    // Where each takes longer than the pause, that counts.
    let slow = Pacing { average: Some(minutes(30)), ..pacing };
    assert_eq!(forecast_end(&slow, at(0)), Some(at(90 * 60)));
    let last = Pacing { pending: 0, ongoing: 1, ..pacing };
    assert_eq!(forecast_end(&last, at(0)), Some(at(120)));
    assert_eq!(forecast_end(&Pacing { average: None, ..pacing }, at(0)), None);
    assert_eq!(forecast_end(&Pacing { pending: 0, ..pacing }, at(0)), None);
}

#[test]
fn sql_is_bounded_and_ends_no_transaction() {
    let check = |statements: &[&str]| {
        check_statements(&statements.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    };
    let good = ["DELETE FROM t", "  CREATE TABLE begins (a INT)", "STARTLE", "CALL commit_all()"];
    assert_eq!(check(&good), []);
    let bad = ["", " ;\n", "commit", "; Rollback TO a", "BEGIN", "start transaction", "XA END 'a'"];
    let broken: Vec<_> = check(&bad).into_iter().map(|(place, _)| place.unwrap()).collect();
    assert_eq!(broken, (0..bad.len()).collect::<Vec<_>>());
    let longest = "x".repeat(STATEMENT_CHARS_MAX);
    assert_eq!(check(&[longest.as_str(); STATEMENTS_BYTES_MAX / STATEMENT_CHARS_MAX]), []);
    assert_eq!(check(&[&format!("{longest}x")])[0].0, Some(0));
    let together = check(&[longest.as_str(); STATEMENTS_BYTES_MAX / STATEMENT_CHARS_MAX + 1]);
    assert!(together.len() == 1 && together[0].1.contains("together"), "{together:?}");
    assert_eq!(check(&["DO 1"; STATEMENTS_MAX]), []);
    assert_eq!(check(&["DO 1"; STATEMENTS_MAX + 1])[0].0, None);
}

#[test]
fn sql_is_kept_protected_with_its_number() {
    let statements = ["UPDATE t SET password = 'hush'".to_owned(), "SELECT 1".to_owned()];
    let sql = Sql::new("bulk_1", &statements).unwrap();
    assert_eq!((sql.count.get(), sql.open().unwrap()), (2, statements.to_vec()));
    assert!(!format!("{sql:?}").contains("hush"));
    assert!(Sql::new("bulk_1", &[]).is_none());
}
