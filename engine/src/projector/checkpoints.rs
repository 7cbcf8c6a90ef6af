//! The rows of `es.checkpoints`: which builds there are, how far they came, which one readers see.

use super::connection::{Connection, ProjectorError, within_limit};
use super::schema::{create_tables, drop_tables, schema_name, switch_views};
use deadpool_postgres::{GenericClient, Pool, Transaction};
use ocim_domain::Timestamp;
use ocim_domain::event::Position;
use ocim_projections::Projector;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

/// One set of tables of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Build {
    /// The projection.
    pub name: String,
    /// The projector's version.
    pub version: i32,
    /// Counts the builds of this projection, from 1.
    pub generation: i32,
}

impl Build {
    /// The schema that holds its tables.
    #[must_use]
    pub fn schema(&self) -> String {
        schema_name(&self.name, self.version, self.generation)
    }
}

impl std::fmt::Display for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{} g{}", self.name, self.version, self.generation)
    }
}

/// What a build is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildState {
    /// It follows the log, and readers see it.
    Running,
    /// It stands at a poison event until the next start or rebuild.
    Paused,
    /// It catches up; readers see another one.
    Rebuilding,
    /// Another one took its place, or it was given up; its tables go.
    Retired,
}

/// What is wrong with a poison event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Its payload can't be read.
    Undecodable,
    /// The projector broke off.
    Panicked,
    /// The database refuses the rows.
    Refused,
}

/// Why a build stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The poison event's id.
    pub event: Uuid,
    /// Text form of its position.
    pub position: String,
    /// Its kind.
    pub kind: String,
    /// Its stream.
    pub stream: String,
    /// What is wrong with it.
    pub class: FailureClass,
    /// All that is known, without the payload.
    pub error: String,
}

/// How far a build came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Which build.
    pub build: Build,
    /// All events up to here are in its tables.
    pub position: Position,
    /// What it is doing.
    pub state: BuildState,
    /// Whether readers see it.
    pub serving: bool,
    /// Why it is paused.
    pub failure: Option<Failure>,
    /// When it last moved.
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "name, version, generation, pos, state, serving, failure, updated_at";

/// Every build, by name and generation.
pub(super) async fn load_all(pool: &Pool) -> Result<Vec<ProjectionStatus>, ProjectorError> {
    let connection = Connection::get(pool).await?;
    let sql = format!("select {COLUMNS} from es.checkpoints order by name, generation");
    let rows = within_limit(async { Ok(connection.query(&sql, &[]).await?) }).await?;
    connection.finish();
    rows.iter().map(read_status).collect()
}

/// The read models that show events after this position, by name.
///
/// # Errors
/// What the database says.
pub async fn find_ahead(pool: &Pool, head: Position) -> Result<Vec<String>, ProjectorError> {
    let builds = load_all(pool).await?;
    let ahead =
        builds.into_iter().filter(|it| it.state != BuildState::Retired && it.position > head);
    let names: BTreeSet<String> = ahead.map(|it| it.build.name).collect();
    Ok(names.into_iter().collect())
}

/// Gives up every build that knows of events after this position: the next start makes them anew.
///
/// # Errors
/// What the database says.
pub async fn retire_ahead(pool: &Pool, head: Position) -> Result<(), ProjectorError> {
    let mut connection = Connection::get(pool).await?;
    within_limit(async {
        let transaction = begin_change(&mut connection).await?;
        // Positions sort as their texts do.
        let sql = "update es.checkpoints set state = 'retired', serving = false, updated_at = now() \
                   where pos collate \"C\" > $1 and state <> 'retired'";
        transaction.execute(sql, &[&head.to_string()]).await?;
        Ok(transaction.commit().await?)
    })
    .await?;
    connection.finish();
    Ok(())
}

/// One build, if there is a row of it.
pub(super) async fn load(
    pool: &Pool,
    build: &Build,
) -> Result<Option<ProjectionStatus>, ProjectorError> {
    Ok(load_all(pool).await?.into_iter().find(|status| status.build == *build))
}

fn read_status(row: &Row) -> Result<ProjectionStatus, ProjectorError> {
    let position: String = row.try_get("pos")?;
    let failure: Option<Json<Failure>> = row.try_get("failure")?;
    let state = match row.try_get::<_, String>("state")?.as_str() {
        "running" => BuildState::Running,
        "paused" => BuildState::Paused,
        "rebuilding" => BuildState::Rebuilding,
        _ => BuildState::Retired,
    };
    Ok(ProjectionStatus {
        build: read_build(row)?,
        position: position.parse().map_err(|e| ProjectorError::Unavailable(Box::new(e)))?,
        state,
        serving: row.try_get("serving")?,
        failure: failure.map(|Json(failure)| failure),
        updated_at: row.try_get("updated_at")?,
    })
}

fn read_build(row: &Row) -> Result<Build, ProjectorError> {
    Ok(Build {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        generation: row.try_get("generation")?,
    })
}

