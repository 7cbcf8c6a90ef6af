//! The mail about a launch that failed: what failed, why, and the part of its log that tells.

use super::{TextError, Written, write};
use crate::app::{App, AppError};
use crate::logs::{LineRange, Logs};
use ocim_adapters::logs::LogLine;
use ocim_adapters::mail::Attachment;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::port_error::PortError;
use ocim_domain::saga::{Cause, Phase, Saga};
use serde::Serialize;
use std::collections::VecDeque;

/// Lines of the failed step that stand in the mail itself.
const EXCERPT_LINES: usize = 40;
/// Most characters of one of them.
const EXCERPT_CHARACTERS: usize = 300;
/// The last lines of the log that are looked at.
const LINES_MAX: u64 = 20_000;
/// Most bytes of the log that come with the mail: the last ones.
const ATTACHED_BYTES_MAX: usize = 1024 * 1024;
/// Lines read from the store at once.
const PAGE: usize = 1_000;

/// Which launch it was.
#[derive(Debug, Clone, Copy)]
pub struct FailedLaunch {
    /// The site.
    pub instance: InstanceId,
    /// The Appserver that was to be made.
    pub appserver: AppserverId,
    /// The run that was to make it.
    pub launch: RunId,
}

/// Why it can't be written now.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What it is about can't be read.
    #[error("what the mail is about can't be read")]
    App(#[from] AppError),
    /// The log's lines can't be read.
    #[error("the log of the launch can't be read")]
    Logs(#[from] PortError),
    /// One of our own texts is at fault.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// What its texts tell.
#[derive(Debug, Serialize)]
struct Facts {
    prefix: String,
    name: String,
    domain: String,
    number: usize,
    instance: String,
    appserver: String,
    launch: String,
    step: Option<String>,
    reason: String,
    kept_until: Option<String>,
    excerpt: Vec<String>,
}

impl FailedLaunch {
    /// Writes the mail, by what the log says now. Its lines were masked when they were logged.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn write(&self, app: &App, prefix: &str) -> Result<Written, WriteError> {
        let journal = app.journal();
        let (site, _) = app.load_instance(self.instance).await?;
        let loaded = journal.load::<Appserver>(&self.appserver.stream()).await;
        let appserver = loaded.map_err(AppError::from)?.state;
        let run = journal.load::<Saga>(&self.launch.stream()).await.map_err(AppError::from)?.state;
        let cause = run.and_then(|run| match run.phase {
            Phase::Unwinding(cause) | Phase::Unwound(cause) => Some(cause),
            Phase::Stuck { cause, .. } => cause,
            _ => None,
        });
        let step = match &cause {
            Some(Cause::StepFailed { step, .. }) => Some(step.clone()),
            _ => None,
        };
        let told = match (&cause, appserver.present().and_then(|it| it.failure.clone())) {
            (Some(Cause::StepFailed { error, .. }), _) => error.clone(),
            (Some(cause), _) => cause.describe(),
            (None, failure) => failure.unwrap_or_else(|| "it turned back".to_owned()),
        };
        let lines = read_last_lines(app.logs(), self.launch).await?;
        let kept = appserver.present().filter(|it| !it.server_gone);
        let kept = kept.and_then(|it| it.keeps_server_until);
        let number = site.appservers.iter().position(|id| *id == self.appserver);
        let facts = Facts {
            prefix: prefix.to_owned(),
            name: site.settings.name.clone(),
            domain: site.settings.internal_lms_domain.clone(),
            number: number.map_or(0, |index| index + 1),
            instance: self.instance.to_string(),
            appserver: self.appserver.to_string(),
            launch: self.launch.to_string(),
            excerpt: pick_excerpt(&lines, step.as_deref()),
            step,
            reason: told,
            kept_until: kept.map(|until| until.format("%F %T UTC").to_string()),
        };
        Ok(write("failed_launch", &facts, attach(&lines))?)
    }
}

/// The end of a run's log.
async fn read_last_lines(logs: &Logs, run: RunId) -> Result<Vec<LogLine>, PortError> {
    let to = logs.count_lines(run).await?;
    let mut from = to.saturating_sub(LINES_MAX) + 1;
    let mut lines: VecDeque<LogLine> = VecDeque::new();
    let mut bytes = 0;
    while from <= to {
        let range = LineRange { from, to, step: None };
        let (read, next) = logs.read_range(run, &range, PAGE).await?;
        if next == from {
            break;
        }
        from = next;
        for line in read {
            bytes += line.line.text.len();
            lines.push_back(line);
        }
        // What came long before the end is not kept, however long the lines are.
        while bytes > 2 * ATTACHED_BYTES_MAX {
            let Some(first) = lines.pop_front() else { break };
            bytes -= first.line.text.len();
        }
    }
    Ok(lines.into())
}

/// The last lines of the failed step; where it printed nothing, of the launch.
fn pick_excerpt(lines: &[LogLine], step: Option<&str>) -> Vec<String> {
    let of_step: Vec<_> =
        lines.iter().filter(|line| step == Some(line.line.step.as_str())).collect();
    let told = if of_step.is_empty() { lines.iter().collect() } else { of_step };
    let last = &told[told.len().saturating_sub(EXCERPT_LINES)..];
    let shorten = |line: &&LogLine| line.line.text.chars().take(EXCERPT_CHARACTERS).collect();
    last.iter().map(shorten).collect()
}

/// The end of the log as a file.
fn attach(lines: &[LogLine]) -> Option<Attachment> {
    let mut bytes = 0;
    let mut kept: Vec<_> = (lines.iter().rev())
        .map(|line| {
            let at = line.line.at.format("%F %TZ");
            format!("{at} {} | {}\n", line.line.step, line.line.text)
        })
        .take_while(|line| {
            bytes += line.len();
            bytes <= ATTACHED_BYTES_MAX
        })
        .collect();
    kept.reverse();
    let has_all = kept.len() == lines.len() && lines.first().is_none_or(|line| line.number == 1);
    let head = if has_all { "" } else { "… (the beginning is left out)\n" };
    let text = format!("{head}{}", kept.concat());
    let name = "launch.log".to_owned();
    (!text.is_empty()).then_some(Attachment { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_adapters::logs::{Level, NewLine};
    use ocim_domain::Timestamp;

    fn lines(steps: &[&str], length: usize) -> Vec<LogLine> {
        let line = |(number, step): (u64, &&str)| {
            let (step, text) = ((*step).to_owned(), format!("{number} {}", "x".repeat(length)));
            let line = NewLine { at: Timestamp::UNIX_EPOCH, level: Level::Info, step, text };
            LogLine { number, line }
        };
        (1..).zip(steps).map(line).collect()
    }

    #[test]
    fn the_failed_step_tells_and_else_the_end_of_the_launch() {
        let log = lines(&["a", "b", "a"], 1);
        assert_eq!(pick_excerpt(&log, Some("b")), ["2 x"]);
        assert_eq!(pick_excerpt(&log, Some("c")).len(), 3);
        assert_eq!(pick_excerpt(&lines(&["a"; 500], 1_000), None).len(), EXCERPT_LINES);
        let longest = pick_excerpt(&lines(&["a"; 2], 100_000), Some("a"));
        assert!(longest.iter().all(|line| line.chars().count() == EXCERPT_CHARACTERS));
    }

    #[test]
    fn of_a_long_log_the_end_is_attached_and_the_file_says_so() {
        assert_eq!(attach(&[]), None);
        let whole = attach(&lines(&["a", "b"], 1)).unwrap().text;
        assert!(whole.starts_with("1970-01-01 00:00:00Z a | 1 x\n"), "{whole}");
        let long = attach(&lines(&["a"; 300], 10_000)).unwrap().text;
        assert!(long.starts_with("… (the beginning is left out)") && long.contains("| 300 x"));
        assert!(long.len() <= ATTACHED_BYTES_MAX + 100, "{}", long.len());
    }
}
