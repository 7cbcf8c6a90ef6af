//! Group commit: one task writes all that waits, batch by batch, and finds out lost answers.

use super::batch::{BATCH_REQUESTS_MAX, Failure, SharedError, take_batch, write_batch};
use super::session::{Appender, open_appender};
use crate::database::DatabaseAddress;
use crate::store::row::EncodedAppend;
use crate::store::{AppendError, Appended};
use ocim_domain::event::Position;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

/// How long a batch is tried again after its connection was lost.
const RETRY_FOR: Duration = Duration::from_secs(5);
/// The wait between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// An append that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) append: EncodedAppend,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Owns the append connection. No other task of this process writes events.
pub(super) struct Committer {
    database: DatabaseAddress,
    session: Option<Appender>,
    requests: mpsc::Receiver<Request>,
    /// Taken off the queue, but not in a batch yet.
    waiting: VecDeque<Request>,
    /// Who is told the head after each commit.
    heads: [Arc<watch::Sender<Position>>; 2],
}

impl Committer {
    pub(super) fn new(
        database: DatabaseAddress,
        session: Appender,
        requests: mpsc::Receiver<Request>,
        heads: [Arc<watch::Sender<Position>>; 2],
    ) -> Self {
        Self { database, session: Some(session), requests, waiting: VecDeque::new(), heads }
    }

    /// Works until stopped (or the store is dropped) and everything accepted is answered.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while self.fill(&mut stopped).await {
            let batch = take_batch(&mut self.waiting);
            self.commit(batch).await;
        }
    }

    /// Takes what waits, without a delay that would only make batches larger: while one is
    /// written, the next one gathers. False when there will be no more.
    async fn fill(&mut self, stopped: &mut watch::Receiver<bool>) -> bool {
        while self.waiting.is_empty() {
            tokio::select! {
                biased;
                request = self.requests.recv() => match request {
                    Some(request) => self.waiting.push_back(request),
                    None => return false,
                },
                _ = stopped.wait_for(|stop| *stop), if !self.requests.is_closed() => {
                    self.requests.close();
                }
            }
        }
        while self.waiting.len() < BATCH_REQUESTS_MAX {
            let Ok(request) = self.requests.try_recv() else { break };
            self.waiting.push_back(request);
        }
        true
    }

    /// Writes a batch and answers it. A lost answer is found out by writing the same batch again:
    /// what went in the first time is then a duplicate.
    async fn commit(&mut self, batch: Vec<Request>) {
        let give_up_at = Instant::now() + RETRY_FOR;
        let mut in_doubt = false;
        loop {
            match self.attempt(&batch).await {
                Ok(answers) => return self.answer(batch, answers),
                Err(Attempt::Denied { error, data }) if !in_doubt => {
                    if data && batch.len() > 1 {
                        return self.commit_one_by_one(batch).await;
                    }
                    return refuse(batch, &error, data, in_doubt);
                }
                Err(attempt) => {
                    in_doubt |= matches!(attempt, Attempt::Lost(_));
                    let error = attempt.into_error();
                    if Instant::now() >= give_up_at {
                        return refuse(batch, &error, false, in_doubt);
                    }
                    warn!(error = ?error, in_doubt, "a batch of appends is tried again");
                }
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// One request's content must not fail its neighbours.
    async fn commit_one_by_one(&mut self, batch: Vec<Request>) {
        for request in batch {
            Box::pin(self.commit(vec![request])).await;
        }
    }

    async fn attempt(&mut self, batch: &[Request]) -> Result<Answers, Attempt> {
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => open_appender(&self.database)
                .await
                .map_err(|error| Attempt::Unreachable(Arc::new(error)))?,
        };
        match write_batch(&session, batch).await {
            Ok(answers) => {
                self.session = Some(session);
                Ok(answers)
            }
            Err(Failure::Denied { error, data }) => {
                self.session = Some(session);
                Err(Attempt::Denied { error, data })
            }
            // The session is dropped, so that the next try opens another.
            Err(Failure::Lost(error)) => Err(Attempt::Lost(error)),
        }
    }

    fn answer(&self, batch: Vec<Request>, answers: Answers) {
        let written = answers.iter().flatten().filter(|a| !a.duplicate).map(|a| a.position).max();
        if let Some(written) = written {
            self.heads.iter().for_each(|heads| raise(heads, written));
        }
        for (request, answer) in batch.into_iter().zip(answers) {
            // Nobody waits any more if the caller gave up.
            let _ = request.reply.send(answer);
        }
    }
}

type Answers = Vec<Result<Appended, AppendError>>;

/// How one try failed.
enum Attempt {
    /// Nothing was sent.
    Unreachable(SharedError),
    /// The server said no.
    Denied { error: SharedError, data: bool },
    /// Sent, and not answered.
    Lost(SharedError),
}

impl Attempt {
    fn into_error(self) -> SharedError {
        match self {
            Self::Unreachable(error) | Self::Denied { error, .. } | Self::Lost(error) => error,
        }
    }
}

fn refuse(batch: Vec<Request>, error: &SharedError, data: bool, in_doubt: bool) {
    warn!(error = ?error, appends = batch.len(), in_doubt, "appends failed");
    for request in batch {
        let error = Box::new(Arc::clone(error));
        let _ = request.reply.send(Err(match (in_doubt, data) {
            (true, _) => AppendError::OutcomeUnknown(error),
            (false, true) => AppendError::Refused(error),
            (false, false) => AppendError::Unavailable(error),
        }));
    }
}

/// Tells a head that is later than the one told before.
pub(super) fn raise(heads: &watch::Sender<Position>, head: Position) {
    heads.send_if_modified(|last| {
        let later = head > *last;
        *last = head.max(*last);
        later
    });
}
