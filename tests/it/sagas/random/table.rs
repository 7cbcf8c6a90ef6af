//! A random process as a table of steps, all of which read what they do from their run's world.

use super::case::{Back, Case, Row};
use super::outside;
use ocim::processes::step::{Definition, Kind, Step};
use std::time::Duration;

pub(crate) const NAME: &str = "at_random";
/// The longest that one attempt of any step may take.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(600);
/// The longest that all attempts of a step take where that is limited.
pub(crate) const LIMIT: Duration = Duration::from_secs(500);
const REASON: &str = "it was drawn so";

/// The table, and which row is which step.
pub(crate) fn table(case: &Case) -> (&'static Definition, Vec<(&'static str, Row)>) {
    let paths = paths(case);
    let before = paths.len() - case.after.len();
    let steps: Vec<Step> = case
        .rows()
        .zip(&paths)
        .enumerate()
        .map(|(index, (row, path))| {
            let kind = match index.checked_sub(before) {
                None => kind_of(row, &paths),
                Some(0) => Kind::Pivot(REASON),
                Some(_) => Kind::Retryable(REASON),
            };
            step(path, row, kind)
        })
        .collect();
    // Definitions live as long as Ocim does: a few hundred bytes a case.
    let definition = Definition {
        name: NAME,
        version: 1,
        steps: Vec::leak(steps),
        deadline: None,
        on_abandoned: None,
        settles_on_undo: false,
    };
    (Box::leak(Box::new(definition)), paths.into_iter().zip(case.rows().cloned()).collect())
}

fn kind_of(row: &Row, paths: &[&'static str]) -> Kind {
    match row.back {
        Back::Undone => Kind::Compensable(outside::undo),
        Back::KeptAfter(number) => {
            Kind::CompensableUnlessFailedAfter(outside::undo, paths[number % paths.len()], REASON)
        }
        Back::NoUndo => Kind::NoUndo(REASON),
    }
}

fn step(path: &'static str, row: &Row, kind: Kind) -> Step {
    let timeouts: [fn(&_) -> Duration; 3] =
        [|_| Duration::from_secs(60), |_| Duration::from_secs(200), |_| LONGEST_CALL];
    Step {
        probe: if row.probe { Some(outside::probe) } else { None },
        max_elapsed: if row.is_limited { Some(|_| LIMIT) } else { None },
        ..Step::new(path, outside::run, kind, row.attempts_max, timeouts[row.timeout])
    }
}

/// A block of one step is that step; others have named branches.
fn paths(case: &Case) -> Vec<&'static str> {
    let mut paths = vec![];
    for (number, block) in case.blocks.iter().enumerate() {
        let is_alone = block.len() == 1 && block[0].len() == 1;
        for (branch, rows) in block.iter().enumerate() {
            for place in 0..rows.len() {
                paths.push(match is_alone {
                    true => format!("step{number}"),
                    false => format!("block{number}/branch{branch}/step{place}"),
                });
            }
        }
    }
    paths.extend((0..case.after.len()).map(|number| format!("after{number}")));
    paths.into_iter().map(|path| &*path.leak()).collect()
}
