//! The rules of timers: once for each time, whatever the clock does.

use crate::given::given;
use crate::sample::run_id;
use chrono::{TimeDelta, TimeZone, Utc};
use ocim_domain::Timestamp;
use ocim_domain::decider::Decider;
use ocim_domain::timer::{Command, Event, Job, Outcome, State, Timer};
use std::collections::BTreeSet;

const JOB: Job = Job::DeleteOldLogs;

fn at(day: u32, hour: u32, minute: u32, second: u32) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 3, day, hour, minute, second).unwrap()
}

/// The times that fall due on a timer which is looked at at these times, in this order.
fn fall_due(state: &mut State, since: Timestamp, looks: &[Timestamp]) -> Vec<Timestamp> {
    let mut dues = vec![];
    for now in looks {
        let decided = Timer::decide(state, Command::FallDue { job: JOB, since }, *now).unwrap();
        for event in decided {
            let Event::FellDue { due, run, .. } = &event else { panic!("{event:?}") };
            assert_eq!(*run, JOB.run_at(*due), "whoever looks means the same run");
            dues.push(*due);
            *state = Timer::evolve(std::mem::take(state), &event);
        }
    }
    dues
}

#[test]
fn it_falls_due_at_midnight_to_the_second_and_once_for_each_day() {
    let (mut state, since) = (State::default(), at(1, 12, 0, 0));
    let before = fall_due(&mut state, since, &[at(1, 12, 0, 0), at(1, 23, 59, 59)]);
    assert!(before.is_empty());
    let looks = [at(2, 0, 0, 0), at(2, 0, 0, 1), at(2, 23, 59, 59), at(3, 0, 0, 0)];
    assert_eq!(fall_due(&mut state, since, &looks), [at(2, 0, 0, 0), at(3, 0, 0, 0)]);
    assert_eq!(JOB.next_due(at(2, 23, 59, 59)), at(3, 0, 0, 0));
    assert_eq!(JOB.next_due(at(3, 0, 0, 0)), at(4, 0, 0, 0));
}

#[test]
fn a_time_that_lies_days_ahead_was_never_and_one_of_tomorrow_may_have_been() {
    let done_for = |due| Event::FellDue { job: JOB, due, run: JOB.run_at(due), at: due };
    let looked = |due, now| {
        let mut state = Timer::fold(&[done_for(due)]);
        fall_due(&mut state, at(1, 0, 0, 0), &[now])
    };
    let noon = at(2, 12, 0, 0);
    assert!(looked(at(3, 12, 0, 0), noon).is_empty());
    assert_eq!(looked(at(3, 12, 0, 1), noon), [at(2, 0, 0, 0)]);
}

#[test]
fn an_outage_of_days_is_caught_up_with_once() {
    let (mut state, since) = (State::default(), at(1, 12, 0, 0));
    fall_due(&mut state, since, &[at(2, 0, 0, 5)]);
    let looks = [at(9, 17, 0, 0), at(9, 17, 0, 30), at(10, 0, 0, 0)];
    assert_eq!(fall_due(&mut state, since, &looks), [at(9, 0, 0, 0), at(10, 0, 0, 0)]);
    // Also where it was never done: Ocim stood still at the first time.
    let mut never = State::default();
    assert_eq!(fall_due(&mut never, since, &[at(2, 8, 0, 0)]), [at(2, 0, 0, 0)]);
}

#[test]
fn a_clock_that_is_set_back_repeats_nothing() {
    let (mut state, since) = (State::default(), at(1, 12, 0, 0));
    fall_due(&mut state, since, &[at(2, 0, 0, 5)]);
    let looks = [at(1, 23, 0, 0), at(1, 23, 59, 59), at(2, 0, 0, 0), at(2, 1, 0, 0)];
    assert!(fall_due(&mut state, since, &looks).is_empty());
    assert_eq!(fall_due(&mut state, since, &[at(3, 0, 0, 0)]), [at(3, 0, 0, 0)]);
}

#[test]
fn a_clock_that_was_ahead_for_a_while_holds_nothing_up() {
    let (mut state, since) = (State::default(), at(1, 12, 0, 0));
    // By some hours: that day's work was done early, and is not done again.
    fall_due(&mut state, since, &[at(2, 3, 0, 0)]);
    assert!(fall_due(&mut state, since, &[at(1, 22, 0, 0), at(2, 0, 0, 0)]).is_empty());
    // By years: the timer goes on at the right time all the same.
    let future = Utc.with_ymd_and_hms(2031, 1, 1, 0, 0, 9).unwrap();
    assert_eq!(fall_due(&mut state, since, &[future]).len(), 1);
    let looks = [at(2, 22, 0, 0), at(2, 23, 0, 0), at(3, 0, 0, 0), at(4, 0, 0, 0)];
    let dues = fall_due(&mut state, since, &looks);
    assert_eq!(dues, [at(2, 0, 0, 0), at(3, 0, 0, 0), at(4, 0, 0, 0)]);
}

