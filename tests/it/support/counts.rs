//! What tests have to tell beside whether they passed: `scripts/test.sh` shows it at its end.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// How many cells a test was made of: one line.
pub(crate) fn report_count(name: &str, text: impl std::fmt::Display) {
    tell("counts.txt", &format!("{name:<24} {text}"));
}

/// A table, after all counts.
pub(crate) fn report_table(name: &str, lines: &[String]) {
    tell(&format!("table-{name}.txt"), &lines.join("\n"));
}

/// Appends to a file of the folder that `TEST_COUNTS_DIR` names. Cargo shows what a test prints
/// only when it fails: without a folder, `--nocapture` shows it.
#[expect(clippy::print_stdout, reason = "a test tells what it counted")]
fn tell(file: &str, text: &str) {
    let folder = std::env::vars_os().find(|(name, _)| name == "TEST_COUNTS_DIR");
    let Some((_, folder)) = folder else { return println!("{text}") };
    let path = PathBuf::from(folder).join(file);
    let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("its folder");
    // One write: tests run beside each other.
    file.write_all(format!("{text}\n").as_bytes()).expect("a file that takes a line");
}
