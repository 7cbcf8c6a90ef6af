//! A log as a stream: pages from the store, then new lines as they come. Whether there are any is
//! asked once for all who follow the same log.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use ocim_adapters::logs::{LogLine, LogStore};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

/// Lines read at once.
const PAGE: usize = 500;

/// How soon lines are seen that another process wrote, which wakes nobody here.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How a log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct End {
    /// The number of its last line.
    lines: u64,
    /// Whether no line will follow.
    is_finished: bool,
    /// Whether it was looked at; nothing is known before.
    is_known: bool,
}

/// The logs that somebody follows, each with one task that looks how it ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Followed(Arc<Mutex<HashMap<RunId, watch::Sender<End>>>>);

impl Followed {
    /// The lines of a log from number `from` on until it is finished.
    pub(super) fn follow_log(
        &self,
        store: Arc<dyn LogStore>,
        appended: &broadcast::Sender<RunId>,
        run: RunId,
        from: u64,
    ) -> BoxStream<'static, LogLine> {
        let end = self.watch_end(&store, appended, run);
        let follower = Follower { store, end, run, next: from.max(1), page: VecDeque::new() };
        stream::unfold(follower, |mut follower| async {
            follower.next_line().await.map(|line| (line, follower))
        })
        .boxed()
    }

    fn watch_end(
        &self,
        store: &Arc<dyn LogStore>,
        appended: &broadcast::Sender<RunId>,
        run: RunId,
    ) -> watch::Receiver<End> {
        let mut all = self.lock();
        if let Some(known) = all.get(&run) {
            return known.subscribe();
        }
        let (sender, end) = watch::channel(End::default());
        all.insert(run, sender);
        // Subscribed before the first look, so no wake-up is missed between a look and the wait.
        let looker = Looker { store: Arc::clone(store), appended: appended.subscribe(), run };
        tokio::spawn(looker.look_while_followed(self.clone()));
        end
    }

    /// Tells how the log ends; false where nobody follows it any more, or nothing will follow.
    fn tell(&self, run: RunId, end: Option<End>) -> bool {
        let mut all = self.lock();
        let Some(sender) = all.get(&run) else { return false };
        if let Some(end) = end {
            sender.send_if_modified(|known| std::mem::replace(known, end) != end);
        }
        let goes_on = sender.receiver_count() > 0 && !end.is_some_and(|end| end.is_finished);
        if !goes_on {
            all.remove(&run);
        }
        goes_on
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<End>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks how one log ends, for all who follow it.
struct Looker {
    store: Arc<dyn LogStore>,
    appended: broadcast::Receiver<RunId>,
    run: RunId,
}

impl Looker {
    async fn look_while_followed(mut self, followed: Followed) {
        loop {
            let end = match self.look().await {
                Ok(end) => Some(end),
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "a log can't be followed now");
                    None
                }
            };
            if !followed.tell(self.run, end) {
                return;
            }
            self.wait().await;
        }
    }

    async fn look(&self) -> Result<End, PortError> {
        // Asked first: a line that comes before the end is then counted.
        let is_finished = self.store.is_finished(self.run).await?;
        let lines = self.store.count_lines(self.run).await?;
        Ok(End { lines, is_finished, is_known: true })
    }

    /// Returns when somebody here wrote to the log, or after the poll interval.
    async fn wait(&mut self) {
        let woken = async {
            loop {
                match self.appended.recv().await {
                    Ok(run) if run == self.run => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // An elapsed interval is a wake-up like any other.
        let _ = tokio::time::timeout(POLL_INTERVAL, woken).await;
    }
}

struct Follower {
    store: Arc<dyn LogStore>,
    end: watch::Receiver<End>,
    run: RunId,
    /// The number of the next line to be read from the store.
    next: u64,
    page: VecDeque<LogLine>,
}

impl Follower {
    async fn next_line(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.page.pop_front() {
                return Some(line);
            }
            let next = self.next;
            let is_news = |end: &End| end.is_known && (end.lines >= next || end.is_finished);
            // The last one told stays, though nobody looks any more.
            let end = match self.end.wait_for(is_news).await {
                Ok(end) => *end,
                Err(_) => return None,
            };
            if end.lines < next {
                return None;
            }
            match self.store.read_lines(self.run, next, PAGE).await {
                Ok(page) => {
                    self.next = page.last().map_or(end.lines + 1, |line| line.number + 1);
                    self.page = page.into();
                }
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "a log can't be followed now");
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        }
    }
}
