//! Why a command failed: one line for people, one exit code for scripts.

use super::words;
use ocim_api_spec::{Problem, ProblemType};
use ocim_domain::error_chain::chain;
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
  6  the token is missing, not valid, or may not do this
  7  the run that was waited for turned back or is stuck
  8  something needs a person (`ocim status`)
`ocim appserver ssh` and `exec` end as what they ran.";

/// How a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody reads the answer any more, e.g. after `| head`: no failure.
    Unread = 0,
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
    /// Something needs a person.
    NeedsYou = 8,
}

/// A failed command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// How.
    pub kind: Kind,
    /// What happened and what to do, in one line; blank where that was said already.
    pub message: String,
    /// The exit code of a program that was run, which stands for the kind's.
    pub ended: Option<u8>,
}

impl CliError {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), ended: None }
    }

    /// A program that was run ended so; it has said why.
    pub fn ended(code: u8) -> Self {
        Self { ended: Some(code), ..Self::new(Kind::Failed, "") }
    }

    /// With which code the process ends.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.ended.unwrap_or(self.kind as u8)
    }

    /// A failure of this kind with all its causes.
    pub fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        Self::new(kind, chain(error))
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let kind = match problem.kind {
            ProblemType::Unauthorized | ProblemType::Forbidden => Kind::Unauthorized,
            ProblemType::NotFound => Kind::NotFound,
            ProblemType::CommandRejected
            | ProblemType::InstanceHeld
            | ProblemType::IdempotencyKeyInUse
            | ProblemType::NameTaken
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
        let mut message = words::of_command_line(&problem.detail.unwrap_or(problem.title));
        for error in problem.errors {
            let (field, rule) = (words::tell_field(&error.field), &error.rule);
            message.push_str(&format!("; {field}: {}", words::of_command_line(rule)));
        }
        if let Some(seconds) = problem.retry_after_s {
            message.push_str(&format!("; try again in {seconds} s"));
        }
        Self::new(kind, message)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        let is_unread = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self::from_error(if is_unread { Kind::Unread } else { Kind::Failed }, &error)
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
            Kind::NeedsYou,
        ];
        for (number, kind) in (1..).zip(kinds) {
            assert_eq!(kind as u8, number);
            assert!(EXIT_CODES.contains(&format!("\n  {number}  ")));
        }
        assert_eq!(EXIT_CODES.lines().count(), 3 + kinds.len());
    }
}
