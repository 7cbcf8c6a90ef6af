//! `ocim region …`

use super::client::{Client, encode};
use super::error::CliError;
use super::list::ListArgs;
use super::output::Output;
use clap::Subcommand;
use ocim_api_spec::{ChangeRegion, Region};

/// What one may do with regions.
#[derive(Debug, Subcommand)]
pub(super) enum RegionCommand {
    /// List regions with their slots, and who waits in line
    List(ListArgs),
    /// Change a region, without a restart
    Set {
        /// Its name
        region: String,
        /// Launches at a time; the others wait in line
        #[arg(long, value_name = "N")]
        launches_max: u32,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
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
    let items: Vec<Region> = match command {
        RegionCommand::List(wanted) => client.list("/regions", &[], &wanted).await?,
        RegionCommand::Set { region, launches_max, reason } => {
            let change = ChangeRegion { launches_max, reason };
            let path = format!("/regions/{}", encode(&region));
            vec![client.patch(&path, &change, None).await?]
        }
    };
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
