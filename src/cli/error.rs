//! Why a command failed: one line for people, one exit code for scripts.

use crate::telemetry::chain;
use ocim_api_spec::{Problem, ProblemType};
use std::error::Error;

/// What the exit codes mean; a part of `ocim --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  it is done
  1  it failed
  2  the command line or the input breaks a rule
  3  there is no such thing
  4  the state forbids it now, or somebody else changed it meanwhile
  5  the server, or something that it needs, does not answer
  6  the token is missing or not valid
  7  the run that was waited for turned back or is stuck";

/// How a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For no other reason of this list.
    Failed = 1,
    /// The command line or the input breaks a rule.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The state forbids it.
    Refused = 4,
    /// Something does not answer.
    Unavailable = 5,
    /// No valid token.
    Unauthorized = 6,
    /// A run that was waited for did not reach its goal.
    RunFailed = 7,
}

/// A failed command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// How.
    pub kind: Kind,
    /// What happened and what to do, in one line.
    pub message: String,
}

impl CliError {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A failure of this kind with all its causes.
    pub fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        Self::new(kind, chain(error))
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let kind = match problem.kind {
            ProblemType::Unauthorized => Kind::Unauthorized,
            ProblemType::NotFound => Kind::NotFound,
            ProblemType::CommandRejected
            | ProblemType::IdempotencyKeyInUse
            | ProblemType::VersionConflict
            | ProblemType::StaleVersion => Kind::Refused,
            ProblemType::Busy | ProblemType::Unavailable => Kind::Unavailable,
            ProblemType::BadRequest
            | ProblemType::TooLarge
            | ProblemType::UnsupportedMediaType
            | ProblemType::IdempotencyKeyReused
            | ProblemType::InvalidInput => Kind::Usage,
            ProblemType::MethodNotAllowed | ProblemType::RequestTimeout | ProblemType::Internal => {
                Kind::Failed
            }
        };
        let mut message = problem.detail.unwrap_or(problem.title);
        for error in problem.errors {
            message.push_str(&format!("; {}: {}", error.field, error.rule));
        }
        if let Some(seconds) = problem.retry_after_s {
            message.push_str(&format!("; try again in {seconds} s"));
        }
        Self { kind, message }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(Kind::Failed, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_becomes_one_line_and_an_exit_code() {
        let problem = Problem::new(ProblemType::InvalidInput).error("name", "1 to 250 characters");
        let error = CliError::from(problem);
        assert_eq!(error.kind as u8, 2);
        assert_eq!(error.message, "The input breaks a rule; name: 1 to 250 characters");
        let error = CliError::from(Problem::new(ProblemType::Busy).retry_after_s(3));
        assert_eq!(error.kind as u8, 5);
        assert_eq!(error.message, "Ocim is busy; try again in 3 s");
    }

    #[test]
    fn the_documented_exit_codes_are_all_there_are() {
        let kinds = [
            Kind::Failed,
            Kind::Usage,
            Kind::NotFound,
            Kind::Refused,
            Kind::Unavailable,
            Kind::Unauthorized,
            Kind::RunFailed,
        ];
        for (number, kind) in (1..).zip(kinds) {
            assert_eq!(kind as u8, number);
            assert!(EXIT_CODES.contains(&format!("\n  {number}  ")));
        }
        assert_eq!(EXIT_CODES.lines().count(), 2 + kinds.len());
    }
}
