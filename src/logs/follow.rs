//! A log as a stream: pages from the store, then new lines as they come.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use ocim_adapters::logs::{LogLine, LogStore};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use std::collections::VecDeque;
use std::future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Lines read at once.
const PAGE: usize = 500;

/// How soon lines are seen that another process wrote, which wakes nobody here.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The lines of a log from number `from` on until it is finished.
pub(super) fn follow_log(
    store: Arc<dyn LogStore>,
    appended: broadcast::Receiver<RunId>,
    run: RunId,
    from: u64,
) -> BoxStream<'static, LogLine> {
    let follower = Follower { store, appended, run, next: from.max(1), page: VecDeque::new() };
    stream::unfold(follower, |mut follower| async {
        follower.next_line().await.map(|line| (line, follower))
    })
    .boxed()
}

struct Follower {
    store: Arc<dyn LogStore>,
    /// Subscribed before the first read, so no wake-up is missed between a read and the wait.
    appended: broadcast::Receiver<RunId>,
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
            match self.read_page().await {
                Ok(is_finished) if self.page.is_empty() && is_finished => return None,
                Ok(_) if self.page.is_empty() => self.wait().await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "a log can't be followed now");
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        }
    }

    /// Reads the next lines; returns whether there will be no more after them.
    async fn read_page(&mut self) -> Result<bool, PortError> {
        // Asked first: a line that comes before the end is then seen by the read that follows.
        let is_finished = self.store.is_finished(self.run).await?;
        self.page = self.store.read_lines(self.run, self.next, PAGE).await?.into();
        self.next = self.page.back().map_or(self.next, |line| line.number + 1);
        Ok(is_finished)
    }

    /// Returns when somebody here wrote to the log, or after the poll interval.
    async fn wait(&mut self) {
        let woken = async {
            loop {
                match self.appended.recv().await {
                    Ok(run) if run == self.run => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => future::pending().await,
                }
            }
        };
        // An elapsed interval is a wake-up like any other.
        let _ = tokio::time::timeout(POLL_INTERVAL, woken).await;
    }
}
