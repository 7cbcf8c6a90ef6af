//! A launch that never was: an invented former version, which the matrices play beside today's.

use ocim::processes::launch_appserver::{LAUNCH_APPSERVER, ROWS};
use ocim::processes::step::{Definition, Step};
use ocim::processes::{FORMER, NEWEST, world::World};
use ocim_domain::saga::{Plan, Run};
use ocim_engine::sagas::versions::{Former, check_versions, insert_before, leave_out, replace};

/// The process as it might have been before regions had slots.
pub(crate) static FORMER_LAUNCH: Definition =
    Definition { version: 0, steps: &FORMER_ROWS, ..LAUNCH_APPSERVER };

const FORMER_ROWS: [Step; 27] = {
    let rows: [Step; 28] = leave_out(&ROWS, "await_slot");
    leave_out(&rows, "leave_slot")
};

/// Every definition that the tests play: those of Ocim, and the invented one.
pub(crate) fn definitions() -> Vec<&'static Definition> {
    let mut all = ocim::processes::definitions();
    all.push(&FORMER_LAUNCH);
    all
}

/// The plan of a run of any of them.
pub(crate) fn plan_of(run: &Run) -> Plan {
    ocim::processes::plan_among(definitions(), run)
}

fn paths(rows: &[Step]) -> Vec<&'static str> {
    rows.iter().map(|row| row.path).collect()
}

#[test]
fn a_version_says_what_differs_from_another() {
    const ONE: Step = Step { path: "one", ..ROWS[0] };
    const TWO: Step = Step { path: "two", ..ROWS[0] };
    const OTHER: Step = Step { attempts_max: 77, ..TWO };
    let (rows, last) = ([ONE, TWO], [Step { path: "three", ..ONE }]);
    let inserted: [Step; 3] = insert_before(&rows, "two", last[0]);
    assert_eq!(paths(&inserted), ["one", "three", "two"]);
    let first: [Step; 3] = insert_before(&rows, "one", last[0]);
    assert_eq!(paths(&first), ["three", "one", "two"]);
    for (path, left) in [("one", ["three", "two"]), ("two", ["one", "three"])] {
        let rest: [Step; 2] = leave_out(&inserted, path);
        assert_eq!(paths(&rest), left);
    }
    let replaced = replace(&inserted, "two", OTHER);
    assert_eq!((paths(&replaced), replaced[2].attempts_max), (paths(&inserted), 77));
    let without = std::panic::catch_unwind(|| replace(&[ROWS[0]], "nothing", ROWS[0]));
    assert!(without.is_err(), "a path that no row has is a mistake");
}

#[test]
fn a_former_version_may_go_two_releases_after_its_successor_came() {
    let newest: [&'static Definition; 1] = [&LAUNCH_APPSERVER];
    let former = |until| Former::<World> { definition: &FORMER_LAUNCH, until };
    let told = |until, release| check_versions(&newest, &[former(until)], release);
    let name = "version 0 of `launch_appserver`";
    for release in [(0, 3), (0, 4)] {
        assert_eq!(told((0, 3), release), [""; 0], "{release:?}");
    }
    for release in [(0, 5), (0, 6), (1, 0)] {
        let expected = format!("{name} may go: take it out, with its histories and its counts");
        assert_eq!(told((0, 3), release), [expected], "{release:?}");
    }
    let early = told((0, 3), (0, 2));
    assert_eq!(early, [format!("{name} gave way in a release that is yet to come")]);
    let orphaned = check_versions(&[], &[former((0, 3))], (0, 3));
    assert_eq!(orphaned, [format!("{name} has no successor: nobody can start such a run")]);
    let same: Former<World> = Former { definition: &LAUNCH_APPSERVER, until: (0, 3) };
    let told = check_versions(&newest, &[same], (0, 3));
    assert_eq!(told, ["version 1 of `launch_appserver` is not older than its successor"]);
}

#[test]
fn no_former_version_of_ours_may_go_yet() {
    let mut parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap());
    let release = (parts.next().unwrap(), parts.next().unwrap());
    assert_eq!(check_versions(NEWEST, FORMER, release), [""; 0]);
}
