//! `ocim appserver logs` and `ocim run logs`: lines, live lines, or the plain text.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::Output;
use clap::Args;
use ocim_api_spec::{LogLine, LogPage, ReferenceKind};
use std::time::{Duration, Instant};

/// Pause before a broken stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// How long a server that restarts may be away while a log is followed.
const ABSENCE_MAX: Duration = Duration::from_secs(60);

/// Whose log, and which lines of it.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Which: its id or the beginning of it; an appserver also as `SITE/NUMBER`
    id: String,
    /// Go on until the run has ended
    #[arg(long, conflicts_with_all = ["to", "raw"])]
    follow: bool,
    /// Number of the first line
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Number of the last line
    #[arg(long)]
    to: Option<u64>,
    /// Only lines of this step, and of those below it
    #[arg(long)]
    step: Option<String>,
    /// Nothing but the text of the lines
    #[arg(long)]
    raw: bool,
}

impl LogArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![];
        query.extend(self.to.map(|to| ("to", to.to_string())));
        query.extend(self.step.clone().map(|step| ("step", step)));
        query
    }
}

/// Prints the log of an appserver's launch, or of a run.
///
/// # Errors
/// What the server says.
pub(super) async fn print_logs(
    kind: ReferenceKind,
    args: &LogArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(kind, &args.id).await?;
    let path = format!("/{}s/{id}/logs", kind.word());
    if args.follow {
        return follow_lines(&path, args, client, output).await;
    }
    if args.raw && !output.json {
        return download_lines(&format!("{path}/raw"), args, client, output).await;
    }
    let mut next = args.from;
    loop {
        let mut query = args.query();
        query.push(("from", next.to_string()));
        let page: LogPage = client.get_with(&path, &query).await?;
        for line in &page.lines {
            print_line(line, args.raw, output)?;
        }
        // A step may have written little: there is an end only where nothing was looked at.
        if page.next == next || args.to.is_some_and(|to| page.next > to) {
            return Ok(());
        }
        next = page.next;
    }
}

/// The plain text, each line whole.
async fn download_lines(
    path: &str,
    args: &LogArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut query = args.query();
    query.push(("from", args.from.to_string()));
    let mut download = client.download(path, &query).await?;
    while let Some(bytes) = download.next().await? {
        output.bytes(&bytes)?;
    }
    Ok(())
}

async fn follow_lines(
    path: &str,
    args: &LogArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut query = args.query();
    query.extend([("follow", "true".to_owned()), ("from", args.from.to_string())]);
    let mut last_id: Option<String> = None;
    let mut last_seen = Instant::now();
    loop {
        match client.stream(path, &query, last_id.as_deref()).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    last_seen = Instant::now();
                    if message.event == "end" {
                        return Ok(());
                    }
                    let line = serde_json::from_str(&message.data).map_err(std::io::Error::from)?;
                    print_line(&line, args.raw, output)?;
                    last_id = message.id.or(last_id);
                }
            }
            Err(error) if error.kind == Kind::Unavailable && last_seen.elapsed() < ABSENCE_MAX => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

fn print_line(line: &LogLine, raw: bool, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return output.json_line(line);
    }
    let (number, more) = (line.number, line.more_bytes);
    let cut = match more {
        0 => String::new(),
        _ => format!("… [{more} more bytes: --raw --from {number} --to {number} shows them]"),
    };
    if raw {
        return output.line(format!("{}{cut}", line.text));
    }
    let time = line.at.format("%TZ");
    output.line(format!("{number:>6} {time} {} | {}{cut}", line.step, line.text))
}
