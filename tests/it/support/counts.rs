//! What tests have to tell beside whether they passed: `scripts/test.sh` shows it at its end.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// How many cells of each place (a process and its step, or the like) a matrix was made of. The
/// numbers in `tests/counts.txt` are the least that there may be.
pub(crate) fn report_counts(matrix: &str, cells: &BTreeMap<String, usize>) {
    let rows: Vec<_> = cells.iter().map(|(place, n)| format!("{matrix}\t{place}\t{n}")).collect();
    tell("counts.txt", &rows.join("\n"));
}

/// As [`report_counts`], where there is but one place.
pub(crate) fn report_count(matrix: &str, place: &str, cells: usize) {
    report_counts(matrix, &BTreeMap::from([(place.to_owned(), cells)]));
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
