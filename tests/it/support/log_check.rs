//! The product's log holds no warning and no error that its test does not expect.

use std::sync::{Mutex, PoisonError};

/// A part of a line, and why a test expects it.
pub(crate) type Expected = (&'static str, &'static str);

/// What a test expects to find in the log; nothing, unless it says so.
#[derive(Debug, Default)]
pub(crate) struct ExpectedLines(Mutex<Vec<&'static str>>);

impl ExpectedLines {
    /// From now on lines with these parts are expected, for these reasons.
    pub(crate) fn add(&self, lines: &[Expected]) {
        assert!(lines.iter().all(|(_, reason)| !reason.is_empty()), "{lines:?}");
        self.lock().extend(lines.iter().map(|(part, _)| part));
    }

    /// The warnings, errors and panics of a log that nobody expects.
    pub(crate) fn find_unexpected(&self, log: &str) -> Vec<String> {
        let expected = self.lock();
        let lines = log.lines().map(without_colours).filter(|line| is_trouble(line));
        lines.filter(|line| !expected.iter().any(|part| line.contains(part))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line begins with a time and one of the two levels, or tells of a panic.
fn is_trouble(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let has_time = words.next().is_some_and(|time| time.contains('T') && time.ends_with('Z'));
    let has_level = matches!(words.next(), Some("WARN" | "ERROR"));
    (has_time && has_level) || (line.starts_with("thread '") && line.contains("panicked at"))
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
               thread 'main' panicked at src/main.rs:1:1:\n\
               some WARN of people\n\
               \u{1b}[2m2026-11-28T06:00:02Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m it broke error=x\n";
    let expected = ExpectedLines::default();
    assert_eq!(expected.find_unexpected(log).len(), 3);
    expected.add(&[("the cloud is slow", "this test slows it"), ("panicked", "a test")]);
    assert_eq!(expected.find_unexpected(log), ["2026-11-28T06:00:02Z ERROR it broke error=x"]);
}
