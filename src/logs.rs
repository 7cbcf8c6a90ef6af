//! Log lines of runs: masked, numbered, kept apart from events, followed live.

mod escapes;
mod follow;
pub mod lines;
pub mod masking;
mod news;
mod range;
mod secret_forms;

pub use range::LineRange;

use futures_util::stream::BoxStream;
use lines::{cut_line, strip_control};
use masking::{MaskedLines, Masker, SourceLine};
use news::News;
use ocim_adapters::logs::{Level, LogLine, LogStore, NewLine, SourceOffset, SourcePlace};
use ocim_adapters::playbooks::OutputLine;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::outside_text;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::system::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// How often an append is tried where a repetition can do no harm.
const ATTEMPTS: u32 = 3;

/// The pause before the second attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Appends wake followers through this; one that lags behind looks in the store anyway.
const WAKE_UPS: usize = 1_024;

/// Old logs that are looked for at once.
const OLD_LOGS_PAGE: usize = 200;

/// Lines of a source that are read again to judge what follows them begin so many bytes before it.
pub const CONTEXT_BYTES_MAX: u64 = 64 * 1024;

/// What was read of a source.
#[derive(Debug, Clone, Copy)]
pub struct SourceRead<'a> {
    /// E.g. the step's key.
    pub source: &'a str,
    /// Bytes of it that the log holds.
    pub from: u64,
    /// Where `lines` begin: at `from`, or before it where the lines before tell of what follows.
    pub start: u64,
    /// Where they end.
    pub to: u64,
    /// The lines, old ones first.
    pub lines: &'a [OutputLine],
}

impl SourceRead<'_> {
    /// Where the line begins, or one after it that is near enough to the end to be read again.
    fn start_of(&self, line: usize) -> u64 {
        let ends = self.lines.iter().map(|line| line.end);
        let starts = [self.start].into_iter().chain(ends).skip(line);
        starts
            .take(self.lines.len())
            .find(|start| self.to - start <= CONTEXT_BYTES_MAX)
            .unwrap_or(self.to)
    }
}

/// The logs of all runs.
///
/// A failure to write one never fails a run: the caller warns and goes on, and reads a source
/// again from where the log left it ([`Logs::read_source`]).
#[derive(Debug)]
pub struct Logs {
    store: Arc<dyn LogStore>,
    clock: Arc<dyn Clock>,
    appended: broadcast::Sender<RunId>,
    news: News,
    followed: follow::Followed,
    /// What must not stand in the logs of runs that are under way.
    maskers: Mutex<HashMap<RunId, Arc<Masker>>>,
}

