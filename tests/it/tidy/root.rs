//! Which tests only root can run is said in one place, `scripts/test.sh`.

use super::{list_code, read};
use std::collections::BTreeSet;

/// What a test needs that only root can have, and the file that gives it.
const NEEDED: (&str, &str) = ("private_openstack", "tests/it/support/private_openstack.rs");

/// The suite of a file of the integration tests.
fn suite(path: &str) -> Option<&str> {
    path.strip_prefix("tests/it/")?.split(['/', '.']).next()
}

#[test]
fn what_needs_root_lies_in_the_suites_that_are_said_to() {
    let script = read("scripts/test.sh");
    let line = script.lines().find_map(|line| line.strip_prefix("root_suites=(")).unwrap();
    let told: BTreeSet<_> = line.trim_end_matches(')').split(' ').collect();
    let (needed, own) = NEEDED;
    let code = list_code();
    let needing = code.iter().filter(|(path, text)| path != own && text.contains(needed));
    let suites: BTreeSet<_> = needing
        .filter_map(|(path, _)| suite(path))
        .filter(|suite| !["support", "tidy"].contains(suite))
        .collect();
    assert_eq!(suites, told, "`root_suites` in scripts/test.sh");
    // What else asks who it runs as can do its work as both.
    let asserted = concat!("assert!(nix::unistd::geteuid()", ".is_root()");
    let asserting = code.iter().filter(|(_, text)| text.contains(asserted));
    assert_eq!(asserting.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [own]);
}
