//! `ocim resources …`

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::output::{Output, time};
use clap::Subcommand;
use ocim_api_spec::{ReferenceKind, ResolveResource, Resource};

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
    let (instance, wanted) = match command {
        ResourceCommand::List { instance, wanted } => (instance, wanted),
        ResourceCommand::Resolve { id, reason } => {
            let said = format!("nobody looks after {id} any more");
            let body = ResolveResource { id, reason };
            client.post_without_answer("/resources/resolve", &body).await?;
            return if output.json { Ok(()) } else { output.line(said) };
        }
    };
    let instance = match instance {
        Some(text) => Some(client.find_id(ReferenceKind::Instance, &text).await?),
        None => None,
    };
    let query: Vec<_> = instance.iter().map(|id| ("instance", id.as_str())).collect();
    let items: Vec<Resource> = client.list("/resources", &query, &wanted).await?;
    output.wide_table(
        &items,
        &[
            ("NAME", &|it| it.name.clone()),
            ("KIND", &|it| it.kind.word().replace('_', " ")),
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