impl Logs {
    /// The logs in this store.
    #[must_use]
    pub fn new(store: Arc<dyn LogStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            appended: broadcast::Sender::new(WAKE_UPS),
            news: News::default(),
            followed: follow::Followed::default(),
            maskers: Mutex::default(),
        }
    }

    /// Appends each line of `text`; returns the number of the log's last line.
    ///
    /// # Errors
    /// [`Class::Conflict`] when the log is finished; [`Class::Ambiguous`] when the lines may or
    /// may not be there.
    pub async fn append(
        &self,
        run: RunId,
        step: &str,
        level: Level,
        text: &str,
        masker: &Masker,
    ) -> Result<u64, PortError> {
        let masked = masker.mask(&strip_control(text));
        let lines = masked.lines().map(|text| self.new_line(step, level, text)).collect();
        self.store_lines(run, lines, None).await
    }

    /// Appends the new ones of the lines that a source showed, exactly once: a repetition changes
    /// nothing. Returns the number of the log's last line.
    ///
    /// # Errors
    /// As [`Logs::append`]; the lines are not lost, but to be read again from [`Logs::read_source`].
    pub async fn append_from_source(
        &self,
        run: RunId,
        step: &str,
        read: SourceRead<'_>,
        masker: &Masker,
    ) -> Result<u64, PortError> {
        let texts: Vec<_> =
            read.lines.iter().map(|line| strip_control(&line.text).replace('\n', " ")).collect();
        let lines: Vec<_> = (read.lines.iter().zip(&texts))
            .map(|(line, text)| SourceLine { is_error: line.is_error, text })
            .collect();
        let first_new = read.lines.partition_point(|line| line.end <= read.from);
        let MaskedLines { texts, context } = masker.mask_lines(&lines, first_new);
        let new_lines = (read.lines[first_new..].iter().zip(&texts)).map(|(line, text)| {
            let level = if line.is_error { Level::Warning } else { Level::Info };
            NewLine { at: line.at.unwrap_or(self.clock.now()), ..self.new_line(step, level, text) }
        });
        let offset = SourceOffset {
            source: read.source.to_owned(),
            from: read.from,
            to: read.to,
            context: read.start_of(context),
        };
        self.store_lines(run, new_lines.collect(), Some(offset)).await
    }

    /// How far the source is in the log.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn read_source(&self, run: RunId, source: &str) -> Result<SourcePlace, PortError> {
        self.store.read_source(run, source).await
    }

    /// At most `limit` lines from number `from` on (the first is 1), in order.
    ///
    /// # Errors
    /// When the store can't be reached, or the log is damaged.
    pub async fn read_lines(
        &self,
        run: RunId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, PortError> {
        self.store.read_lines(run, from, limit).await
    }

    /// The number of the last line, 0 when there is none.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn count_lines(&self, run: RunId) -> Result<u64, PortError> {
        self.store.count_lines(run).await
    }

    /// All lines from number `from` on, then live ones, whoever writes them; each once and in
    /// order. Ends when the log is finished and all was told. Waits while the store is away.
    #[must_use]
    pub fn follow(&self, run: RunId, from: u64) -> BoxStream<'static, LogLine> {
        self.followed.follow_log(Arc::clone(&self.store), &self.appended, run, from)
    }

    /// Whether no line will follow.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn is_finished(&self, run: RunId) -> Result<bool, PortError> {
        self.store.is_finished(run).await
    }

    /// Says that no line will follow. Finishing again is fine.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn finish(&self, run: RunId) -> Result<(), PortError> {
        self.news.forget(run);
        self.maskers().remove(&run);
        self.store.finish_log(run, self.clock.now()).await?;
        self.wake_followers(run);
        Ok(())
    }

    /// Deletes the logs that were finished before that time, `kept` ago, in the name of a run; a line in
    /// each one's place says so. Returns how many logs that run has deleted by now, and how many lines they
    /// had: after a crash, it goes on where it was.
    ///
    /// # Errors
    /// When the store can't be reached.
    pub async fn delete_old(
        &self,
        before: Timestamp,
        kept: Duration,
        by: RunId,
    ) -> Result<(u64, u64), PortError> {
        let days = kept.as_secs() / (24 * 3600);
        loop {
            let old = self.store.list_old_logs(before, OLD_LOGS_PAGE).await?;
            if old.is_empty() {
                break;
            }
            for (run, lines) in old {
                let text = format!(
                    "{lines} lines were deleted here by {by}: the run had ended more than {days} days ago"
                );
                let line = self.new_line("delete_old_logs", Level::Info, &text);
                self.store.replace_log(run, line, by).await?;
            }
        }
        self.store.count_replaced(by).await
    }

    /// Whether a text that a step would say again and again should be said now: it was not said in
    /// the last few minutes. Asking counts as saying.
    #[must_use]
    pub fn is_news(&self, run: RunId, step: &str, text: &str) -> bool {
        self.news.is_news(run, step, text, self.clock.now())
    }

    /// The masker that is kept for the run: to make one takes as long as to mask thousands of lines,
    /// and a run's secrets are frozen with it.
    #[must_use]
    pub fn kept_masker(&self, run: RunId) -> Option<Arc<Masker>> {
        self.maskers().get(&run).cloned()
    }

    /// Keeps a masker until the run's log is finished.
    pub fn keep_masker(&self, run: RunId, masker: &Arc<Masker>) {
        self.maskers().insert(run, Arc::clone(masker));
    }

    fn maskers(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Masker>>> {
        self.maskers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_line(&self, step: &str, level: Level, text: &str) -> NewLine {
        let text = cut_line(&outside_text::take_in(text));
        NewLine { at: self.clock.now(), level, step: step.to_owned(), text }
    }

    async fn store_lines(
        &self,
        run: RunId,
        lines: Vec<NewLine>,
        offset: Option<SourceOffset>,
    ) -> Result<u64, PortError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.store.append_lines(run, lines.clone(), offset.clone()).await {
                Err(error) if may_repeat(&error, offset.is_some()) => {
                    tracing::debug!(%run, %error, "log lines are tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                outcome => return self.tell(run, outcome),
            }
        }
        let outcome = self.store.append_lines(run, lines, offset).await;
        self.tell(run, outcome)
    }

    fn tell(&self, run: RunId, outcome: Result<u64, PortError>) -> Result<u64, PortError> {
        self.wake_followers(run);
        outcome
    }

    fn wake_followers(&self, run: RunId) {
        // An error says that nobody follows any log.
        let _ = self.appended.send(run);
    }
}

/// Lines with an offset are stored once however often they come; others only when it is certain
/// that nothing was written.
fn may_repeat(error: &PortError, has_offset: bool) -> bool {
    match error.class {
        Class::Transient | Class::RateLimited(_) => true,
        Class::Ambiguous => has_offset,
        Class::Conflict | Class::Permanent => false,
    }
}
