//! `ocim machine …`: the local machines of a data folder, which outlive its server.

use super::error::{CliError, Kind};
use super::output::Output;
use crate::config::Config;
use crate::data_folder::DataFolder;
use clap::Subcommand;
use ocim_adapters::cloud::Power;
use ocim_adapters::cloud::local::{Found, list_all, stop_machines};
use std::path::PathBuf;

/// What one may do with local machines.
#[derive(Debug, Subcommand)]
pub(super) enum MachineCommand {
    /// List the machines of the data folder's local regions
    List,
    /// Stop machines that go on without a server; the next `ocim serve` starts them again
    Stop {
        /// Which, as `list` names them; all when left out
        ids: Vec<String>,
    },
}

/// Does it.
///
/// # Errors
/// [`Kind::Refused`] where a server runs, whose machines they are; [`Kind::NotFound`] for a machine
/// that is not there.
pub(super) fn run(
    command: MachineCommand,
    config: &Config,
    output: &mut Output,
) -> Result<(), CliError> {
    let regions = list_regions(config)?;
    let mut machines = vec![];
    for region in &regions {
        machines.extend(list_all(region)?);
    }
    let MachineCommand::Stop { ids } = command else { return print(&machines, output) };
    let running = DataFolder::find_server(&config.data_dir);
    if running.map_err(|error| CliError::from_error(Kind::Failed, &error))?.is_some() {
        let message = "a server runs here, and needs them: stop it first, or terminate appservers";
        return Err(CliError::new(Kind::Refused, message));
    }
    if let Some(id) = ids.iter().find(|id| machines.iter().all(|machine| machine.id != **id)) {
        let message =
            format!("there is no machine `{id}`: `ocim machine list` shows those there are");
        return Err(CliError::new(Kind::NotFound, message));
    }
    let is_wanted = |id: &str| ids.is_empty() || ids.iter().any(|wanted| wanted == id);
    for region in &regions {
        stop_machines(region, is_wanted)?;
    }
    let is_running = |machine: &Found| machine.power == Power::Active;
    let stopped = machines.iter().filter(|it| is_running(it) && is_wanted(&it.id)).count();
    let said = format!("{stopped} stopped; `ocim serve` starts them again");
    if output.json { Ok(()) } else { output.line(said) }
}

/// The folders of the local regions that have, or had, machines.
pub(super) fn list_regions(config: &Config) -> Result<Vec<PathBuf>, CliError> {
    let entries = match std::fs::read_dir(config.data_dir.join("cloud")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error.into()),
    };
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

fn tell_power(power: Power) -> &'static str {
    match power {
        Power::Building | Power::Active => "running",
        Power::Shutoff => "stopped",
        Power::Error => "failed",
        Power::Unknown => "unknown",
    }
}

fn print(machines: &[Found], output: &mut Output) -> Result<(), CliError> {
    output.table(
        machines,
        &[
            ("ID", &|it| it.id.clone()),
            ("NAME", &|it| it.name.clone()),
            ("REGION", &|it| it.region.clone().unwrap_or_default()),
            ("STATE", &|it| tell_power(it.power).to_owned()),
            ("ADDRESS", &|it| it.ip.map(|ip| ip.to_string()).unwrap_or_default()),
            ("FAULT", &|it| it.fault.clone().unwrap_or_default()),
        ],
    )
}
