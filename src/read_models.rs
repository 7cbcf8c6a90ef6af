//! What the API reads: rows of the read models, and how fresh they are. All SELECTs live below here.

mod history;
mod references;
mod runs;

pub use history::{EventQuery, EventRow, Order, timeline_sql};
pub use references::ReferenceRow;
pub use runs::{DefinitionFigures, RunAttemptRow, RunFilter, RunRow, RunStepRow, StepFigures};

use chrono::{DateTime, Utc};
use deadpool_postgres::Pool;
use ocim_domain::event::Position;
use ocim_domain::right::ReadScope;
use ocim_engine::projector::{self, Freshness, ProjectionStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

/// One site. `settings` is the event's JSON: protected fields are sealed there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// `inst_…`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Its LMS domain as visitors see it.
    pub domain: String,
    /// All settings, protected ones sealed.
    pub settings: Value,
    /// The version of its stream that changed the settings last.
    pub settings_version: i64,
    /// `lbal_…` of its balancer.
    pub load_balancer: Option<String>,
    /// Number of Appservers ever asked for.
    pub appserver_count: i32,
    /// `apps_…` of those who receive traffic.
    pub active_appservers: Vec<String>,
    /// Its names under which visitors get something else: name and trouble of each.
    pub name_troubles: Value,
    /// `run_…` of launches that have not settled, the one under way first.
    pub launches: Vec<String>,
    /// True once a launch succeeded.
    pub successfully_provisioned: bool,
    /// Names of its databases, buckets and accounts; none until the first launch.
    pub resources: Option<Value>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One Appserver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppserverRow {
    /// `apps_…`.
    pub id: String,
    /// `inst_…`.
    pub instance: String,
    /// From 1, as in `AppServer 7`.
    pub number: i32,
    /// `new`, `waiting`, … (core §2.2).
    pub status: String,
    /// Why it failed or was cancelled.
    pub failure: Option<String>,
    /// Whether it receives traffic.
    pub active: bool,
    /// When it last began to receive traffic.
    pub last_activated: Option<DateTime<Utc>>,
    /// `serv_…`; none until it is frozen.
    pub server: Option<String>,
    /// `run_…` of its launch.
    pub launch_run: String,
    /// `run_…` of what was asked for last.
    pub latest_run: String,
    /// The frozen settings, protected ones sealed; none until it is frozen.
    pub settings: Option<Value>,
    /// The commit that is played; none until it is frozen, and where the playbook is Ocim's own.
    pub configuration_commit: Option<String>,
    /// Until when a failed one keeps its machine for debugging.
    pub keeps_server_until: Option<DateTime<Utc>>,
    /// What is wrong with its machine.
    pub trouble: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When its machine went, if it had run.
    pub terminated_at: Option<DateTime<Utc>>,
}

/// An Appserver that is not well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TroubledRow {
    /// The internal LMS domain of its site.
    pub domain: String,
    /// The Appserver.
    #[serde(flatten)]
    pub appserver: AppserverRow,
}

/// One virtual machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRow {
    /// `serv_…`.
    pub id: String,
    /// `apps_…`.
    pub appserver: String,
    /// Region.
    pub region: String,
    /// Its name in the cloud.
    pub name: String,
    /// `pending`, `building`, … (core §2.1).
    pub status: String,
    /// The cloud's id.
    pub machine: Option<String>,
    /// Public address.
    pub public_ip: Option<String>,
    /// Where sshd listens.
    pub ssh_port: Option<i32>,
    /// Where the web server listens.
    pub http_port: Option<i32>,
    /// Whom to log in as.
    pub ssh_user: Option<String>,
    /// Its SSH host keys, once it was ready.
    pub host_keys: Option<Vec<String>>,
    /// Why it failed or is out of sight.
    pub reason: Option<String>,
    /// `building`, `active`, `shutoff` or `error`, as its cloud last said.
    pub power: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One machine that nobody accounts for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrphanRow {
    /// Region.
    pub region: String,
    /// The cloud's id.
    pub machine: String,
    /// Its name in the cloud.
    pub name: String,
    /// The key that it was made with.
    pub made_with_key: Option<String>,
    /// What it was doing when it was found.
    pub power: String,
    /// `run_…` that takes it away.
    pub deletion_run: Option<String>,
    /// When it was found.
    pub found_at: DateTime<Utc>,
}

