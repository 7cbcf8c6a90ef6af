//! The cells of a matrix: all are tried and counted; those that fail are told together.

use crate::support::counts::report_counts;
use futures_util::FutureExt;
use ocim::processes::step::Definition;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

/// A matrix that is being tried.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    cells: BTreeMap<String, usize>,
    failed: Vec<String>,
}

/// Where a cell lies: a process and its step.
pub(crate) fn place_of(definition: &Definition, step: &str) -> String {
    format!("{} v{} {step}", definition.name, definition.version)
}

impl Matrix {
    /// Tries a cell.
    pub(crate) async fn cell(
        &mut self,
        place: String,
        name: impl FnOnce() -> String,
        check: impl Future<Output = ()>,
    ) {
        *self.cells.entry(place).or_default() += 1;
        if AssertUnwindSafe(check).catch_unwind().await.is_err() {
            self.failed.push(name());
        }
    }

    /// Tells how many cells there were, and fails if any did.
    pub(crate) fn finish(self, name: &str) -> usize {
        report_counts(name, &self.cells);
        let cells = self.cells.values().sum();
        let failed = self.failed;
        assert!(
            failed.is_empty(),
            "{name}: {} of {cells} failed:\n{}",
            failed.len(),
            failed.join("\n")
        );
        cells
    }
}
