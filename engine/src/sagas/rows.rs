//! Versions of one table that share their rows: a newer one is the older one with more in it.

use super::definition::Step;
use super::host::Host;

/// The rows with `new` before the one of that path; at the end if there is none. `M` is `N + 1`.
#[must_use]
pub const fn insert_before<const N: usize, const M: usize, H: Host>(
    rows: &[Step<H>; N],
    path: &str,
    new: Step<H>,
) -> [Step<H>; M] {
    const { assert!(M == N + 1) }
    let mut all = [new; M];
    let (mut from, mut to) = (0, 0);
    while from < N {
        if is_same(rows[from].path, path) {
            to += 1;
        }
        all[to] = rows[from];
        from += 1;
        to += 1;
    }
    all
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
