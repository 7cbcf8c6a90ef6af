//! Keeps the read models up to date: one follower for each build, and who decides which builds there are.
//!
//! A *build* is one set of tables of a projection: name, version and generation. Its row in
//! `es.checkpoints` says how far it is and whether readers see it; it is the only truth, so that a
//! rebuild can be asked for by any process, and any process can be killed at any time.
//!
//! An event that a build can't take in pauses it, until a version comes that can, or an operator
//! says that it is to be stepped over. That is an event of the log itself (`projection-<uuid>`), so
//! that every later build does the same.
//!
//! | module | what |
//! |---|---|
//! | `checkpoints` | the rows of `es.checkpoints`, and every transaction that changes them |
//! | `schema` | the tables of a build, and the views that show one |
//! | `writer` | row changes as set-based SQL |
//! | `follower` | one build: read, project, write with the checkpoint, pause at a poison event |
//! | `manager` | starts a follower for each build that wants one |
//! | `freshness` | which position readers see, for whoever waits for their own write |
//! | `connection` | a pooled connection that is given up when something went wrong on it |

mod checkpoints;
mod connection;
mod follower;
mod freshness;
mod manager;
mod schema;
mod writer;

pub use checkpoints::{
    Build, BuildState, Failure, FailureClass, ProjectionStatus, find_ahead, retire_ahead,
};
pub use connection::ProjectorError;
pub use freshness::{Freshness, Served};

use crate::store::EventStore;
use deadpool_postgres::Pool;
use ocim_projections::Projector;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Starts what keeps the read models up to date.
#[derive(Debug)]
pub struct ProjectorRuntime;

impl ProjectorRuntime {
    /// Follows `store` with every projector of `registry` (one a name) until the handle is stopped
    /// or dropped. Never fails: without a database it waits for one.
    ///
    /// `store` gives events as they are stored, protected values sealed. A paused projection gets
    /// another try at each start: a newer binary may read what an older one could not.
    #[must_use]
    pub fn start(
        store: Arc<dyn EventStore>,
        pool: Pool,
        registry: &[Projector],
    ) -> ProjectorHandle {
        let freshness = Freshness::new(registry.iter().map(|projector| projector.name));
        let wake = Arc::new(Notify::new());
        let registry: Arc<[Projector]> = registry.into();
        let task = tokio::spawn(manager::run(manager::Manager {
            store,
            pool: pool.clone(),
            registry: Arc::clone(&registry),
            freshness: freshness.clone(),
            wake: Arc::clone(&wake),
        }));
        ProjectorHandle { task, wake, freshness, pool, registry }
    }
}

/// The running projections; dropping it stops them.
#[derive(Debug)]
pub struct ProjectorHandle {
    task: JoinHandle<()>,
    wake: Arc<Notify>,
    freshness: Freshness,
    pool: Pool,
    registry: Arc<[Projector]>,
}

impl ProjectorHandle {
    /// Which positions readers see.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Every build there is, by name and generation.
    ///
    /// # Errors
    /// [`ProjectorError::Unavailable`] without a database.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, ProjectorError> {
        load_status(&self.pool).await
    }

    /// As [`request_rebuild`], begun at once.
    ///
    /// # Errors
    /// As [`request_rebuild`].
    pub async fn rebuild(&self, name: &str) -> Result<Build, ProjectorError> {
        let build = request_rebuild(&self.pool, &self.registry, name).await?;
        self.wake.notify_one();
        Ok(build)
    }

    /// Stops all followers. What was not committed is done again by the next start.
    pub async fn stop(mut self) {
        self.task.abort();
        // An aborted task answers with an error that says so.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ProjectorHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every build there is, by name and generation.
///
/// # Errors
/// [`ProjectorError::Unavailable`] without a database.
pub async fn load_status(pool: &Pool) -> Result<Vec<ProjectionStatus>, ProjectorError> {
    checkpoints::load_all(pool).await
}

/// Asks for a fresh build of a projection; readers see the old one until it has caught up.
///
/// Whoever runs projections takes it up within a second, or at its start. A rebuild that is under
/// way already is given up for it.
///
/// # Errors
/// [`ProjectorError::UnknownProjection`] for a name that is not in `registry`,
/// [`ProjectorError::Newer`] where a newer program's build is there.
pub async fn request_rebuild(
    pool: &Pool,
    registry: &[Projector],
    name: &str,
) -> Result<Build, ProjectorError> {
    checkpoints::begin_rebuild(pool, find_projector(registry, name)?).await
}

fn find_projector<'a>(
    registry: &'a [Projector],
    name: &str,
) -> Result<&'a Projector, ProjectorError> {
    let found = registry.iter().find(|projector| projector.name == name);
    found.ok_or_else(|| ProjectorError::UnknownProjection { name: name.to_owned() })
}

/// Lets the builds of a projection that are paused at this event go on, once the log says that they
/// step over it. Whoever runs projections takes it up within a second.
///
/// # Errors
/// [`ProjectorError::Unavailable`] without a database.
pub async fn resume_past(pool: &Pool, name: &str, event: Uuid) -> Result<(), ProjectorError> {
    checkpoints::resume_past(pool, name, event).await
}

/// Gives up the rebuild of a projection that is under way, unless it is a newer program's; false
/// where there is none.
///
/// # Errors
/// As [`request_rebuild`].
pub async fn cancel_rebuild(
    pool: &Pool,
    registry: &[Projector],
    name: &str,
) -> Result<bool, ProjectorError> {
    checkpoints::cancel_rebuild(pool, find_projector(registry, name)?).await
}
