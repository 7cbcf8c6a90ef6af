//! `ocim instance|appserver|run timeline`: what happened, one sentence an event.

use super::client::Client;
use super::error::CliError;
use super::output::{Output, time};
use clap::Args;
use ocim_api_spec::{ReferenceKind, TimelineItem};

/// Of what, and how much of it.
#[derive(Debug, Args)]
pub(super) struct TimelineArgs {
    /// Which: name, id or the beginning of it; an appserver also as `SITE/NUMBER`
    id: String,
    /// Only the last so many events
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
}

/// Prints the timeline of an instance, an appserver or a run, oldest first.
///
/// # Errors
/// What the server says.
pub(super) async fn print_timeline(
    kind: ReferenceKind,
    args: &TimelineArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(kind, &args.id).await?;
    let path = format!("/{}s/{id}/timeline", kind.word());
    let items: Vec<TimelineItem> = match args.last {
        None => client.get_all(&path, &[("order", "oldest"), ("limit", "200")]).await?,
        Some(number) => {
            let mut newest =
                client.get_first(&path, &[("order", "newest")], number, |_| Ok(true)).await?;
            newest.reverse();
            newest
        }
    };
    if output.json {
        return output.document(&items);
    }
    for item in &items {
        output.line(format!("{} {}", time(item.at), item.sentence))?;
    }
    Ok(())
}
