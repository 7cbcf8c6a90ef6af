//! Tells this process of other nodes' events and other nodes of ours: NOTIFY, and polling beneath.

use super::committer::raise;
use super::session::{ANSWER_TIMEOUT, ConnectError, open};
use crate::database::{DatabaseAddress, DatabaseConnection};
use crate::store::row::position;
use ocim_domain::event::Position;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client};
use tracing::warn;

/// The least time between two notifications of this node.
const NOTIFY_PAUSE: Duration = Duration::from_millis(10);
/// How often the head is read, since notifications are only hints.
const POLL_PAUSE: Duration = Duration::from_millis(500);
/// The wait before another connection is opened.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// Owns the connection that listens, notifies and polls.
pub(super) struct Wakeup {
    pub(super) database: DatabaseAddress,
    /// What subscriptions follow.
    pub(super) heads: Arc<watch::Sender<Position>>,
    /// What this process committed.
    pub(super) committed: watch::Receiver<Position>,
}

/// Why the connection has to be opened again.
#[derive(Debug, thiserror::Error)]
enum WakeupError {
    #[error("the connection can't be opened")]
    Connect(#[from] ConnectError),
    #[error("the connection failed")]
    Database(#[from] tokio_postgres::Error),
    #[error("the database does not answer")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("the server closed the connection")]
    Closed,
}

impl Wakeup {
    /// Works until stopped or the store is dropped; no error ends it.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut is_away = false;
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                Err(error) = self.keep_up() => {
                    // While the database is away, that is told once.
                    let is_news = !(is_away && matches!(error, WakeupError::Connect(_)));
                    if is_news {
                        warn!(error = ?error, "the wake-up connection is opened again");
                    }
                    is_away = true;
                }
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// First LISTEN, then read the head: what is written in between is in one of them.
    async fn keep_up(&mut self) -> Result<(), WakeupError> {
        let (client, connection) = open(&self.database, "ocim wakeup").await?;
        let heads = &self.heads;
        let work = async {
            client.batch_execute("set jit = off; listen es_head").await?;
            tokio::try_join!(poll(&client, heads), announce(&client, &mut self.committed))
        };
        tokio::select! {
            result = listen(connection, heads) => result,
            result = work => result.map(|_| ()),
        }
    }
}

/// Drives the connection and takes the heads that come with it.
async fn listen(
    mut connection: DatabaseConnection,
    heads: &watch::Sender<Position>,
) -> Result<(), WakeupError> {
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(note) = message?
            && let Ok(pos) = note.payload().parse()
        {
            raise(heads, position(pos));
        }
    }
    Err(WakeupError::Closed)
}

async fn poll(client: &Client, heads: &watch::Sender<Position>) -> Result<(), WakeupError> {
    let head = client.prepare("select coalesce(max(pos), 0) from es.events").await?;
    loop {
        let row = tokio::time::timeout(ANSWER_TIMEOUT, client.query_one(&head, &[])).await??;
        raise(heads, position(row.get::<_, i64>(0).unsigned_abs()));
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

/// Outside of the append's transaction, which would make all commits of the cluster wait for each
/// other; and one notification for all that was committed in the pause.
async fn announce(
    client: &Client,
    committed: &mut watch::Receiver<Position>,
) -> Result<(), WakeupError> {
    let notify = client.prepare("select pg_notify('es_head', $1)").await?;
    while committed.changed().await.is_ok() {
        let pos = committed.borrow_and_update().0[0].to_string();
        tokio::time::timeout(ANSWER_TIMEOUT, client.execute(&notify, &[&pos])).await??;
        tokio::time::sleep(NOTIFY_PAUSE).await;
    }
    // The committer is gone: there is nothing to tell any more, but still to hear.
    std::future::pending().await
}