#[test]
fn summer_time_of_wherever_it_runs_changes_nothing() {
    // The nights of 2026 in which clocks are set in Europe and in North America: in UTC, each has one
    // time of each job, and each is 24 hours after the one before.
    for (month, day) in [(3, 8), (3, 29), (10, 25), (11, 1)] {
        let noon = Utc.with_ymd_and_hms(2026, month, day, 12, 0, 0).unwrap();
        for job in Job::ALL {
            let (last, next) = (job.latest_due(noon), job.next_due(noon));
            assert_eq!(next - last, TimeDelta::days(1));
            assert_eq!(job.latest_due(next), next);
            assert_eq!(job.latest_due(next - TimeDelta::nanoseconds(1)), last);
        }
    }
}

#[test]
fn nodes_whose_clocks_differ_by_a_little_do_it_once() {
    let (mut state, since) = (State::default(), at(1, 12, 0, 0));
    fall_due(&mut state, since, &[at(2, 0, 0, 0)]);
    // The other node is behind by two seconds, then by two minutes.
    let looks = [at(1, 23, 59, 58), at(2, 0, 0, 0), at(1, 23, 58, 0), at(2, 0, 0, 0)];
    assert!(fall_due(&mut state, since, &looks).is_empty());
}

#[test]
fn the_end_of_a_run_is_told_once() {
    let requested = Event::RunRequested { job: JOB, run: run_id(1), at: crate::sample::at(9) };
    let outcome = Outcome::LogsDeleted { before: at(1, 0, 0, 0), runs: 2, lines: 7 };
    let finish = |run| Command::Finish { job: JOB, run: run_id(run), outcome: outcome.clone() };
    let stop = Command::Stop { job: JOB, run: run_id(1), reason: "not now".to_owned() };
    let finished = Event::RunFinished {
        job: JOB,
        run: run_id(1),
        at: crate::sample::at(9),
        outcome: outcome.clone(),
    };
    let now = Command::RunNow { job: JOB, run: run_id(1) };
    given::<Timer>([]).when_then(now.clone(), [requested.clone()]);
    given::<Timer>([requested.clone()]).when_silent(now);
    given::<Timer>([requested.clone()]).when_then(finish(1), [finished.clone()]);
    given::<Timer>([requested.clone()]).when_silent(finish(2));
    given::<Timer>([requested.clone(), finished.clone()]).when_silent(finish(1));
    given::<Timer>([requested.clone(), finished.clone()]).when_silent(stop.clone());
    let done = given::<Timer>([requested.clone(), finished]);
    assert_eq!(done.state().last.as_ref().unwrap().outcome, Some(outcome));
    let stopped = Event::RunStopped {
        job: JOB,
        run: run_id(1),
        at: crate::sample::at(9),
        reason: "not now".to_owned(),
    };
    given::<Timer>([requested]).when_then(stop, [stopped]);
}

#[test]
fn jobs_have_names_that_are_read_again() {
    for job in Job::ALL {
        assert_eq!(job.word().parse(), Ok(job));
        assert_eq!(job.to_string(), job.word());
        assert!(!job.describe().is_empty() && job.hour() < 24);
    }
    // One after another, so that they are not at the database together.
    assert_eq!(Job::ALL.map(Job::hour), [0, 1, 2]);
    let told: BTreeSet<_> = Job::ALL.iter().map(|job| job.describe()).collect();
    assert_eq!(told.len(), Job::ALL.len());
    let to_others: Vec<_> = Job::ALL.into_iter().filter(|job| job.tells_others()).collect();
    assert_eq!(to_others, [Job::UpdateMetadata], "the others have work without Consul, too");
    let wrong = "x".repeat(1_000).parse::<Job>().unwrap_err();
    assert!(wrong.to_string().len() < 200, "{wrong}");
}

#[test]
fn an_earlier_run_that_outlasts_the_next_one_is_told_to_its_end() {
    let outcome = |runs| Outcome::LogsDeleted { before: at(1, 0, 0, 0), runs, lines: 7 };
    let fell_due = |day| {
        let due = at(day, 0, 0, 0);
        Event::FellDue { job: JOB, due, run: JOB.run_at(due), at: due }
    };
    let [first, second] = [2, 3].map(|day| JOB.run_at(at(day, 0, 0, 0)));
    let both = given::<Timer>([fell_due(2), fell_due(3)]);
    let finish = |run, runs| Command::Finish { job: JOB, run, outcome: outcome(runs) };
    let now = crate::sample::at(9);
    let now = Event::RunFinished { job: JOB, run: first, at: now, outcome: outcome(5) };
    both.when_then(finish(first, 5), [now]);
    let later = both.after(finish(first, 5));
    let last = later.state().last.clone().unwrap();
    assert_eq!((last.run, last.ended, last.outcome), (second, None, None));
    later.when_silent(finish(first, 5));
    assert_eq!(
        later.after(finish(second, 0)).state().last.clone().unwrap().outcome,
        Some(outcome(0))
    );
}
