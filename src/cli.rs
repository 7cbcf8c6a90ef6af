//! The command line. Most commands ask the running server; a few open the database themselves.

mod appservers;
mod check;
mod client;
mod database;
mod demo;
mod error;
mod events;
mod explain;
mod instances;
mod logs;
mod operators;
mod output;
mod regions;
mod runs;
mod serve;
mod servers;
mod simulate;
mod statistics;
mod timeline;
mod tokens;

pub use error::{CliError, EXIT_CODES, Kind};

use crate::config::{Config, ConfigError};
use clap::{Parser, Subcommand};
use client::{Client, Place};
use output::Output;
use std::path::PathBuf;
use std::process::ExitCode;

/// Deploys and runs Open edX sites.
#[derive(Debug, Parser)]
#[command(name = "ocim", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// The server's data folder; else `OCIM_DATA_DIR`
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Ask the server at this URL instead of this machine's
    #[arg(long, global = true, value_name = "URL", requires = "token_file")]
    server: Option<String>,
    /// File with the token for --server
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until Ctrl-C or SIGTERM
    Serve,
    /// Deploy a site on this machine alone, with real parts, and remove it all at the end
    Demo(demo::DemoArgs),
    /// Try Ocim in a simulated world that goes wrong by a seed, on virtual time
    Simulate(simulate::SimulateArgs),
    /// Look whether all that Ocim needs is there
    Check,
    /// Tokens for the API
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Sites
    #[command(subcommand)]
    Instance(instances::InstanceCommand),
    /// Deployments of a site
    #[command(subcommand)]
    Appserver(appservers::AppserverCommand),
    /// Machines and regions
    #[command(subcommand)]
    Server(servers::ServerCommand),
    /// Long work and its steps
    #[command(subcommand)]
    Run(runs::RunCommand),
    /// Regions of clouds, and who waits for a slot there
    #[command(subcommand)]
    Region(regions::RegionCommand),
    /// Say what a code, a problem or a run is about, and what to do
    Explain(explain::ExplainArgs),
    /// The log of events
    #[command(subcommand)]
    Events(events::EventCommand),
    /// Read models
    #[command(subcommand)]
    Projections(events::ProjectionCommand),
    /// Print `openapi.json`, the description of the API
    Openapi,
}

/// Runs the process's command line; errors go to standard error in one line.
pub async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage as u8));
        }
    };
    let mut output = Output::standard(cli.json);
    match run(cli, &mut output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = error.message.replace('\n', " ");
            let _ = output.progress(format!("ocim: {line}"));
            ExitCode::from(error.kind as u8)
        }
    }
}

async fn run(cli: Cli, output: &mut Output) -> Result<(), CliError> {
    let (server, token_file, data_dir) = (cli.server, cli.token_file, cli.data_dir);
    let configured = || {
        let config = Config::from_environment()?;
        let data_dir = data_dir.clone().unwrap_or_else(|| config.data_dir.clone());
        Ok(Config { data_dir, ..config })
    };
    let config = || configured().map_err(|errors: Vec<ConfigError>| misconfigured(&errors));
    let client = || match (&server, &token_file, &data_dir) {
        (Some(url), Some(file), _) => {
            Client::find(&Place::Address { url: url.clone(), token_file: file.clone() })
        }
        (_, _, Some(root)) => Client::find(&Place::Folder(root.clone())),
        _ => Client::find(&Place::Folder(config()?.data_dir)),
    };
    match cli.command {
        Command::Serve => serve::run(config()?).await,
        Command::Demo(args) => demo::run(args, config()?, output).await,
        Command::Simulate(args) => simulate::run(args, output).await,
        Command::Check => check::run(configured(), output).await,
        Command::Token(command) => tokens::run(command, &config()?, output).await,
        Command::Instance(command) => instances::run(command, &client()?, output).await,
        Command::Appserver(command) => appservers::run(command, &client()?, output).await,
        Command::Server(command) => servers::run(command, &client()?, output).await,
        Command::Run(command) => runs::run(command, &client()?, output).await,
        Command::Region(command) => regions::run(command, &client()?, output).await,
        Command::Explain(args) => match args.run_id() {
            Some(run) => operators::explain(run, &client()?, output).await,
            None => explain::print_page(&args, output),
        },
        Command::Events(command) => events::run_events(command, &config()?, output).await,
        Command::Projections(command) => events::run_projections(command, &config()?, output).await,
        Command::Openapi => print_openapi(output),
    }
}

fn misconfigured(errors: &[ConfigError]) -> CliError {
    let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
    CliError::new(Kind::Usage, all.join("; "))
}

fn print_openapi(output: &mut Output) -> Result<(), CliError> {
    let text = crate::http::openapi::document_text().map_err(std::io::Error::from)?;
    output.line(text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let cli = Cli::try_parse_from(["ocim", "run", "list", "--open", "--json"]).unwrap();
        assert!(cli.json);
        assert!(Cli::try_parse_from(["ocim", "run", "list", "--server", "http://x"]).is_err());
    }
}
