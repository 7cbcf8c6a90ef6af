//! `ocim status`: what needs a person, what people have put in force and what runs, one line each.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::{Output, time};
use ocim_api_spec::Status;
use ocim_projections::timeline::duration;
use std::time::Duration;

/// Pause between two looks.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// How to look.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Look again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// Prints the state of affairs.
///
/// # Errors
/// [`Kind::NeedsYou`] when something needs a person; what the server says.
pub(super) async fn run(
    args: StatusArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    if args.watch {
        return watch(client, output).await;
    }
    let status: Status = client.get("/status").await?;
    if output.json {
        output.document(&status)?;
    } else {
        lines(&status).into_iter().try_for_each(|line| output.line(line))?;
    }
    match status.needs.len() {
        0 => Ok(()),
        1 => Err(CliError::new(Kind::NeedsYou, "1 thing needs you")),
        count => Err(CliError::new(Kind::NeedsYou, format!("{count} things need you"))),
    }
}

/// Printed whenever it has changed; on a terminal, in place of what stood there.
async fn watch(client: &Client, output: &mut Output) -> Result<(), CliError> {
    let mut last = vec![];
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let shown = match client.get::<Status>("/status").await {
            Ok(status) if output.json => vec![serde_json::to_string(&status).unwrap_or_default()],
            Ok(status) => lines(&status),
            Err(error) if error.kind == Kind::Unavailable => vec![error.message],
            Err(error) => return Err(error),
        };
        if shown != last {
            output.clear()?;
            shown.iter().try_for_each(|line| output.line(line))?;
        }
        last = shown;
        tokio::select! {
            () = tokio::time::sleep(WATCH_PAUSE) => {}
            _ = &mut interrupted => return Ok(()),
        }
    }
}

fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![];
    if status.needs.is_empty() {
        lines.push("nothing needs you".to_owned());
    } else {
        lines.push(format!("needs you ({}):", status.needs.len()));
    }
    lines.extend(status.needs.iter().map(|need| {
        let since = need.since.map(|at| format!(" (since {})", time(at))).unwrap_or_default();
        format!("  {} {}{since}; see `{}`", need.name, need.sentence, need.advice)
    }));
    if !status.notices.is_empty() {
        lines.push(format!("in force ({}):", status.notices.len()));
    }
    lines.extend(status.notices.iter().map(|notice| {
        let until = time(notice.until);
        format!("  {} {} (until {until}); see `{}`", notice.name, notice.sentence, notice.advice)
    }));
    if status.running.is_empty() {
        lines.push("nothing runs".to_owned());
    } else {
        lines.push(format!("runs ({}):", status.running.len()));
    }
    lines.extend(status.running.iter().map(|run| {
        let (name, what, took) = (&run.name, &run.definition, duration(run.duration_s));
        format!("  {name} {what} {}, {took}; {}", run.sentence, run.run)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use ocim_api_spec::{Need, NeedCode, Notice, NoticeCode, Running};

    #[test]
    fn each_thing_has_one_line_that_says_what_to_do() {
        let need = Need {
            code: NeedCode::RunStuck,
            id: "run_1".into(),
            name: "alpha.example.com/2".into(),
            sentence: "launch_appserver is stuck at create_server: no quota".into(),
            since: Some(DateTime::UNIX_EPOCH),
            advice: "ocim run explain run_1".into(),
        };
        let running = Running {
            run: "run_2".into(),
            definition: "launch_appserver".into(),
            name: "beta.example.com/1".into(),
            sentence: "under way at run_main_playbook".into(),
            started: DateTime::UNIX_EPOCH,
            duration_s: 125.0,
        };
        let notice = Notice {
            code: NoticeCode::InstanceHeld,
            id: "inst_3".into(),
            name: "gamma.example.com".into(),
            sentence: "is held by token:ada: moving the database".into(),
            until: DateTime::UNIX_EPOCH,
            advice: "ocim instance release gamma.example.com".into(),
        };
        let told =
            lines(&Status { needs: vec![need], running: vec![running], notices: vec![notice] });
        assert_eq!(
            told,
            [
                "needs you (1):",
                "  alpha.example.com/2 launch_appserver is stuck at create_server: no quota \
                 (since 1970-01-01 00:00:00Z); see `ocim run explain run_1`",
                "in force (1):",
                "  gamma.example.com is held by token:ada: moving the database (until 1970-01-01 \
                 00:00:00Z); see `ocim instance release gamma.example.com`",
                "runs (1):",
                "  beta.example.com/1 launch_appserver under way at run_main_playbook, \
                 2 min 5 s; run_2",
            ]
        );
        let quiet = lines(&Status { needs: vec![], running: vec![], notices: vec![] });
        assert_eq!(quiet, ["nothing needs you", "nothing runs"]);
    }
}