/// One balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerRow {
    /// `lbal_…`.
    pub id: String,
    /// DNS target.
    pub domain: String,
    /// Public address.
    pub public_ip: String,
    /// Where it listens for visitors.
    pub http_port: i32,
    /// A second address where it listens for visitors of its own machine.
    pub also_listens: Option<String>,
    /// Whether new instances may be given to it.
    pub accepts_new_backends: bool,
    /// What is not as it should be.
    pub troubles: Value,
    /// `run_…` that was last asked to prepare it.
    pub preparation_run: Option<String>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One region of a cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionRow {
    /// `regn_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Launches at a time.
    pub launches_max: i64,
    /// Who has a slot, the oldest first.
    pub running: Vec<RegionRunRow>,
    /// Who waits, the next one first.
    pub queued: Vec<RegionRunRow>,
    /// When its limit was first set.
    pub created_at: DateTime<Utc>,
    /// When its limit was last set.
    pub updated_at: DateTime<Utc>,
}

/// One run in a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionRunRow {
    /// `run_…`.
    pub run: String,
    /// Since when it has its slot, or waits.
    pub since: DateTime<Utc>,
}

/// Why a read model could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the read models are unavailable")]
pub struct QueryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// How long a command's answer waits for the read models.
pub const FRESHNESS_WAIT: Duration = Duration::from_secs(2);

/// How long a query may take, the wait for a connection included.
const QUERY_LIMIT: Duration = Duration::from_secs(10);

/// The read models of this database.
#[derive(Debug, Clone)]
pub struct ReadModels {
    pool: Pool,
    freshness: Freshness,
}

impl ReadModels {
    /// The read models in this database, as fresh as `freshness` says.
    #[must_use]
    pub fn new(pool: Pool, freshness: Freshness) -> Self {
        Self { pool, freshness }
    }

    /// Waits until every read model has passed `position`; false when it took longer than `wait`,
    /// or at once when one of them stands still before it.
    pub async fn wait_for(&self, position: Position, wait: Duration) -> bool {
        self.freshness.wait_for(position, wait).await
    }

    /// Every build of every projection, by name and generation.
    ///
    /// # Errors
    /// [`QueryError`] without a database; so for every query below.
    pub async fn projection_status(&self) -> Result<Vec<ProjectionStatus>, QueryError> {
        projector::load_status(&self.pool).await.map_err(|error| QueryError(Box::new(error)))
    }

    /// Lets the builds of a projection that are paused at this event go on.
    ///
    /// # Errors
    /// [`QueryError`] without a database.
    pub async fn resume_projection(&self, name: &str, event: Uuid) -> Result<(), QueryError> {
        let resumed = projector::resume_past(&self.pool, name, event).await;
        resumed.map_err(|error| QueryError(Box::new(error)))
    }

    /// What somebody may read of them.
    #[must_use]
    pub fn seen_by(&self, scope: ReadScope) -> Reads<'_> {
        Reads { models: self, scope }
    }
}

/// What somebody may read of the read models. Lists come newest first, in the stable order of their
/// ids (UUID v7, whose text sorts by time); a page goes on after the last id of the page before.
#[derive(Debug, Clone, Copy)]
pub struct Reads<'a> {
    models: &'a ReadModels,
    scope: ReadScope,
}

