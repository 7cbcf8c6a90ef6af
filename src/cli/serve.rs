//! `ocim serve`

use super::error::{CliError, Kind};
use super::output::Output;
use crate::boot::Node;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::http::LOCAL_TOKEN_FILE;
use crate::telemetry;
use ocim_adapters::cloud::Power;
use ocim_adapters::cloud::local::list_all;
use tokio::signal::unix::{SignalKind, signal};

/// How to start.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Have no work begin until somebody resumes it (`ocim resume all`): commands are taken, and wait
    #[arg(long)]
    paused: bool,
}

impl ServeArgs {
    /// The configuration with what is said here.
    pub(super) fn apply(self, config: Config) -> Config {
        let reason = "it was started with --paused".to_owned();
        Config { start_paused: self.paused.then_some(reason), ..config }
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// When a part does not start; what had started is stopped again.
pub(super) async fn run(config: Config, output: &mut Output) -> Result<(), CliError> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| CliError::from_error(Kind::Failed, error);
    telemetry::init(config.log_format, &config.log_filter).map_err(|error| failed(&error))?;
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    // Taken before anything starts, so that an early signal stops the server in order, too.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let node = Node::start(&config).await.map_err(|error| failed(&error))?;
    tracing::info!(address = %node.address(), "ocim answers; its pages are below /docs/");
    // Who starts it without a standard output has the log.
    let _ = greet(&config, &node, output);
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!("draining: a second signal ends at once");
    let stopped = node.stop();
    tokio::select! {
        folder = stopped => {
            let _ = tell_machines(&folder, output);
            Ok(())
        }
        _ = terminated.recv() => Err(cut_short()),
        _ = interrupted.recv() => Err(cut_short()),
    }
}

/// Says where the server answers, what opens it, and what to do next.
fn greet(config: &Config, node: &Node, output: &mut Output) -> Result<(), CliError> {
    let (address, root) = (node.address(), &config.data_dir);
    let token = root.join(LOCAL_TOKEN_FILE);
    output.line(format!("Ocim answers at http://{address}/; its pages are at /docs/"))?;
    output.line(format!("The token of this machine's commands is in {}", token.display()))?;
    output.line("In another terminal: ocim instance create --sub-domain alpha --name Alpha")?;
    output.line("                     ocim appserver launch alpha --activate --wait")?;
    output.line("                     ocim status")?;
    output.line("Ctrl-C stops it; local machines go on, see `ocim machine list`")
}

/// Says that local machines go on.
fn tell_machines(folder: &DataFolder, output: &mut Output) -> Result<(), CliError> {
    let regions = std::fs::read_dir(folder.cloud())?.flatten();
    let machines = regions.flat_map(|entry| list_all(&entry.path()).unwrap_or_default());
    match machines.filter(|machine| machine.power == Power::Active).count() {
        0 => Ok(()),
        count => output.line(format!(
            "{count} local machines go on; `ocim machine list` shows them, `ocim machine stop` stops them"
        )),
    }
}

fn cut_short() -> CliError {
    let message = "ended at once, as asked: what was under way is looked up at the next start";
    CliError::new(Kind::Failed, message)
}
