//! The rules of a region's slots: strict limit, fair queue.

use crate::given::given;
use crate::sample::{at, run_id};
use ocim_domain::decider::Decider;
use ocim_domain::region::{Command, Event, Place, Region, Rejected, State, region_id};
use proptest::prelude::*;

fn enter(run: u128) -> Command {
    Command::Enter { region: "north".to_owned(), run: run_id(run), limit: 2, bulk_max: None }
}

fn leave(run: u128) -> Command {
    Command::Leave { run: run_id(run) }
}

fn limit(limit: u32) -> Command {
    Command::SetLimit { region: "north".to_owned(), limit }
}

fn configure(limit: u32) -> Command {
    Command::Configure { region: "north".to_owned(), limit }
}

fn limited(limit: u32) -> Event {
    Event::LimitSet { region: "north".to_owned(), limit, configured: true }
}

fn ordered(limit: u32) -> Event {
    Event::LimitSet { region: "north".to_owned(), limit, configured: false }
}

fn queued(run: u128) -> Event {
    Event::RunQueued { run: run_id(run), bulk_max: None }
}

fn admitted(run: u128) -> Event {
    Event::RunAdmitted { run: run_id(run) }
}

fn left(run: u128) -> Event {
    Event::RunLeft { run: run_id(run) }
}

/// Two runs have the two slots, and three wait.
fn full() -> Vec<Event> {
    let both = [limited(2), queued(1), admitted(1), queued(2), admitted(2)];
    both.into_iter().chain([queued(3), queued(4), queued(5)]).collect()
}

#[test]
fn the_first_run_brings_the_limit_and_has_a_slot_at_once() {
    given::<Region>([]).when_then(enter(1), [limited(2), queued(1), admitted(1)]);
    given::<Region>([limited(7)]).when_then(enter(1), [queued(1), admitted(1)]);
}

#[test]
fn a_run_that_is_here_keeps_its_place() {
    for run in 1..=5 {
        given::<Region>(full()).when_silent(enter(run));
    }
}

#[test]
fn a_full_region_queues_and_says_the_position() {
    let region = given::<Region>(full());
    region.when_then(enter(6), [queued(6)]);
    let places: Vec<_> = (1..=6).map(|run| region.state().place(run_id(run))).collect();
    let queue = [1, 2, 3].map(|place| Some(Place::Queued(place)));
    assert_eq!(places[..2], [Some(Place::Running); 2]);
    assert_eq!(places[2..5], queue);
    assert_eq!(places[5], None);
}

#[test]
fn who_leaves_makes_room_for_the_first_of_the_queue() {
    let region = given::<Region>(full());
    region.when_then(leave(1), [left(1), admitted(3)]);
    region.when_then(leave(4), [left(4)]);
    region.when_silent(leave(6));
    assert_eq!(region.after(leave(3)).state().place(run_id(4)), Some(Place::Queued(1)));
}

#[test]
fn a_new_limit_admits_as_many_as_it_allows_and_sends_nobody_away() {
    let region = given::<Region>(full());
    region.when_then(limit(4), [ordered(4), admitted(3), admitted(4)]);
    region.when_then(limit(1), [ordered(1)]);
    region.when_refused(limit(0), Rejected::NoRoom);
    let narrow = region.after(limit(1));
    narrow.when_then(leave(1), [left(1)]);
    narrow.after(leave(1)).when_then(leave(2), [left(2), admitted(3)]);
}

#[test]
fn the_configuration_counts_until_a_person_has_set_a_limit() {
    let region = given::<Region>(full());
    region.when_silent(configure(2));
    region.when_then(configure(3), [limited(3), admitted(3)]);
    region.when_refused(configure(0), Rejected::NoRoom);
    // The same number, but from now on a person's.
    region.when_then(limit(2), [ordered(2)]);
    let theirs = region.after(limit(2));
    theirs.when_silent(limit(2));
    theirs.when_silent(configure(9));
    theirs.when_then(limit(3), [ordered(3), admitted(3)]);
}

