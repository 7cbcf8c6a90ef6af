//! `ocim demo`

use super::error::{CliError, Kind};
use super::output::Output;
use crate::config::Config;
use crate::demo::{Demo, DemoError, Deployed, Options};
use crate::telemetry;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// The name of the token that the demo prints.
const TOKEN: &str = "demo";

/// How to demonstrate.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Move traffic between two appservers while visitors come, print a report and end
    #[arg(long)]
    once: bool,
    /// Keep the data in this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Shows it, until Ctrl-C or with `--once` until all was shown; removes everything then.
///
/// # Errors
/// When something does not start, or a promise of the demo did not hold.
pub(super) async fn run(
    args: DemoArgs,
    config: Config,
    output: &mut Output,
) -> Result<(), CliError> {
    telemetry::init(config.log_format, "warn")
        .map_err(|error| CliError::from_error(Kind::Failed, &error))?;
    // Taken before anything starts, so that an early Ctrl-C removes everything, too.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let started = Instant::now();
    let tell = move |line: &str| {
        let elapsed = started.elapsed().as_secs_f64();
        // Progress that nobody reads is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{elapsed:6.1} s  {line}");
    };
    let keeps = args.dir.is_some();
    let demo = Demo::start(config, Options { dir: args.dir }, &tell).await.map_err(failed)?;
    let show = async {
        if args.once {
            let verdict = demo.demonstrate(&tell).await.map_err(failed)?;
            output.json_line(&verdict.report)?;
            return verdict.fault.map_or(Ok(()), |fault| Err(failed(fault)));
        }
        let site = demo.deploy(&tell).await.map_err(failed)?;
        let greeting = greet(&demo, &site, output).await;
        match greeting {
            Ok(()) => std::future::pending().await,
            Err(error) => Err(error),
        }
    };
    let outcome = tokio::select! {
        outcome = show => outcome,
        _ = interrupted.recv() => stopped(args.once),
        _ = terminated.recv() => stopped(args.once),
    };
    tell(if keeps { "stopping everything; the data stay" } else { "removing everything" });
    demo.end().await;
    outcome
}

/// A stop is how a demo that stays ends; one that was to report has failed.
fn stopped(once: bool) -> Result<(), CliError> {
    if once { Err(CliError::new(Kind::Failed, "stopped before all was shown")) } else { Ok(()) }
}

async fn greet(demo: &Demo, site: &Deployed, output: &mut Output) -> Result<(), CliError> {
    let node = demo.node();
    let token = node.tokens().replace_token(TOKEN).await;
    let token = token.map_err(|error| CliError::from_error(Kind::Failed, &error))?.expose();
    let api = format!("http://{}", node.address());
    if output.json {
        return output.json_line(&json!({
            "url": site.url, "docs": format!("{api}/docs/"), "api": format!("{api}/api/v1"),
            "token": token,
        }));
    }
    output.line(format!("the site       {}", site.url))?;
    output.line(format!("the API        {api}/docs/"))?;
    output.line(format!("with the token {token}"))?;
    output.line("Ctrl-C ends the demo")
}

fn failed(error: DemoError) -> CliError {
    CliError::from_error(Kind::Failed, &error)
}
