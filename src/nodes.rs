//! The nodes on one database: what each has to itself, who may work beside whom, who lives.
//!
//! A node drives any run, so it must be able to do whatever the others began: reach their machines,
//! log in there, find their plays. One that could not is refused at its start. What keeps it out is
//! on the first one's computer and outlives its processes, so that row stays until an operator
//! forgets the node.

use crate::http::local_token_name;
use chrono::{DateTime, Utc};
use deadpool_postgres::{Pool, PoolError};
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Row;
use uuid::Uuid;

/// How often a node says that it runs.
const BEAT_PAUSE: Duration = Duration::from_secs(10);
/// A node that has said nothing for so long runs no more.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest that one question to the database may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Only one node at a time compares itself with the others and adds itself.
const LOCK: &str = "lock table engine.nodes in exclusive mode";
const LIST: &str = "select node, host, folder, ssh_key, playbooks, own_regions, version, started_at, \
        seen_at, coalesce(extract(epoch from clock_timestamp() - seen_at), 1e9)::double precision \
    from engine.nodes order by started_at, node";
const REGISTER: &str = "insert into engine.nodes values \
        ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), clock_timestamp()) \
    on conflict (node) do update set host = $2, folder = $3, ssh_key = $4, playbooks = $5, \
        own_regions = $6, version = $7, started_at = clock_timestamp(), seen_at = clock_timestamp()";
const BEAT: &str = "update engine.nodes set seen_at = clock_timestamp() where node = $1";
const LEAVE: &str = "update engine.nodes set seen_at = null where node = $1";
const FORGET: &str = "delete from engine.nodes where node = $1";
const REVOKE: &str = "update access.tokens set revoked_at = clock_timestamp() \
    where name = $1 and revoked_at is null";

/// What a node is, as far as others must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeFacts {
    /// Its id, which its data folder keeps.
    pub node: Uuid,
    /// The name of its computer.
    pub host: String,
    /// Its data folder.
    pub folder: String,
    /// The fingerprint of the SSH key that its machines open to, `SHA256:…`.
    pub ssh_key: String,
    /// The id of the folder that its plays are found in.
    pub playbooks: Uuid,
    /// The regions whose machines nobody else can reach: local and simulated ones.
    pub own_regions: Vec<String>,
}

/// A node that worked on the database, and was not forgotten.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// What it is.
    #[serde(flatten)]
    pub facts: NodeFacts,
    /// The version of its program.
    pub version: String,
    /// When it started last.
    pub started: DateTime<Utc>,
    /// When it last said that it runs; none once it has stopped in an orderly way.
    pub seen: Option<DateTime<Utc>>,
    /// Whether it has said so just now.
    pub is_running: bool,
}

/// Why one node can't work beside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// These regions are on one node's own computer, or within its process.
    OwnRegions(Vec<String>),
    /// Machines open to another key.
    SshKey,
    /// Plays are found in another folder.
    Playbooks,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnRegions(regions) => {
                write!(f, "only one of them reaches the machines of {}", regions.join(", "))
            }
            Self::SshKey => f.write_str("their SSH key pairs differ"),
            Self::Playbooks => f.write_str("their folders of playbook runs differ"),
        }
    }
}