#[test]
fn a_region_is_found_by_its_name() {
    assert_eq!(region_id("north"), region_id("north"));
    assert_ne!(region_id("north"), region_id("south"));
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (0_u128..12).prop_map(enter),
        3 => (0_u128..12).prop_map(leave),
        1 => (1_u32..5).prop_map(limit),
        1 => (1_u32..5).prop_map(configure),
    ]
}

proptest! {
    #[test]
    fn the_limit_is_never_exceeded_and_the_queue_is_fair(
        commands in prop::collection::vec(any_command(), 1..80),
    ) {
        let mut state = State::default();
        for command in commands {
            let had = state.running.len();
            let events = Region::decide(&state, command, at(9)).unwrap();
            for event in &events {
                if let Event::RunAdmitted { run } = event {
                    prop_assert_eq!(state.queue.front(), Some(run));
                }
                state = Region::evolve(state, event);
            }
            let limit = usize::try_from(state.limit.unwrap_or(u32::MAX)).unwrap();
            prop_assert!(state.running.len() <= limit.max(had));
            prop_assert!(state.queue.is_empty() || state.running.len() >= limit);
        }
    }
}

#[test]
fn bulk_work_stands_behind_all_others_and_leaves_them_the_last_slot() {
    let bulk = |run| Command::Enter {
        region: "north".to_owned(),
        run: run_id(run),
        limit: 3,
        bulk_max: Some(5),
    };
    let one = given::<Region>([limited(3)]).after(bulk(1)).after(bulk(2));
    // The third slot is others'.
    let waiting = one.after(bulk(3));
    assert_eq!(waiting.state().place(run_id(3)), Some(Place::Queued(1)));
    let all = waiting.after(enter(4));
    assert_eq!(all.state().place(run_id(4)), Some(Place::Running));
    // Who comes later and is waited for is before who is not.
    let line = all.after(enter(5));
    assert_eq!(line.state().place(run_id(5)), Some(Place::Queued(1)));
    assert_eq!(line.state().place(run_id(3)), Some(Place::Queued(2)));
    let freed = line.after(leave(1));
    assert_eq!(freed.state().place(run_id(5)), Some(Place::Running));
    assert_eq!(freed.state().place(run_id(3)), Some(Place::Queued(1)));
    // Whoever of them leaves may let it in; where no more bulk work may run, those of that alone.
    assert_eq!(line.state().holders(), [1, 2, 4].map(run_id));
    let narrow = |run| Command::Enter {
        region: "north".to_owned(),
        run: run_id(run),
        limit: 9,
        bulk_max: Some(1),
    };
    let narrow = given::<Region>([limited(9)]).after(enter(1)).after(narrow(2)).after(narrow(3));
    assert_eq!(narrow.state().holders(), [run_id(2)]);
    // Where more of it may run, anybody's slot will do.
    let wide = |run| Command::Enter {
        region: "north".to_owned(),
        run: run_id(run),
        limit: 2,
        bulk_max: Some(5),
    };
    let wide = given::<Region>([limited(2)]).after(enter(1)).after(wide(2)).after(wide(3));
    assert_eq!(wide.state().holders(), [run_id(1)]);
    assert_eq!(wide.state().place(run_id(2)), Some(Place::Queued(1)));
    // With 2 left in it, both are others'.
    assert_eq!(freed.after(leave(4)).state().place(run_id(3)), Some(Place::Queued(1)));
    assert_eq!(
        freed.after(leave(4)).after(leave(5)).state().place(run_id(3)),
        Some(Place::Running)
    );
}

#[test]
fn bulk_work_has_a_limit_of_its_own_and_the_only_slot_where_there_is_one() {
    let bulk = |run, most| Command::Enter {
        region: "north".to_owned(),
        run: run_id(run),
        limit: 9,
        bulk_max: Some(most),
    };
    let two = given::<Region>([limited(9)]).after(bulk(1, 1)).after(bulk(2, 1));
    assert_eq!(two.state().place(run_id(2)), Some(Place::Queued(1)));
    let only = given::<Region>([limited(1)]).after(bulk(1, 3));
    assert_eq!(only.state().place(run_id(1)), Some(Place::Running));
}
