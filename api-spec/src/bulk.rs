//! Bulk operations: redeploying and archiving many instances.

use crate::examples::{Example, needed_reason, second};
use crate::texts::{
    Actor, BulkId, HostName, InstanceId, Name, NeededReason, Prose, RunId, SqlStatement, Tag,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What is done to each instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkWork {
    /// An Appserver of its settings is launched.
    Redeploy,
    /// It is taken out of service.
    Archive,
}

/// How far a bulk operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkState {
    /// It begins with one after the other.
    Running,
    /// Nothing more is begun until somebody has it go on.
    Paused,
    /// Nothing more is begun; what was begun comes to its end.
    Stopping,
    /// It is over.
    Ended,
}

/// How far it is with one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkItemState {
    /// Its turn has not come.
    Pending,
    /// It is under way.
    Ongoing,
    /// All that was asked for is done.
    Succeeded,
    /// It was tried in vain.
    Failed,
    /// Nothing was tried.
    Skipped,
}

/// Asks to launch an Appserver of each of many instances, a few at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedeployInstances {
    /// Instances are tagged `<tag>-ongoing`, `<tag>-success` and `<tag>-failure`; those that bear one
    /// of them are left out, so that the same request goes on where an earlier one ended. Required.
    #[schema(value_type = Tag)]
    pub tag: String,
    /// Only instances of which all of this holds: `setting: value` or `setting__contains: text`, also
    /// with `id`, `domain`, `tags`, `owner`, `creator` and other comparisons.
    #[schema(value_type = Object)]
    pub filter: Map<String, Value>,
    /// Not those of which all of this holds.
    #[schema(value_type = Object)]
    pub exclude: Map<String, Value>,
    /// Settings to be changed before the launch.
    #[schema(value_type = Object)]
    pub update: Map<String, Value>,
    /// SQL that runs on each one's main database in MySQL before that, in order and once. All of it is one
    /// transaction; it may have 100,000 bytes together. It is kept encrypted and never shown.
    #[schema(value_type = Vec<SqlStatement>, max_items = 50)]
    pub preupgrade_sql_commands: Vec<String>,
    /// How often each launch is attempted.
    #[schema(minimum = 1, maximum = 10)]
    pub attempts: u32,
    /// Whether the new Appserver takes the place of all others; true when left out.
    pub activate: bool,
    /// Most instances at a time.
    #[schema(minimum = 1, maximum = 1000)]
    pub batch_size: u32,
    /// Shortest time between the beginnings of two batches, in seconds.
    #[schema(minimum = 0, maximum = 86400)]
    pub frequency_seconds: u32,
    /// Whether one instance goes first, and the others once it serves.
    pub canary: bool,
    /// After so many failures nothing more is begun; never when left out.
    #[schema(minimum = 1)]
    pub failures_max: Option<u32>,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only tell which instances it would be.
    pub dry_run: bool,
}

impl Default for RedeployInstances {
    fn default() -> Self {
        Self {
            tag: String::new(),
            filter: Map::new(),
            exclude: Map::new(),
            update: Map::new(),
            preupgrade_sql_commands: vec![],
            attempts: 1,
            activate: true,
            batch_size: 2,
            frequency_seconds: 600,
            canary: false,
            failures_max: None,
            reason: String::new(),
            dry_run: false,
        }
    }
}

/// Asks to take many instances out of service, a few at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveInstances {
    /// The internal domains of their LMS.
    #[schema(value_type = Vec<HostName>, max_items = 1000)]
    pub domains: Vec<String>,
    /// Most instances at a time.
    #[schema(minimum = 1, maximum = 1000)]
    pub batch_size: u32,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only tell which instances it would be.
    pub dry_run: bool,
}

impl Default for ArchiveInstances {
    fn default() -> Self {
        Self { domains: vec![], batch_size: 2, reason: String::new(), dry_run: false }
    }
}

/// An instance that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChosenInstance {
    /// `inst_…`.
    #[schema(value_type = InstanceId)]
    pub id: String,
    /// Display name.
    #[schema(value_type = Name)]
    pub name: String,
    /// Where its LMS is.
    #[schema(value_type = HostName)]
    pub domain: String,
    /// Why nothing would be done to it, where that is known now.
    #[schema(value_type = Option<Prose>)]
    pub left_out: Option<String>,
}

/// What a bulk operation would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkPlan {
    /// How many instances it would be about.
    #[schema(minimum = 0)]
    pub instance_count: usize,
    /// Which, in its order.
    pub instances: Vec<ChosenInstance>,
    /// What was asked for and is not there, or not in service.
    #[schema(value_type = Vec<HostName>)]
    pub unknown: Vec<String>,
}

/// The bulk operation that was asked for, and the run that carries it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedBulkOperation {
    /// `bulk_…`.
    #[schema(value_type = BulkId)]
    pub id: String,
    /// `run_…`.
    #[schema(value_type = RunId)]
    pub run: String,
    /// How many instances it is about.
    #[schema(minimum = 1)]
    pub instance_count: usize,
}

/// Why a bulk operation is paused or stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SteerBulkOperation {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

