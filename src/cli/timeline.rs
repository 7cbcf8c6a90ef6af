//! `ocim instance|appserver|run timeline`: what happened, one sentence an event.

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use clap::Args;
use ocim_api_spec::TimelineItem;

/// Of what, and how much of it.
#[derive(Debug, Args)]
pub(super) struct TimelineArgs {
    /// Its id
    id: String,
    /// Only the last so many events
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
}

/// Prints the timeline of one of `things` (as in the path: `instances`, …), oldest first.
///
/// # Errors
/// What the server says.
pub(super) async fn print_timeline(
    things: &str,
    args: &TimelineArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = format!("/{things}/{}/timeline", args.id);
    let items: Vec<TimelineItem> = match args.last {
        None => client.get_all(&path, &[("order", "oldest"), ("limit", "200")]).await?,
        Some(number) => {
            let mut newest = client.get_first(&path, &[("order", "newest")], number).await?;
            newest.reverse();
            newest
        }
    };
    if output.json {
        return output.document(&items);
    }
    for item in &items {
        output.line(format!("{} {}", item.at.format("%F %T"), item.sentence))?;
    }
    Ok(())
}
