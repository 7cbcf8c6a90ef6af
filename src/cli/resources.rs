//! `ocim resources …`

use super::client::Client;
use super::error::{CliError, Kind};
use super::instances::read_kind;
use super::list::ListArgs;
use super::orders::OrderArgs;
use super::output::{Output, time};
use clap::Subcommand;
use ocim_api_spec::{
    AdoptResource, DeleteResource, OrphanDeletionPlan, ReferenceKind, ResolveResource, Resource,
    ResourceKind, ResourceScan,
};

/// What one may do with what instances have outside.
#[derive(Debug, Subcommand)]
pub(super) enum ResourceCommand {
    /// List what instances have outside: machines, names, balancers' fragments
    List {
        /// Only those of this instance
        instance: Option<String>,
        #[command(flatten)]
        wanted: ListArgs,
    },
    /// Ask all providers for what no instance has, and for what instances miss; changes nothing
    Scan {
        /// Only what is, was or may have been this instance's
        instance: Option<String>,
        /// Only this kind, e.g. machine
        #[arg(long, value_parser = read_kind)]
        kind: Option<ResourceKind>,
    },
    /// Have an instance look after what no instance has
    Adopt {
        /// Which: its id, as `ocim resources scan` shows it
        id: String,
        /// Who is to look after it
        #[arg(long)]
        instance: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Take away what no instance has
    Delete {
        /// Which: its id, as `ocim resources scan` shows it
        id: String,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Have nobody look after something any more, whether it is there or not
    Resolve {
        /// Which: its id, as `ocim resources list --wide` shows it
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: ResourceCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        ResourceCommand::List { instance, wanted } => {
            list(instance.as_deref(), &wanted, client, output).await
        }
        ResourceCommand::Scan { instance, kind } => {
            scan(instance.as_deref(), kind, client, output).await
        }
        ResourceCommand::Adopt { id, instance, reason } => {
            let said = format!("{instance} looks after {id} from now on");
            let instance = client.find_id(ReferenceKind::Instance, &instance).await?;
            let body = AdoptResource { id, instance, reason };
            client.post_without_answer("/resources/adopt", &body).await?;
            if output.json { Ok(()) } else { output.line(said) }
        }
        ResourceCommand::Delete { id, order } => {
            let (reason, dry_run) = (order.reason.clone(), order.dry_run);
            let body = DeleteResource { id, reason, dry_run };
            order.give::<OrphanDeletionPlan>("/resources/delete", &body, client, output).await
        }
        ResourceCommand::Resolve { id, reason } => {
            let said = format!("nobody looks after {id} any more");
            let body = ResolveResource { id, reason };
            client.post_without_answer("/resources/resolve", &body).await?;
            if output.json { Ok(()) } else { output.line(said) }
        }
    }
}

async fn list(
    instance: Option<&str>,
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let instance = find_instance(instance, client).await?;
    let query: Vec<_> = instance.iter().map(|id| ("instance", id.as_str())).collect();
    let items: Vec<Resource> = client.list("/resources", &query, wanted).await?;
    output.wide_table(
        &items,
        &[
            ("NAME", &|it| it.name.clone()),
            ("KIND", &|it| words(it.kind)),
            ("PLACE", &|it| it.place.clone()),
            ("STATE", &|it| it.state.word().to_owned()),
            ("SINCE", &|it| time(it.since)),
            ("WHY", &|it| it.reason.clone().unwrap_or_default()),
        ],
        &[
            ("PROVIDER'S ID", &|it| it.provider_id.clone().unwrap_or_default()),
            ("OWNER", &|it| it.owner.clone()),
            ("ID", &|it| format!("{}/{}/{}", it.instance, it.kind.word(), it.key)),
        ],
    )
}

/// Shows what a scan finds; fails where a provider did not answer.
///
/// # Errors
/// [`Kind::NeedsYou`] then; what the server says.
async fn scan(
    instance: Option<&str>,
    kind: Option<ResourceKind>,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let instance = find_instance(instance, client).await?;
    let kind = kind.map(|kind| ("kind", kind.word().to_owned()));
    let query: Vec<_> = instance.map(|id| ("instance", id)).into_iter().chain(kind).collect();
    let found: ResourceScan = client.get_patiently("/resources/scan", &query).await?;
    if output.json {
        output.record(&found)?;
    } else {
        show(&found, output)?;
    }
    match found.unanswered.len() {
        0 => Ok(()),
        1 => Err(CliError::new(Kind::NeedsYou, "1 provider did not answer for all that it has")),
        count => {
            let text = format!("{count} providers did not answer for all that they have");
            Err(CliError::new(Kind::NeedsYou, text))
        }
    }
}

fn show(found: &ResourceScan, output: &mut Output) -> Result<(), CliError> {
    output.line("orphans: they are there, and no instance has them")?;
    output.wide_table(
        &found.orphans,
        &[
            ("ID", &|it| it.id.clone()),
            ("NAME", &|it| it.name.clone()),
            ("PROVIDER", &|it| it.provider.clone()),
            ("MADE", &|it| it.made.map(time).unwrap_or_default()),
            ("LEFT", &|it| it.left.map(time).unwrap_or_default()),
            ("WHY", &|it| it.sign.clone()),
        ],
        &[
            ("OWNER", &|it| it.owner.clone().unwrap_or_default()),
            ("DELETION", &|it| it.deletion_run.clone().unwrap_or_default()),
        ],
    )?;
    output.line("missing: instances are known to have them, and they are not there")?;
    output.table(
        &found.missing,
        &[
            ("ID", &|it| it.id.clone()),
            ("PLACE", &|it| it.place.clone()),
            ("PROVIDER", &|it| it.provider.clone()),
            ("INSTEAD", &|it| it.instead.clone().unwrap_or_default()),
        ],
    )?;
    let silent = found.unanswered.iter();
    silent.map(|it| format!("{}: {}", it.provider, it.error)).try_for_each(|it| output.line(it))
}

async fn find_instance(
    instance: Option<&str>,
    client: &Client,
) -> Result<Option<String>, CliError> {
    match instance {
        Some(text) => Ok(Some(client.find_id(ReferenceKind::Instance, text).await?)),
        None => Ok(None),
    }
}

fn words(kind: ResourceKind) -> String {
    kind.word().replace('_', " ")
}
