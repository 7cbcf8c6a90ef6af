//! `ocim server …`

use super::client::{Client, encode};
use super::error::CliError;
use super::list::ListArgs;
use super::orders::OrderArgs;
use super::output::{Output, time};
use clap::Subcommand;
use ocim_api_spec::{DeleteOrphan, Orphan, OrphanDeletionPlan, ReferenceKind, RegionLook, Server};

/// What one may do with machines.
#[derive(Debug, Subcommand)]
pub(super) enum ServerCommand {
    /// List all machines, newest first
    List(ListArgs),
    /// Show a machine
    Show {
        /// Its id, the beginning of it, or its name in the cloud
        id: String,
    },
    /// List the regions, and when each was last seen
    Looks(ListArgs),
    /// List machines that bear our mark, but that nothing accounts for
    Orphans(ListArgs),
    /// Take away a machine that nothing accounts for
    DeleteOrphan {
        /// Its region
        region: String,
        /// The cloud's id of the machine
        machine: String,
        #[command(flatten)]
        order: OrderArgs,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: ServerCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        ServerCommand::List(wanted) => list_servers(&wanted, client, output).await,
        ServerCommand::Show { id } => {
            let id = client.find_id(ReferenceKind::Server, &id).await?;
            output.record(&client.get::<Server>(&format!("/servers/{id}")).await?)
        }
        ServerCommand::Looks(wanted) => list_looks(&wanted, client, output).await,
        ServerCommand::Orphans(wanted) => list_orphans(&wanted, client, output).await,
        ServerCommand::DeleteOrphan { region, machine, order } => {
            let (region, machine) = (encode(&region), encode(&machine));
            let path = format!("/servers/orphans/{region}/{machine}/delete");
            let (reason, dry_run) = (order.reason.clone(), order.dry_run);
            let body = DeleteOrphan { reason, dry_run };
            order.give::<OrphanDeletionPlan>(&path, &body, client, output).await
        }
    }
}

async fn list_servers(
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let items: Vec<Server> = client.list("/servers", &[], wanted).await?;
    output.wide_table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("NAME", &|it| it.name.clone()),
            ("REGION", &|it| it.openstack_region.clone()),
            ("STATUS", &|it| it.status_name.clone()),
            ("ADDRESS", &|it| it.public_ip.clone().unwrap_or_default()),
            ("WHY", &|it| it.reason.clone().unwrap_or_default()),
        ],
        &[
            ("APPSERVER", &|it| it.appserver.clone()),
            ("MACHINE", &|it| it.openstack_id.clone().unwrap_or_default()),
            ("SSH PORT", &|it| it.ssh_port.map(|port| port.to_string()).unwrap_or_default()),
            ("CREATED", &|it| time(it.created)),
        ],
    )
}

async fn list_looks(
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let items: Vec<RegionLook> = client.list("/servers/looks", &[], wanted).await?;
    let seen = |it: &RegionLook| it.last_seen_at.map(time).unwrap_or_default();
    output.table(
        &items,
        &[
            ("NAME", &|it| it.name.clone()),
            ("LAST SEEN", &seen),
            ("MACHINES", &|it| it.machines.to_string()),
            ("ERROR", &|it| it.error.clone().unwrap_or_default()),
        ],
    )
}

async fn list_orphans(
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let items: Vec<Orphan> = client.list("/servers/orphans", &[], wanted).await?;
    output.table(
        &items,
        &[
            ("REGION", &|it| it.region.clone()),
            ("MACHINE", &|it| it.machine.clone()),
            ("NAME", &|it| it.name.clone()),
            ("KEY", &|it| it.key.clone().unwrap_or_default()),
            ("FOUND", &|it| time(it.found)),
            ("DELETED BY", &|it| it.deletion_run.clone().unwrap_or_default()),
        ],
    )
}
