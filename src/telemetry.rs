//! What Ocim says on standard error, and how errors are told with all their causes.

use crate::config::LogFormat;
use std::error::Error;
use tracing_subscriber::EnvFilter;

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not understood.
    #[error("OCIM_LOG is not a log filter")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody has set it up before.
    #[error("the log is set up already")]
    Twice(#[source] Box<dyn Error + Send + Sync>),
}

/// Sends all further log lines to standard error.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(TelemetryError::Filter)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would be told on the same standard error, and end who logs if that disk is full.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Twice)
}

/// The error and its causes in one line, each after a colon: for log lines and command lines.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not start")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no space is left")]
    struct Inner;

    #[test]
    fn a_chain_tells_every_cause_once() {
        assert_eq!(chain(&Outer(Inner)), "could not start: no space is left");
        assert_eq!(chain(&Inner), "no space is left");
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        let error = init(LogFormat::Text, "info,=loud").expect_err("a filter that makes no sense");
        assert!(chain(&error).starts_with("OCIM_LOG is not a log filter: "), "{error:?}");
    }
}
