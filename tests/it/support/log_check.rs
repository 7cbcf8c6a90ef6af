//! The product's log holds no warning and no error that its test does not expect.

use std::sync::{Mutex, PoisonError};

/// What a test expects to find in the log, each part of a line with the reason. A test that has not
/// said it, with a list that may be empty, is not looked at.
#[derive(Debug, Default)]
pub(crate) struct ExpectedLines(Mutex<Option<Vec<&'static str>>>);

impl ExpectedLines {
    /// From now on lines with these parts are expected, for these reasons.
    pub(crate) fn add(&self, lines: &[(&'static str, &'static str)]) {
        assert!(lines.iter().all(|(_, reason)| !reason.is_empty()), "{lines:?}");
        self.lock().get_or_insert_default().extend(lines.iter().map(|(part, _)| part));
    }

    /// The warnings and errors of a log that nobody expects.
    pub(crate) fn find_unexpected(&self, log: &str) -> Vec<String> {
        let guard = self.lock();
        let Some(expected) = &*guard else { return vec![] };
        let lines = log.lines().map(without_colours).filter(|line| is_trouble(line));
        lines.filter(|line| !expected.iter().any(|part| line.contains(part))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<&'static str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line begins with a time and one of the two levels.
fn is_trouble(line: &str) -> bool {
    matches!(line.split_whitespace().nth(1), Some("WARN" | "ERROR"))
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn a_warning_is_found_in_colour_too_and_an_expected_one_is_not() {
    let log = "2026-11-28T06:00:00Z  INFO all is well: no ERROR\n\
               2026-11-28T06:00:01Z  WARN the cloud is slow\n\
               \u{1b}[2m2026-11-28T06:00:02Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m it broke error=x\n";
    let expected = ExpectedLines::default();
    expected.add(&[]);
    assert_eq!(expected.find_unexpected(log).len(), 2);
    expected.add(&[("the cloud is slow", "this test slows it")]);
    assert_eq!(expected.find_unexpected(log), ["2026-11-28T06:00:02Z ERROR it broke error=x"]);
}