/// Sees to it that each projector has a build: the first one serves at once, a new version is built
/// beside the one that serves. Paused ones get another try.
pub(super) async fn prepare(pool: &Pool, registry: &[Projector]) -> Result<(), ProjectorError> {
    let mut connection = Connection::get(pool).await?;
    within_limit(async {
        let transaction = begin_change(&mut connection).await?;
        for projector in registry {
            prepare_projector(&transaction, projector).await?;
        }
        Ok(transaction.commit().await?)
    })
    .await?;
    connection.finish();
    Ok(())
}

async fn prepare_projector(
    transaction: &Transaction<'_>,
    projector: &Projector,
) -> Result<(), ProjectorError> {
    let version = i32::from(projector.version);
    let resume = "update es.checkpoints set failure = null, updated_at = now(), \
                  state = case when serving then 'running' else 'rebuilding' end \
                  where name = $1 and version = $2 and state = 'paused'";
    transaction.execute(resume, &[&projector.name, &version]).await?;
    // What a newer program builds, or reads, is its own.
    let give_up = "update es.checkpoints set state = 'retired', updated_at = now() \
                   where name = $1 and version < $2 and not serving and state <> 'retired'";
    transaction.execute(give_up, &[&projector.name, &version]).await?;
    let present = "select coalesce(bool_or(serving), false) as is_served, \
                   coalesce(bool_or(version = $2 or serving and version > $2), false) as is_built \
                   from es.checkpoints where name = $1 and state <> 'retired'";
    let row = transaction.query_one(present, &[&projector.name, &version]).await?;
    match (row.try_get("is_served")?, row.try_get("is_built")?) {
        (false, _) => {
            let build = create_build(transaction, projector, true).await?;
            transaction.batch_execute(&switch_views(projector, &build.schema())).await?;
        }
        (true, false) => {
            create_build(transaction, projector, false).await?;
        }
        (true, true) => {}
    }
    Ok(())
}

/// Makes the next generation's row and empty tables.
async fn create_build(
    transaction: &Transaction<'_>,
    projector: &Projector,
    serving: bool,
) -> Result<Build, ProjectorError> {
    let insert = "insert into es.checkpoints (name, version, generation, pos, state, serving) \
                  select $1, $2, coalesce(max(generation), 0) + 1, $3, $4, $5 \
                  from es.checkpoints where name = $1 returning name, version, generation";
    let state = if serving { "running" } else { "rebuilding" };
    let (version, start) = (i32::from(projector.version), Position::START.to_string());
    let row = transaction
        .query_one(insert, &[&projector.name, &version, &start, &state, &serving])
        .await?;
    let build = read_build(&row)?;
    transaction.batch_execute(&create_tables(projector, &build.schema())).await?;
    Ok(build)
}

/// Makes a fresh build beside the one that serves, and gives up any other that was catching up.
pub(super) async fn begin_rebuild(
    pool: &Pool,
    projector: &Projector,
) -> Result<Build, ProjectorError> {
    let mut connection = Connection::get(pool).await?;
    let build = within_limit(async {
        let transaction = begin_change(&mut connection).await?;
        refuse_newer(&transaction, projector).await?;
        give_up_rebuild(&transaction, projector).await?;
        let build = create_build(&transaction, projector, false).await?;
        transaction.commit().await?;
        Ok(build)
    })
    .await?;
    connection.finish();
    Ok(build)
}

/// Leaves a read model alone that a newer program makes or reads.
async fn refuse_newer(
    transaction: &Transaction<'_>,
    projector: &Projector,
) -> Result<(), ProjectorError> {
    let sql = "select version from es.checkpoints where name = $1 and version > $2 \
               and state <> 'retired' order by version desc limit 1";
    let version = i32::from(projector.version);
    match transaction.query_opt(sql, &[&projector.name, &version]).await? {
        Some(row) => Err(ProjectorError::Newer {
            name: projector.name.to_owned(),
            version: row.try_get("version")?,
        }),
        None => Ok(()),
    }
}

/// Gives up the build that is catching up, unless a newer program makes it; false where there is none.
pub(super) async fn cancel_rebuild(
    pool: &Pool,
    projector: &Projector,
) -> Result<bool, ProjectorError> {
    let mut connection = Connection::get(pool).await?;
    let given_up = within_limit(async {
        let transaction = begin_change(&mut connection).await?;
        let given_up = give_up_rebuild(&transaction, projector).await?;
        transaction.commit().await?;
        Ok(given_up)
    })
    .await?;
    connection.finish();
    Ok(given_up)
}

async fn give_up_rebuild(
    transaction: &Transaction<'_>,
    projector: &Projector,
) -> Result<bool, ProjectorError> {
    let sql = "update es.checkpoints set state = 'retired', updated_at = now() \
               where name = $1 and version <= $2 and not serving and state <> 'retired'";
    let version = i32::from(projector.version);
    Ok(transaction.execute(sql, &[&projector.name, &version]).await? > 0)
}