/// Every query fails with [`QueryError`] without a database.
impl Reads<'_> {
    /// At most `limit` instances, those after the id `after`.
    pub async fn list_instances(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<InstanceRow>, QueryError> {
        let sql =
            format!("{INSTANCES} where {} order by id desc limit $1::bigint", beyond("$2", after));
        self.query(&sql, &[&limit_value(limit), &after]).await
    }

    /// At most `limit` instances some of whose names lead elsewhere.
    pub async fn list_misled_instances(
        &self,
        limit: usize,
    ) -> Result<Vec<InstanceRow>, QueryError> {
        let sql = format!(
            "{INSTANCES} where json_array_length(name_troubles) > 0 order by id limit $1::bigint"
        );
        self.query(&sql, &[&limit_value(limit)]).await
    }

    /// At most `limit` balancers that are not as they should be.
    pub async fn list_troubled_balancers(
        &self,
        limit: usize,
    ) -> Result<Vec<LoadBalancerRow>, QueryError> {
        let sql = "select * from rm.load_balancers where json_array_length(troubles) > 0 \
                   order by id limit $1::bigint";
        self.query(sql, &[&limit_value(limit)]).await
    }

    /// One instance.
    pub async fn read_instance(&self, id: &str) -> Result<Option<InstanceRow>, QueryError> {
        self.query_one(&format!("{INSTANCES} where id = $1"), id).await
    }

    /// At most `limit` appservers, of one instance or of all, those after the id `after`.
    pub async fn list_appservers(
        &self,
        instance: Option<&str>,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<AppserverRow>, QueryError> {
        let sql = format!(
            "{APPSERVERS} where {} and {} order by id desc limit $2::bigint",
            beyond("$3", after),
            wanted("$1", "instance", instance),
        );
        self.query(&sql, &[&instance, &limit_value(limit), &after]).await
    }

    /// At most `limit` appservers, newest first, that get traffic and are not well, or that failed
    /// and keep their machines.
    pub async fn list_troubled_appservers(
        &self,
        limit: usize,
    ) -> Result<Vec<TroubledRow>, QueryError> {
        let sql = "select a.*, coalesce(own_status, launch_outcome, 'new') as status, i.domain \
                     from rm.appservers as a join rm.instances as i on i.id = a.instance \
                    where active and (trouble is not null \
                                      or coalesce(own_status, launch_outcome, '') <> 'running') \
                       or keeps_server_until is not null \
                    order by a.id desc limit $1::bigint";
        self.query(sql, &[&limit_value(limit)]).await
    }

    /// One appserver.
    pub async fn read_appserver(&self, id: &str) -> Result<Option<AppserverRow>, QueryError> {
        self.query_one(&format!("{APPSERVERS} where id = $1"), id).await
    }

    /// At most `limit` servers, those after the id `after`.
    pub async fn list_servers(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<ServerRow>, QueryError> {
        let sql = format!(
            "select * from rm.servers where {} order by id desc limit $1::bigint",
            beyond("$2", after)
        );
        self.query(&sql, &[&limit_value(limit), &after]).await
    }

    /// All machines that nobody accounts for.
    pub async fn list_orphans(&self) -> Result<Vec<OrphanRow>, QueryError> {
        self.query("select * from rm.orphans order by region, machine", &[]).await
    }

    /// One server.
    pub async fn read_server(&self, id: &str) -> Result<Option<ServerRow>, QueryError> {
        self.query_one("select * from rm.servers where id = $1", id).await
    }

    /// At most `limit` load balancers, those after the one with the id `after`. Their ids follow
    /// from their domains, so they are sorted by the time of their registration.
    pub async fn list_load_balancers(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<LoadBalancerRow>, QueryError> {
        let sql = "select * from rm.load_balancers where $2::text is null or (created_at, id) < \
                   (select created_at, id from rm.load_balancers where id = $2) \
                   order by created_at desc, id desc limit $1::bigint";
        self.query(sql, &[&limit_value(limit), &after]).await
    }

    /// One load balancer.
    pub async fn read_load_balancer(
        &self,
        id: &str,
    ) -> Result<Option<LoadBalancerRow>, QueryError> {
        self.query_one("select * from rm.load_balancers where id = $1", id).await
    }

    /// All regions by name, with who has a slot and who waits in line.
    pub async fn list_regions(&self) -> Result<Vec<RegionRow>, QueryError> {
        self.query(REGIONS, &[]).await
    }

    async fn query_one<T: DeserializeOwned>(
        &self,
        sql: &str,
        id: &str,
    ) -> Result<Option<T>, QueryError> {
        Ok(self.query(sql, &[&id]).await?.into_iter().next())
    }

    /// The rows of `sql` that may be seen, each read by the names of its columns.
    async fn query<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<T>, QueryError> {
        let ReadScope::Everything = self.scope;
        let sql = format!("select row_to_json(r) from ({sql}) as r");
        let work = async {
            let client = self.models.pool.get().await.map_err(unavailable)?;
            let statement = client.prepare_cached(&sql).await.map_err(unavailable)?;
            let rows = client.query(&statement, parameters).await.map_err(unavailable)?;
            let read = |row: Row| Ok(row.try_get::<_, Json<T>>(0).map_err(unavailable)?.0);
            rows.into_iter().map(read).collect()
        };
        tokio::time::timeout(QUERY_LIMIT, work).await.map_err(unavailable)?
    }
}

/// Instances with their launches that have not settled, the one under way first.
const INSTANCES: &str = "select *, array(select run from rm.instance_launches \
                         where instance = i.id order by number) as launches from rm.instances as i";

/// Regions with their runs, in the order in which they came.
const REGIONS: &str = "select *, array(select row_to_json(m) from \
                       (select run, since from rm.region_runs where region = r.id \
                        and state = 'running' order by queued) as m) as running, \
                       array(select row_to_json(m) from \
                       (select run, since from rm.region_runs where region = r.id \
                        and state = 'queued' order by queued) as m) as queued \
                       from rm.regions as r order by name";

/// Appservers; one whose launch ended before it was frozen shows how.
const APPSERVERS: &str = "select *, coalesce(own_status, launch_outcome, 'new') as status \
                          from rm.appservers";

/// What a page after `after` holds, which is that parameter. Each combination of conditions is a
/// statement of its own, so that its plan may use an index, however often it is run.
fn beyond(parameter: &str, after: Option<&str>) -> String {
    after.map_or(format!("{parameter}::text is null"), |_| format!("id < {parameter}"))
}

/// Rows whose column has the value, which is that parameter, if one is wanted.
fn wanted(parameter: &str, column: &str, value: Option<&str>) -> String {
    value.map_or(format!("{parameter}::text is null"), |_| format!("{column} = {parameter}"))
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> QueryError {
    QueryError(Box::new(error))
}

fn limit_value(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
