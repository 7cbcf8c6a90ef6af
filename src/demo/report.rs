//! What the demo found, and what must hold.

use super::visitors::{MaintenanceTally, Tally};
use crate::app::{AppError, JournalError};
use crate::boot::BootError;
use ocim_domain::ids::RunId;
use serde::Serialize;
use std::path::PathBuf;

/// What `ocim demo --once` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The instance's id.
    pub instance: String,
    /// The Appservers' ids, in the order of their numbers.
    pub appservers: Vec<String>,
    /// The site's link.
    pub url: String,
    /// Status of the first page.
    pub http_status: u16,
    /// Requests that visitors made while the second Appserver, and then the third, took over, and
    /// around the maintenance.
    pub requests: usize,
    /// Those that were not answered as they should be.
    pub failed_requests: usize,
    /// From the start of the demo.
    pub seconds: f64,
    /// Events in the log.
    pub events: usize,
    /// Runs in the log.
    pub runs: usize,
}

/// A report, and what did not hold.
#[derive(Debug)]
pub struct Verdict {
    /// What was seen.
    pub report: Report,
    /// The first promise that did not hold; none when all did.
    pub fault: Option<DemoError>,
}

impl Tally {
    /// Whether the take-over was unnoticed and complete: the first thing that was not so.
    #[must_use]
    pub fn fault(self) -> Option<DemoError> {
        let Self { requests, failed, out_of_order, answered: [old, new] } = self;
        let fault = if failed > 0 {
            format!("{failed} of {requests} requests failed")
        } else if requests < super::REQUESTS_MIN {
            format!("only {requests} requests were made")
        } else if old == 0 || new == 0 {
            format!("the old appserver answered {old} requests, the new one {new}")
        } else if out_of_order > 0 {
            format!(
                "the old appserver answered {out_of_order} requests after the new one had begun"
            )
        } else {
            return None;
        };
        Some(DemoError::Held(fault))
    }
}

impl MaintenanceTally {
    /// Whether visitors got the page, and nothing else but the site: the first thing that was not so.
    #[must_use]
    pub fn fault(self) -> Option<DemoError> {
        let Self { requests, failed, pages, is_framed } = self;
        let fault = if failed > 0 {
            format!("{failed} of {requests} requests failed around the maintenance")
        } else if pages == 0 {
            "no visitor got the page of the maintenance".to_owned()
        } else if !is_framed {
            "visitors did not get the site before and after the maintenance".to_owned()
        } else {
            return None;
        };
        Some(DemoError::Held(fault))
    }
}

/// Why the demo did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Ocim could not start.
    #[error("ocim could not start")]
    Boot(#[source] BootError),
    /// The folder can't be used.
    #[error("the folder {} can't be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A command was refused.
    #[error("a command was not carried out")]
    Command(#[from] AppError),
    /// A run did not reach its goal.
    #[error("{run} did not reach its goal: {why}")]
    Run {
        /// The run.
        run: RunId,
        /// What it says.
        why: String,
    },
    /// Something that must hold did not.
    #[error("it did not hold: {0}")]
    Held(String),
}

impl From<JournalError> for DemoError {
    fn from(error: JournalError) -> Self {
        Self::Command(error.into())
    }
}
