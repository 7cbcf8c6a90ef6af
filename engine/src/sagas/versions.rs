//! Versions of a process: a later one says what differs from the former, and a former one may go.

use super::definition::{Definition, Step};
use super::host::Host;
use derive_where::derive_where;

/// The rows with `new` before the one of that path. `M` is `N + 1`.
///
/// # Panics
/// In a constant, that is when it is compiled: where no row has the path.
#[must_use]
pub const fn insert_before<const N: usize, const M: usize, H: Host>(
    rows: &[Step<H>; N],
    path: &str,
    new: Step<H>,
) -> [Step<H>; M] {
    const { assert!(M == N + 1) }
    let place = find(rows, path);
    let mut all = [new; M];
    let mut from = 0;
    while from < N {
        all[if from < place { from } else { from + 1 }] = rows[from];
        from += 1;
    }
    all
}

/// The rows without the one of that path. `M` is `N - 1`.
///
/// # Panics
/// As [`insert_before`].
#[must_use]
pub const fn leave_out<const N: usize, const M: usize, H: Host>(
    rows: &[Step<H>; N],
    path: &str,
) -> [Step<H>; M] {
    const { assert!(M + 1 == N) }
    let place = find(rows, path);
    let mut all = [rows[0]; M];
    let mut to = 0;
    while to < M {
        all[to] = rows[if to < place { to } else { to + 1 }];
        to += 1;
    }
    all
}

/// The rows with `new` in place of the one of that path.
///
/// # Panics
/// As [`insert_before`].
#[must_use]
pub const fn replace<const N: usize, H: Host>(
    rows: &[Step<H>; N],
    path: &str,
    new: Step<H>,
) -> [Step<H>; N] {
    let mut all = *rows;
    all[find(rows, path)] = new;
    all
}

const fn find<const N: usize, H: Host>(rows: &[Step<H>; N], path: &str) -> usize {
    let mut index = 0;
    while index < N {
        if is_same(rows[index].path, path) {
            return index;
        }
        index += 1;
    }
    panic!("no row has that path")
}

/// Compares texts where `==` can't be had yet: in constants.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// A release of Ocim: `major.minor`.
pub type Release = (u64, u64);

/// A version of a process that has a successor, kept for the runs that began with it.
#[derive_where(Debug, Clone, Copy)]
pub struct Former<H: Host> {
    /// The version.
    pub definition: &'static Definition<H>,
    /// The release that came with its successor.
    pub until: Release,
}

/// Minor releases that still have a former version, the one of its successor included.
///
/// Whoever upgrades one release at a time has them to bring its runs to an end in. A run that is open
/// even then is stuck with `unknown_definition`, and goes on under a release that knows it.
pub const RELEASES_KEPT: u64 = 2;

impl<H: Host> Former<H> {
    /// Whether it may go in this release.
    #[must_use]
    pub const fn may_go(&self, release: Release) -> bool {
        release.0 > self.until.0
            || release.0 == self.until.0 && release.1 >= self.until.1 + RELEASES_KEPT
    }
}

/// What is wrong with former versions beside the newest ones, in this release: one sentence each.
#[must_use]
pub fn check_versions<H: Host>(
    newest: &[&'static Definition<H>],
    former: &[Former<H>],
    release: Release,
) -> Vec<String> {
    let tell = |it: &Former<H>| {
        let (name, version) = (it.definition.name, it.definition.version);
        let successor = newest.iter().find(|known| known.name == name);
        let what = match successor {
            None => "has no successor: nobody can start such a run",
            Some(successor) if successor.version <= version => "is not older than its successor",
            Some(_) if it.until > release => "gave way in a release that is yet to come",
            Some(_) if it.may_go(release) => {
                "may go: take it out, with its histories and its counts"
            }
            Some(_) => return None,
        };
        Some(format!("version {version} of `{name}` {what}"))
    };
    former.iter().filter_map(tell).collect()
}
