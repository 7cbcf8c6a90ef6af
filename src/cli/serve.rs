//! `ocim serve`

use super::error::{CliError, Kind};
use crate::boot::Node;
use crate::config::Config;
use crate::telemetry;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the server until it is told to stop.
///
/// # Errors
/// When a part does not start; what had started is stopped again.
pub(super) async fn run(config: Config) -> Result<(), CliError> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| CliError::from_error(Kind::Failed, error);
    telemetry::init(config.log_format, &config.log_filter).map_err(|error| failed(&error))?;
    // Taken before anything starts, so that an early signal stops the server in order, too.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let node = Node::start(&config).await.map_err(|error| failed(&error))?;
    tracing::info!(address = %node.address(), "ocim answers; its pages are below /docs/");
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!("draining: a second signal ends at once");
    let stopped = node.stop();
    tokio::select! {
        _ = stopped => Ok(()),
        _ = terminated.recv() => Err(cut_short()),
        _ = interrupted.recv() => Err(cut_short()),
    }
}

fn cut_short() -> CliError {
    let message = "ended at once, as asked: what was under way is looked up at the next start";
    CliError::new(Kind::Failed, message)
}