impl NodeFacts {
    /// All that keeps the two from working side by side.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let own = || self.own_regions.iter().chain(&other.own_regions);
        let mut regions: Vec<_> = own().cloned().collect();
        regions.sort_unstable();
        regions.dedup();
        [
            (!regions.is_empty()).then_some(Difference::OwnRegions(regions)),
            (self.ssh_key != other.ssh_key).then_some(Difference::SshKey),
            (self.playbooks != other.playbooks).then_some(Difference::Playbooks),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether the other is the same data folder at another place: a copy, or it was moved.
    fn is_elsewhere(&self, other: &Self) -> bool {
        (&self.host, &self.folder) != (&other.host, &other.folder)
    }
}

/// Why a node may not start, or can't be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another node works on the database, and this one could not go on with what it began.
    #[error(
        "the database belongs to node {} on {} ({}), which {}, and this node can't work beside it: \
         {}. Start Ocim there, or move its data folder here. If that node is gone for good, with \
         its machines: `ocim node forget {}`",
        first.facts.node, first.facts.host, first.facts.folder, tell_life(first), list(differences),
        first.facts.node
    )]
    Refused {
        /// The other one.
        first: Box<Node>,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// The same data folder is in use at another place.
    #[error(
        "a copy of this data folder is at work on {} ({}): two of them would drive the same runs. \
         Stop that one; if it was killed, wait for {} s and start again",
        first.facts.host, first.facts.folder, SILENCE_MAX.as_secs()
    )]
    Copied {
        /// The other one.
        first: Box<Node>,
    },
    /// There is no such node.
    #[error("there is no node {0}: `ocim node list` shows those there are")]
    Unknown(Uuid),
    /// It runs.
    #[error(
        "node {node} runs: stop it first. One that was killed counts as running for {} s",
        SILENCE_MAX.as_secs()
    )]
    Runs {
        /// Which.
        node: Uuid,
    },
    /// The database does not answer.
    #[error("the nodes can't be read or written")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn tell_life(node: &Node) -> String {
    match node.seen {
        _ if node.is_running => "runs".to_owned(),
        Some(seen) => format!("was last seen {}", seen.format("%Y-%m-%d %H:%M:%S UTC")),
        None => "is stopped".to_owned(),
    }
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<tokio_postgres::Error> for NodeError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<PoolError> for NodeError {
    fn from(error: PoolError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<tokio::time::error::Elapsed> for NodeError {
    fn from(error: tokio::time::error::Elapsed) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Adds this node to those on the database, or says who is in its way. From then on it is seen until
/// [`Presence::end`].
///
/// # Errors
/// [`NodeError::Refused`], [`NodeError::Copied`], [`NodeError::Unavailable`].
pub async fn register(pool: &Pool, facts: &NodeFacts) -> Result<Presence, NodeError> {
    tokio::time::timeout(TIMEOUT, try_register(pool, facts)).await??;
    Ok(Presence::begin(pool.clone(), facts.node))
}

async fn try_register(pool: &Pool, facts: &NodeFacts) -> Result<(), NodeError> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    for row in transaction.query(LIST, &[]).await? {
        let first = Box::new(read_node(&row)?);
        if first.facts.node == facts.node {
            // Its folder's lock keeps this one's own place from being used twice.
            if first.is_running && facts.is_elsewhere(&first.facts) {
                return Err(NodeError::Copied { first });
            }
            continue;
        }
        let differences = facts.differences(&first.facts);
        if !differences.is_empty() {
            return Err(NodeError::Refused { first, differences });
        }
    }
    let NodeFacts { node, host, folder, ssh_key, playbooks, own_regions } = facts;
    let version = env!("CARGO_PKG_VERSION");
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [node, host, folder, ssh_key, playbooks, own_regions, &version];
    transaction.execute(REGISTER, &values).await?;
    Ok(transaction.commit().await?)
}

/// Every node that was not forgotten, the oldest first.
///
/// # Errors
/// [`NodeError::Unavailable`].
pub async fn list_nodes(pool: &Pool) -> Result<Vec<Node>, NodeError> {
    let rows = async { Ok::<_, NodeError>(pool.get().await?.query(LIST, &[]).await?) };
    tokio::time::timeout(TIMEOUT, rows).await??.iter().map(read_node).collect()
}

/// Forgets a node that is gone for good, and ends the token of its computer's commands. Machines that
/// it alone could reach stay unknown to others.
///
/// # Errors
/// [`NodeError::Unknown`], [`NodeError::Runs`], [`NodeError::Unavailable`].
pub async fn forget(pool: &Pool, node: Uuid) -> Result<Node, NodeError> {
    tokio::time::timeout(TIMEOUT, async {
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(LOCK).await?;
        let rows = transaction.query(LIST, &[]).await?;
        let known = rows.iter().map(read_node).collect::<Result<Vec<_>, _>>()?;
        let found = known.into_iter().find(|it| it.facts.node == node);
        let found = found.ok_or(NodeError::Unknown(node))?;
        if found.is_running {
            return Err(NodeError::Runs { node });
        }
        transaction.execute(FORGET, &[&node]).await?;
        transaction.execute(REVOKE, &[&local_token_name(node)]).await?;
        transaction.commit().await?;
        Ok(found)
    })
    .await?
}

fn read_node(row: &Row) -> Result<Node, NodeError> {
    let silent_s: f64 = row.try_get(9)?;
    Ok(Node {
        facts: NodeFacts {
            node: row.try_get(0)?,
            host: row.try_get(1)?,
            folder: row.try_get(2)?,
            ssh_key: row.try_get(3)?,
            playbooks: row.try_get(4)?,
            own_regions: row.try_get(5)?,
        },
        version: row.try_get(6)?,
        started: row.try_get(7)?,
        seen: row.try_get(8)?,
        is_running: silent_s < SILENCE_MAX.as_secs_f64(),
    })
}

/// Says again and again that this node runs.
#[derive(Debug)]
pub struct Presence {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Presence {
    fn begin(pool: Pool, node: Uuid) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stopped.changed() => break,
                    () = tokio::time::sleep(BEAT_PAUSE) => say(&pool, BEAT, node).await,
                }
            }
            say(&pool, LEAVE, node).await;
        });
        Self { stop, task }
    }

    /// Says that this node has stopped.
    pub async fn end(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "this node's presence ended abnormally");
        }
    }
}

/// A database that does not answer for a moment costs nothing: whoever asks may believe for a while
/// that this node is silent.
async fn say(pool: &Pool, sql: &str, node: Uuid) {
    let said = async { Ok::<_, NodeError>(pool.get().await?.execute(sql, &[&node]).await?) };
    match tokio::time::timeout(TIMEOUT, said).await.map_err(NodeError::from).flatten() {
        Ok(_) => {}
        Err(error) => {
            let error = ocim_domain::error_chain::chain(&error);
            tracing::debug!(error, "this node could not say that it runs");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> NodeFacts {
        NodeFacts {
            node: Uuid::from_u128(1),
            host: "one".to_owned(),
            folder: "/var/lib/ocim".to_owned(),
            ssh_key: "SHA256:a".to_owned(),
            playbooks: Uuid::from_u128(7),
            own_regions: vec![],
        }
    }

    #[test]
    fn whatever_a_node_could_not_go_on_with_keeps_it_out() {
        let second = NodeFacts { node: Uuid::from_u128(2), host: "two".to_owned(), ..facts() };
        assert_eq!(second.differences(&facts()), []);
        let here = || vec!["here".to_owned()];
        let theirs = NodeFacts { own_regions: here(), ..facts() };
        for (one, other) in [(&second, &theirs), (&theirs, &second)] {
            assert_eq!(one.differences(other), [Difference::OwnRegions(here())]);
        }
        let theirs = NodeFacts { ssh_key: "SHA256:b".to_owned(), ..facts() };
        assert_eq!(second.differences(&theirs), [Difference::SshKey]);
        let theirs = NodeFacts { playbooks: Uuid::from_u128(8), ..facts() };
        assert_eq!(second.differences(&theirs), [Difference::Playbooks]);
    }
}
