//! Bulk operations, and how it goes for each of their instances.

use crate::change::{NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::bulk::{Event, Outcome, Request, Stop, Work};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::{BulkId, InstanceId};
use ocim_domain::text::make_storable;

table! {
    /// Pieces of work on many instances.
    OPERATIONS, columns = "bulk_operations", key [id], indexes []
    {
        /// `bulk_…`.
        id: String,
        /// `redeploy` or `archive`.
        work: String,
        /// `run_…` that carries it out.
        run: String,
        /// Who asked for it.
        actor: String,
        /// Why.
        reason: String,
        /// What the tags of a redeployment are made of.
        tag: Option<String>,
        /// How often each launch is attempted.
        attempts: Option<i32>,
        /// Whether new Appservers take the place of all others.
        activate: Option<bool>,
        /// How many statements of SQL run on each one's database before.
        sql_count: Option<i32>,
        /// How many instances it is about.
        instance_count: i32,
        /// Most at a time.
        batch_size: i32,
        /// Shortest time between the beginnings of two batches.
        frequency_seconds: i32,
        /// Whether one goes first.
        canary: bool,
        /// After so many failures nothing more is begun.
        failures_max: Option<i32>,
        /// `running`, `paused`, `stopping` or `ended`.
        state: String,
        /// Why it is paused, or begins no more.
        because: Option<String>,
        /// Nothing is begun before.
        next_at: Option<DateTime<Utc>>,
        /// When it was asked for.
        created_at: DateTime<Utc>,
        /// When something last happened to it.
        updated_at: DateTime<Utc>,
        /// When it was over.
        ended_at: Option<DateTime<Utc>>,
    }
}

table! {
    /// Instances of bulk operations, in their order.
    ITEMS, item_columns = "bulk_items", key [operation, instance], indexes [Index::on("operation, place")]
    {
        /// `bulk_…`.
        operation: String,
        /// `inst_…`.
        instance: String,
        /// Its place in the order, from 1.
        place: i32,
        /// `pending`, `ongoing`, `succeeded`, `failed` or `skipped`.
        state: String,
        /// Why it failed or was skipped.
        why: Option<String>,
        /// When it was begun.
        begun_at: Option<DateTime<Utc>>,
        /// When it was done.
        settled_at: Option<DateTime<Utc>>,
    }
}

/// The read model of bulk operations.
pub const PROJECTOR: Projector = Projector {
    name: "bulk",
    version: 2,
    categories: &[BulkId::CATEGORY],
    tables: &[OPERATIONS, ITEMS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let id = BulkId(recorded.stream.id());
    let at = recorded.recorded_at;
    let update = |mut set: crate::Columns| {
        set.extend(columns! { updated_at: at });
        RowChange::update(OPERATIONS.name, columns! { id: id }, set)
    };
    let item = |instance: InstanceId| columns! { operation: id, instance: instance };
    Ok(match event {
        Event::Requested(request) => request_rows(recorded, id, &request),
        Event::BatchBegun { instances, next_at } => {
            let begun = instances.into_iter().map(|instance| {
                let set = columns! { state: "ongoing", begun_at: at };
                RowChange::update(ITEMS.name, item(instance), set)
            });
            std::iter::once(update(columns! { next_at: next_at })).chain(begun).collect()
        }
        Event::InstanceSettled { instance, outcome } => {
            let (state, why) = match outcome {
                Outcome::Succeeded => ("succeeded", None),
                Outcome::Failed { why } => ("failed", Some(make_storable(&why).into_owned())),
                Outcome::Skipped { why } => ("skipped", Some(make_storable(&why).into_owned())),
            };
            let set = columns! { state: state, why: why, settled_at: at };
            vec![update(columns! {}), RowChange::update(ITEMS.name, item(instance), set)]
        }
        Event::Paused { reason } => vec![update(columns! { state: "paused", because: reason })],
        Event::TakenUp {} => {
            vec![update(columns! { state: "running", because: NULL, ended_at: NULL })]
        }
        Event::Resumed {} => vec![update(columns! { state: "running", because: NULL })],
        Event::Stopped { stop } => {
            vec![update(columns! { state: "stopping", because: tell_stop(&stop) })]
        }
        Event::Ended {} => vec![update(columns! { state: "ended", ended_at: at })],
        Event::LeftOff { reason } => {
            vec![update(columns! { state: "ended", because: reason, ended_at: at })]
        }
    })
}

/// Why nothing more is begun, in words.
#[must_use]
pub fn tell_stop(stop: &Stop) -> String {
    match stop {
        Stop::Asked { reason } => reason.clone(),
        Stop::Canary => "the instance that went first failed".to_owned(),
        Stop::Failures { count: 1 } => "one instance failed".to_owned(),
        Stop::Failures { count } => format!("{count} instances failed"),
    }
}

fn request_rows(recorded: &Recorded, id: BulkId, request: &Request) -> Vec<RowChange> {
    let at = recorded.recorded_at;
    let (work, how) = match &request.work {
        Work::Redeploy(how) => ("redeploy", Some(how)),
        Work::Archive => ("archive", None),
    };
    let operation = RowChange::put(
        OPERATIONS.name,
        columns! { id: id },
        columns! {
            work: work,
            run: request.run,
            actor: make_storable(&recorded.meta.actor),
            reason: request.reason,
            tag: how.map(|how| how.tag.clone()),
            attempts: how.map(|how| how.attempts),
            activate: how.map(|how| how.activate),
            sql_count: how.and_then(|how| how.sql.as_ref()).map(|sql| sql.count),
            instance_count: request.instances.len(),
            batch_size: request.pace.batch_size,
            frequency_seconds: request.pace.frequency_seconds,
            canary: request.pace.canary,
            failures_max: request.pace.failures_max,
            state: "running",
            because: NULL,
            next_at: NULL,
            created_at: at,
            updated_at: at,
            ended_at: NULL,
        },
    );
    let items = request.instances.iter().zip(1u32..).map(|(instance, place)| {
        RowChange::put(
            ITEMS.name,
            columns! { operation: id, instance: instance },
            columns! { place: place, state: "pending", why: NULL, begun_at: NULL, settled_at: NULL },
        )
    });
    std::iter::once(operation).chain(items).collect()
}