/// Moves a build on, if it still stands at `from` and is to be moved at all. Part of the
/// transaction that writes the rows, before they are written: so each event counts exactly once.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    build: &Build,
    from: Position,
    to: Position,
) -> Result<bool, ProjectorError> {
    let sql = "update es.checkpoints set pos = $5, updated_at = now() \
               where name = $1 and version = $2 and generation = $3 and pos = $4 \
               and state in ('running', 'rebuilding')";
    let statement = transaction.prepare_cached(sql).await?;
    let Build { name, version, generation } = build;
    let (from, to) = (from.to_string(), to.to_string());
    Ok(transaction.execute(&statement, &[name, version, generation, &from, &to]).await? == 1)
}

/// Stops a build at `position`, for this reason; false if it is not there or not to be moved.
pub(super) async fn pause(
    pool: &Pool,
    build: &Build,
    position: Position,
    failure: &Failure,
) -> Result<bool, ProjectorError> {
    let sql = "update es.checkpoints set state = 'paused', failure = $5, updated_at = now() \
               where name = $1 and version = $2 and generation = $3 and pos = $4 \
               and state in ('running', 'rebuilding')";
    let connection = Connection::get(pool).await?;
    let Build { name, version, generation } = build;
    let (position, failure) = (position.to_string(), Json(failure));
    let changed = within_limit(async {
        Ok(connection.execute(sql, &[name, version, generation, &position, &failure]).await?)
    })
    .await?;
    connection.finish();
    Ok(changed == 1)
}

/// Lets the builds go on that are paused at this event.
pub(super) async fn resume_past(
    pool: &Pool,
    name: &str,
    event: Uuid,
) -> Result<(), ProjectorError> {
    let sql = "update es.checkpoints set failure = null, updated_at = now(), \
               state = case when serving then 'running' else 'rebuilding' end \
               where name = $1 and state = 'paused' and failure->>'event' = $2";
    let connection = Connection::get(pool).await?;
    let event = event.to_string();
    within_limit(async { Ok(connection.execute(sql, &[&name, &event]).await?) }).await?;
    connection.finish();
    Ok(())
}

/// Lets readers see `build`, which stands at `position`, and retires the one they saw; all at once.
/// False while the one they see is ahead (nobody is to miss what they have seen), or a newer
/// program's, and where the build was moved or switched in by others.
pub(super) async fn switch_in(
    pool: &Pool,
    projector: &Projector,
    build: &Build,
    position: Position,
) -> Result<bool, ProjectorError> {
    let mut connection = Connection::get(pool).await?;
    let switched = within_limit(async {
        let transaction = begin_change(&mut connection).await?;
        // The locks keep both builds where they are until the views have changed.
        let sql = format!(
            "select {COLUMNS} from es.checkpoints \
             where name = $1 and (serving or state = 'rebuilding') for update"
        );
        let rows = transaction.query(&sql, &[&build.name]).await?;
        let builds = rows.iter().map(read_status).collect::<Result<Vec<_>, _>>()?;
        let in_place = builds.iter().any(|it| {
            it.build == *build && it.position == position && it.state == BuildState::Rebuilding
        });
        let goes_first = |it: &ProjectionStatus| {
            it.serving && (it.position > position || it.build.version > build.version)
        };
        if !in_place || builds.iter().any(goes_first) {
            return Ok(false);
        }
        let retire = "update es.checkpoints set state = 'retired', serving = false, \
                      updated_at = now() where name = $1 and serving";
        transaction.execute(retire, &[&build.name]).await?;
        let serve = "update es.checkpoints set state = 'running', serving = true, \
                     updated_at = now() where name = $1 and generation = $2";
        transaction.execute(serve, &[&build.name, &build.generation]).await?;
        transaction.batch_execute(&switch_views(projector, &build.schema())).await?;
        transaction.commit().await?;
        Ok(true)
    })
    .await?;
    connection.finish();
    Ok(switched)
}

/// Takes the tables of retired builds away; the rows stay, so that generations are told apart.
pub(super) async fn drop_retired(pool: &Pool) -> Result<(), ProjectorError> {
    let sql = "select name, version, generation from es.checkpoints where state = 'retired' \
               and to_regnamespace(format('rm_%s_v%s_g%s', name, version, generation)) is not null";
    let mut connection = Connection::get(pool).await?;
    within_limit(async {
        for row in connection.query(sql, &[]).await? {
            let transaction = begin_change(&mut connection).await?;
            transaction.batch_execute(&drop_tables(&read_build(&row)?.schema())).await?;
            transaction.commit().await?;
        }
        Ok(())
    })
    .await?;
    connection.finish();
    Ok(())
}

/// Serialises all who make, switch and drop builds ("ocimproj" in ASCII).
const CHANGE_LOCK: i64 = 0x6f63_696d_7072_6f6a;

/// A transaction that changes which builds there are. It waits two seconds for readers, at most: a
/// longer wait would hold up those who come after them.
async fn begin_change(client: &mut Connection) -> Result<Transaction<'_>, ProjectorError> {
    let transaction = client.transaction().await?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&CHANGE_LOCK]).await?;
    transaction.batch_execute("set local lock_timeout = '2s'").await?;
    Ok(transaction)
}
