//! What Ocim tells of itself: log lines on standard error, errors with all their causes, spans.

pub mod traces;

use crate::config::LogFormat;
use crate::logs::masking::Masker;
use crate::metrics::Metrics;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use traces::Tracer;
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

/// What watches over the server.
#[derive(Debug, Clone)]
pub struct Observing {
    /// Its numbers.
    pub metrics: Arc<Metrics>,
    /// Where its spans go.
    pub tracer: Tracer,
    /// Whether anybody may read the metrics (`OCIM_METRICS_PUBLIC`).
    pub metrics_public: bool,
}

/// What no log line of this process may show.
static OWN_SECRETS: OnceLock<Masker> = OnceLock::new();

/// Takes these secrets out of all further log lines. Only the first call counts: the secrets of a
/// process do not change.
pub fn mask_secrets(secrets: impl IntoIterator<Item = String>) {
    OWN_SECRETS.get_or_init(|| Masker::new(secrets));
}

/// Standard error without secrets. The subscriber writes each line at once.
#[derive(Debug, Clone, Copy)]
struct MaskedStderr;

impl Write for MaskedStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match OWN_SECRETS.get() {
            None => io::stderr().write_all(line)?,
            Some(masker) => io::stderr().write_all(&masked(masker, line))?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn masked(masker: &Masker, line: &[u8]) -> Vec<u8> {
    masker.mask(&String::from_utf8_lossy(line)).into_bytes()
}

/// Sends all further log lines to standard error.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = read_filter(filter).map_err(TelemetryError::Filter)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| MaskedStderr)
        // Colours are for eyes: in a file they are noise.
        .with_ansi(io::stderr().is_terminal())
        // It would be told on the same standard error, and end who logs if that disk is full.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Twice)
}

/// What libraries say that is no news, and how to leave it out. It is told where the filter names the
/// library.
const QUIET: [(&str, &str); 3] = [
    // Errors about connections: anybody who sends rubbish makes them.
    ("actix_http", "actix_http::h1::dispatcher=off"),
    // Connections that are made anew, e.g. when the HTTP workers end that made them. Who gets none
    // says so himself.
    ("deadpool", "deadpool=error"),
    // Each failure of each call, as an error; who made the call has it, and says what comes of it.
    ("kurrentdb", "kurrentdb=off"),
];

fn read_filter(filter: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let quiet = QUIET.iter().filter(|(library, _)| !filter.contains(library));
    EnvFilter::try_new(quiet.fold(filter.to_owned(), |all, (_, less)| format!("{all},{less}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let masker = Masker::new(["hunter2hunter2".to_owned()]);
            self.0.lock().unwrap().extend(masked(&masker, line));
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn what_libraries_say_is_told_where_the_filter_names_them() {
        for (filter, told) in [
            ("info", 1),
            ("info,deadpool=warn", 2),
            ("info,actix_http=error", 2),
            ("info,kurrentdb=error", 2),
        ] {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber =
                tracing_subscriber::fmt().with_env_filter(read_filter(filter).unwrap());
            let subscriber = subscriber.with_writer(move || writer.clone()).finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "deadpool.postgres", "a connection is made anew");
                tracing::error!(target: "actix_http::h1::dispatcher", "this is no HTTP");
                tracing::error!(target: "kurrentdb::grpc", "a node is gone");
                tracing::warn!("news of ours");
            });
            let text = lines.text();
            assert_eq!(text.lines().count(), told, "{filter}: {text}");
            assert!(text.contains("news of ours"), "{filter}: {text}");
        }
    }

    #[test]
    fn a_json_line_says_who_and_what_without_secrets() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let subscriber = subscriber.json().flatten_event(true).finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("http.request", request.id = "r1", actor = "token:a");
            let _entered = span.enter();
            tracing::warn!(run = "run_1", url = "postgres://a:hunter2hunter2@b", "it failed");
        });
        let text = lines.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (field, value) in [("level", "WARN"), ("message", "it failed"), ("run", "run_1")] {
            assert_eq!(line[field], value, "{text}");
        }
        assert_eq!(line["span"]["request.id"], "r1", "{text}");
        assert_eq!(line["span"]["actor"], "token:a", "{text}");
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{text}");
        assert!(text.contains("postgres://a:***@b"), "{text}");
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        let error = init(LogFormat::Text, "info,=loud").expect_err("a filter that makes no sense");
        assert!(
            ocim_domain::error_chain::chain(&error).starts_with("OCIM_LOG is not a log filter: "),
            "{error:?}"
        );
    }
}
