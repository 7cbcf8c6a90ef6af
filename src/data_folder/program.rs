//! Runs a short program to its end: with a deadline, no input, and its complaint in the error.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there.
    #[error("{program} is missing: install the Debian package {package}")]
    Missing {
        /// Its name.
        program: String,
        /// Who brings it.
        package: &'static str,
    },
    /// It could not be started.
    #[error("{program} could not be started")]
    NotStarted {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long, and was ended.
    #[error("{program} took longer than {seconds} s")]
    TimedOut {
        /// Its name.
        program: String,
        /// How long it had.
        seconds: u64,
    },
    /// It said no.
    #[error("{program} failed: {complaint}")]
    Failed {
        /// Its name.
        program: String,
        /// The last lines it wrote.
        complaint: String,
    },
}

/// Runs `command`, which comes with the Debian package `package`; returns its output.
pub(crate) async fn run(
    mut command: Command,
    package: &'static str,
    timeout: Duration,
) -> Result<Output, ProgramError> {
    let path = command.as_std().get_program().to_string_lossy().into_owned();
    let program = path.rsplit('/').next().unwrap_or(&path).to_owned();
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Err(_) => return Err(ProgramError::TimedOut { program, seconds: timeout.as_secs() }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ProgramError::Missing { program, package });
        }
        Ok(Err(source)) => return Err(ProgramError::NotStarted { program, source }),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(output);
    }
    let complaint = last_lines(&[output.stdout, output.stderr].concat(), 3);
    Err(ProgramError::Failed { program, complaint })
}

/// The last lines of an output that say something, in one line.
pub(crate) fn last_lines(output: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let error = run(Command::new("/nowhere/sought"), "seekers", Duration::from_secs(5)).await;
        let text = error.expect_err("no such program").to_string();
        assert_eq!(text, "sought is missing: install the Debian package seekers");
    }

    #[tokio::test]
    async fn a_program_that_hangs_or_fails_is_told_of() {
        let sh = |script| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let error = run(sh("exec sleep 60"), "dash", Duration::from_millis(50)).await;
        assert!(matches!(error, Err(ProgramError::TimedOut { .. })), "{error:?}");
        let error =
            run(sh("echo; echo 'no way' >&2; exit 3"), "dash", Duration::from_secs(20)).await;
        assert_eq!(error.expect_err("exit 3").to_string(), "sh failed: no way");
    }
}
