//! Why a command was not carried out, in words that every surface can use.

use ocim_domain::Timestamp;
use ocim_domain::event::{APPEND_BYTES_MAX, DecodeError};
use ocim_domain::ids::RunId;
use ocim_domain::saga::ErrorCode;
use ocim_engine::journal::{ExecuteError, JournalError};
use ocim_engine::sagas::definition::{Costs, StepError};
use ocim_engine::storable::Unstorable;
use ocim_engine::store::ReadError;
use ocim_engine::store::sealed::SealError;
use std::error::Error;
use std::time::Duration;

/// A field that breaks a rule.
pub use ocim_domain::settings::Violation;

type Source = Box<dyn Error + Send + Sync>;

/// Why a command was not carried out. Nothing was written, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing, or the caller may not know of it.
    #[error("there is no {what}")]
    NotFound {
        /// E.g. `instance inst_…`.
        what: String,
    },
    /// Fields break rules; all of them are named.
    #[error("some fields are not valid")]
    Invalid(Vec<Violation>),
    /// Names that must be unique are another's; all of them are told, by the fields that ask for
    /// them.
    #[error("some names are taken: {}", list(.0))]
    NamesTaken(Vec<Violation>),
    /// The state forbids it now.
    #[error("{detail}")]
    Rejected {
        /// Why, and what to do.
        detail: String,
        /// The run that is in the way, if one is.
        run: Option<RunId>,
    },
    /// Somebody else holds the instance.
    #[error("{detail}")]
    Held {
        /// Who, why, until when, and what to do.
        detail: String,
    },
    /// Somebody else changed it at the same time, again and again.
    #[error("somebody else is changing the same thing; try again")]
    VersionConflict,
    /// It has changed since the caller read it.
    #[error("it has changed since you read it")]
    Stale {
        /// Its version now.
        current: u64,
        /// What happened since the version that the caller had, oldest first.
        changes: Vec<SettingsEdit>,
    },
    /// Too much is waiting.
    #[error("too much is waiting to be written; try again")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something that Ocim needs does not answer.
    #[error("{what} can't be reached")]
    Unavailable {
        /// E.g. `the event store`.
        what: &'static str,
        /// What it said.
        #[source]
        source: Source,
    },
    /// A newer program wrote what this one would have to read.
    #[error("a newer Ocim has written what this one does not know: ask that one")]
    Newer(#[source] Source),
    /// A defect of Ocim's.
    #[error("an unexpected error")]
    Internal(#[source] Source),
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One change of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsEdit {
    /// The version they had from then on.
    pub version: u64,
    /// Who did it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// The settings that changed; none where all were set for the first time.
    pub changed: Vec<String>,
}

impl AppError {
    /// Something that Ocim needs does not answer.
    pub fn unavailable(what: &'static str, source: impl Into<Source>) -> Self {
        Self::Unavailable { what, source: source.into() }
    }

    /// A defect of Ocim's.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// The state forbids it, for a reason that says what to do.
    pub fn rejected(why: impl std::fmt::Display) -> Self {
        Self::Rejected { detail: why.to_string(), run: None }
    }

    /// There is no such thing.
    pub fn not_found(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what: format!("{kind} {id}") }
    }

    /// One field breaks one rule.
    pub fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { field: field.to_owned(), rule: rule.into() }])
    }
}

impl From<JournalError> for AppError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::VersionConflict => Self::VersionConflict,
            JournalError::Unstorable(Unstorable { field, rule }) => Self::invalid(&field, rule),
            JournalError::TooLarge => {
                let limit = APPEND_BYTES_MAX / 1024;
                Self::invalid("body", format!("takes more than the {limit} KiB of one change"))
            }
            JournalError::Busy { retry_after } => Self::Busy { retry_after },
            JournalError::Unavailable { what, source } => Self::Unavailable { what, source },
            JournalError::Newer(error) => Self::Newer(error.into()),
            JournalError::Internal(source) => Self::Internal(source),
        }
    }
}

impl<R: Error + Send + Sync + 'static> From<ExecuteError<R>> for AppError {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Rejected(why) => Self::rejected(why),
            ExecuteError::Journal(error) => error.into(),
        }
    }
}

impl From<DecodeError> for AppError {
    fn from(error: DecodeError) -> Self {
        JournalError::from(error).into()
    }
}

impl From<Unstorable> for AppError {
    fn from(error: Unstorable) -> Self {
        JournalError::from(error).into()
    }
}

impl From<ReadError> for AppError {
    fn from(error: ReadError) -> Self {
        JournalError::from(error).into()
    }
}

impl From<SealError> for AppError {
    fn from(error: SealError) -> Self {
        JournalError::from(error).into()
    }
}

impl From<AppError> for StepError {
    fn from(error: AppError) -> Self {
        let message = match &error {
            AppError::Invalid(broken) => list(broken),
            error => ocim_domain::error_chain::chain(error),
        };
        match error {
            AppError::Busy { .. } | AppError::Unavailable { .. } => {
                Self { costs: Costs::Outage, ..Self::transient(message) }
            }
            AppError::Newer(_) => Self { costs: Costs::Newer, ..Self::transient(message) },
            AppError::VersionConflict => Self::transient(message),
            AppError::NotFound { .. }
            | AppError::Invalid(_)
            | AppError::NamesTaken(_)
            | AppError::Rejected { .. }
            | AppError::Held { .. }
            | AppError::Stale { .. } => Self::permanent(ErrorCode::StateForbids, message),
            AppError::Internal(_) => Self::permanent(ErrorCode::Defect, message),
        }
    }
}