/// A piece of work on many instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkOperation {
    /// `bulk_…`.
    #[schema(value_type = BulkId)]
    pub id: String,
    /// What is done to each.
    pub work: BulkWork,
    /// `run_…` that carries it out.
    #[schema(value_type = RunId)]
    pub run: String,
    /// Who asked for it.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// Why.
    #[schema(value_type = Prose)]
    pub reason: String,
    /// What the tags of a redeployment are made of.
    #[schema(value_type = Option<Tag>)]
    pub tag: Option<String>,
    /// How often each launch of a redeployment is attempted.
    #[schema(minimum = 1)]
    pub attempts: Option<i32>,
    /// Whether a redeployment's Appservers take the place of all others.
    pub activate: Option<bool>,
    /// How many statements of SQL a redeployment runs on each one's main database before.
    #[schema(minimum = 1, maximum = 50)]
    pub preupgrade_sql_count: Option<i32>,
    /// Most instances at a time.
    #[schema(minimum = 1)]
    pub batch_size: i32,
    /// Shortest time between the beginnings of two batches, in seconds.
    #[schema(minimum = 0)]
    pub frequency_seconds: i32,
    /// Whether one instance goes first.
    pub canary: bool,
    /// After so many failures nothing more is begun.
    #[schema(minimum = 1)]
    pub failures_max: Option<i32>,
    /// How far it is.
    pub state: BulkState,
    /// Why it is paused, or begins no more.
    #[schema(value_type = Option<Prose>)]
    pub because: Option<String>,
    /// How many instances it is about.
    #[schema(minimum = 0)]
    pub instance_count: i32,
    /// How many are not begun.
    #[schema(minimum = 0)]
    pub pending: i64,
    /// How many are under way.
    #[schema(minimum = 0)]
    pub ongoing: i64,
    /// How many have succeeded.
    #[schema(minimum = 0)]
    pub succeeded: i64,
    /// How many have failed.
    #[schema(minimum = 0)]
    pub failed: i64,
    /// How many were left out.
    #[schema(minimum = 0)]
    pub skipped: i64,
    /// The next ones are not begun before.
    pub next_batch: Option<DateTime<Utc>>,
    /// When it will probably be over, as those went that are done; none before the first is.
    pub forecast_end: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub created: DateTime<Utc>,
    /// When something last happened to it.
    pub modified: DateTime<Utc>,
    /// When it was over.
    pub ended: Option<DateTime<Utc>>,
}

/// One instance of a bulk operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkItem {
    /// Its place in the order, from 1.
    #[schema(minimum = 1)]
    pub place: i32,
    /// `inst_…`.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// Where its LMS is.
    #[schema(value_type = HostName)]
    pub domain: String,
    /// How far it is.
    pub state: BulkItemState,
    /// Why it failed or was left out.
    #[schema(value_type = Option<Prose>)]
    pub why: Option<String>,
    /// When it was begun.
    pub begun: Option<DateTime<Utc>>,
    /// When it was done.
    pub settled: Option<DateTime<Utc>>,
}

impl Example for RedeployInstances {
    fn example() -> Self {
        let filter = ("openedx_release__contains".to_owned(), "hawthorn".into());
        let update = ("openedx_release".to_owned(), "open-release/ironwood.2".into());
        Self {
            tag: "ironwood".to_owned(),
            filter: Map::from_iter([filter]),
            update: Map::from_iter([update]),
            preupgrade_sql_commands: vec![SqlStatement::EXAMPLE.to_owned()],
            attempts: 2,
            canary: true,
            failures_max: Some(3),
            reason: needed_reason(),
            ..Self::default()
        }
    }
}

impl Example for ArchiveInstances {
    fn example() -> Self {
        let domains = vec!["alpha.example.com".to_owned()];
        Self { domains, reason: needed_reason(), ..Self::default() }
    }
}

impl Example for SteerBulkOperation {
    fn example() -> Self {
        Self { reason: needed_reason() }
    }
}

impl Example for BulkPlan {
    fn example() -> Self {
        let chosen = ChosenInstance {
            id: InstanceId::EXAMPLE.to_owned(),
            name: "Alpha Academy".to_owned(),
            domain: "learn.alpha.example".to_owned(),
            left_out: None,
        };
        Self { instance_count: 1, instances: vec![chosen], unknown: vec![] }
    }
}

impl Example for StartedBulkOperation {
    fn example() -> Self {
        Self { id: BulkId::EXAMPLE.to_owned(), run: RunId::EXAMPLE.to_owned(), instance_count: 12 }
    }
}

impl Example for BulkOperation {
    fn example() -> Self {
        Self {
            id: BulkId::EXAMPLE.to_owned(),
            work: BulkWork::Redeploy,
            run: RunId::EXAMPLE.to_owned(),
            actor: Actor::EXAMPLE.to_owned(),
            reason: needed_reason(),
            tag: Some("ironwood".to_owned()),
            attempts: Some(2),
            activate: Some(true),
            preupgrade_sql_count: Some(1),
            batch_size: 2,
            frequency_seconds: 600,
            canary: true,
            failures_max: Some(3),
            state: BulkState::Running,
            because: None,
            instance_count: 12,
            pending: 8,
            ongoing: 2,
            succeeded: 1,
            failed: 1,
            skipped: 0,
            next_batch: Some(second(1_200)),
            forecast_end: Some(second(9_000)),
            created: second(0),
            modified: second(660),
            ended: None,
        }
    }
}

impl Example for BulkItem {
    fn example() -> Self {
        Self {
            place: 2,
            instance: InstanceId::EXAMPLE.to_owned(),
            domain: "learn.alpha.example".to_owned(),
            state: BulkItemState::Failed,
            why: Some("`run_main_playbook` failed: no hosts matched".to_owned()),
            begun: Some(second(0)),
            settled: Some(second(660)),
        }
    }
}
