//! `ocim region …`

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::output::Output;
use clap::Subcommand;
use ocim_api_spec::Region;

/// What one may do with regions.
#[derive(Debug, Subcommand)]
pub(super) enum RegionCommand {
    /// List regions with their slots, and who waits in line
    List(ListArgs),
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: RegionCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let RegionCommand::List(wanted) = command;
    let items: Vec<Region> = client.list("/regions", &[], &wanted).await?;
    output.table(
        &items,
        &[
            ("NAME", &|it| it.name.clone()),
            ("SLOTS", &|it| it.launches_max.to_string()),
            ("RUNNING", &|it| it.running.len().to_string()),
            ("QUEUED", &|it| it.queued.len().to_string()),
            ("IN LINE", &in_line),
        ],
    )
}

/// The line, e.g. `1: run_… 2: run_…`.
fn in_line(region: &Region) -> String {
    let place = |it: &ocim_api_spec::QueuedRun| format!("{}: {}", it.position, it.run);
    region.queued.iter().map(place).collect::<Vec<_>>().join(" ")
}
