//! The cells of a matrix: all are tried and counted; those that fail are told together.

use crate::support::counts::report_count;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

/// A matrix that is being tried.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    cells: usize,
    failed: Vec<String>,
}

impl Matrix {
    /// Tries a cell.
    pub(crate) async fn cell(
        &mut self,
        name: impl FnOnce() -> String,
        check: impl Future<Output = ()>,
    ) {
        self.cells += 1;
        if AssertUnwindSafe(check).catch_unwind().await.is_err() {
            self.failed.push(name());
        }
    }

    /// Says how many cells there were, and fails if any did.
    pub(crate) fn finish(self, name: &str) -> usize {
        report_count(name, format_args!("{} cells", self.cells));
        let Self { cells, failed } = self;
        assert!(
            failed.is_empty(),
            "{name}: {} of {cells} failed:\n{}",
            failed.len(),
            failed.join("\n")
        );
        cells
    }
}
