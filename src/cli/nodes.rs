//! `ocim node …`: the nodes that work on a database, read from it, server or not.

use super::database::Database;
use super::error::{CliError, Kind};
use super::output::{Output, time};
use crate::config::Config;
use crate::nodes::{self, Node, NodeError};
use clap::Subcommand;
use uuid::Uuid;

/// What one may do with nodes.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes that work, or worked, on the database
    List,
    /// Let another node take the place of one that is gone for good, with its machines
    Forget {
        /// Which, as `list` names it
        node: Uuid,
    },
}

/// Does it.
///
/// # Errors
/// [`Kind::NotFound`] for a node that is not known, [`Kind::Refused`] for one that runs.
pub(super) async fn run(
    command: NodeCommand,
    config: &Config,
    output: &mut Output,
) -> Result<(), CliError> {
    let database = Database::open_existing(config).await?;
    let outcome = match command {
        NodeCommand::List => nodes::list_nodes(&database.pool).await,
        NodeCommand::Forget { node } => {
            nodes::forget(&database.pool, node).await.map(|forgotten| vec![forgotten])
        }
    };
    database.close().await;
    let listed = outcome.map_err(|error| CliError::from_error(kind_of(&error), &error))?;
    if let NodeCommand::Forget { node } = command {
        return if output.json { Ok(()) } else { output.line(format!("node {node} is forgotten")) };
    }
    print(&listed, output)
}

fn kind_of(error: &NodeError) -> Kind {
    match error {
        NodeError::Unknown(_) => Kind::NotFound,
        NodeError::Runs { .. } | NodeError::Refused { .. } | NodeError::Copied { .. } => {
            Kind::Refused
        }
        NodeError::Unavailable(_) => Kind::Unavailable,
    }
}

fn print(nodes: &[Node], output: &mut Output) -> Result<(), CliError> {
    output.table(
        nodes,
        &[
            ("NODE", &|it| it.facts.node.to_string()),
            ("HOST", &|it| it.facts.host.clone()),
            ("FOLDER", &|it| it.facts.folder.clone()),
            ("STATE", &|it| if it.is_running { "running" } else { "stopped" }.to_owned()),
            ("SEEN", &|it| it.seen.map(time).unwrap_or_default()),
            ("OWN REGIONS", &|it| it.facts.own_regions.join(", ")),
        ],
    )
}
