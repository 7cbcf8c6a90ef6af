//! What people may ask of Ocim: load, decide, append. One function a command, no effects.

pub mod access;
mod appservers;
mod balancer_attempts;
pub mod bulk;
mod clean_ups;
mod details;
mod drives;
mod error;
mod holdings;
mod holds;
pub mod idempotency;
pub mod incidents;
pub mod instances;
mod keeping;
pub mod lifecycle;
mod lines;
pub mod load_balancers;
mod looks;
mod maintenance;
mod metadata;
mod operators;
mod orphans;
mod projections;
mod put_offs;
mod regions;
mod reservations;
mod resources;
mod rounds;
mod runs;
mod servers;
mod settings_history;
mod shared_servers;
mod test_links;
mod timeline;
mod timers;
pub mod tokens;
mod variables;

pub use appservers::{ActivateAsk, ForceAsk, LaunchAsk, Launched};
pub use balancer_attempts::BalancerAttempts;
pub use clean_ups::{CleanUpPlan, CleanUpRequest};
pub use details::DetailsAsk;
pub use drives::Drives;
pub use error::{AppError, SettingsEdit, Violation};
pub use holdings::{Holding, Holdings, Standing};
pub use idempotency::CommandKey;
pub use incidents::Incidents;
pub use lines::IN_LINE;
pub use looks::{LastLook, LastLooks};
pub use ocim_engine::journal::{ExecuteError, Executed, Journal, JournalError, Loaded};
pub use put_offs::PutOffs;
pub use rounds::{Round, Rounds};
pub(crate) use settings_history::list_changes;
pub use settings_history::{SettingChange, SettingsVersion};
pub use test_links::{MadeLink, link_hosts};
pub use timeline::Told;
pub use variables::{Edit, ExplainedLayer, Explanation};
pub(crate) use variables::{Frozen, open_frozen};

use crate::logs::Logs;
use crate::read_models::{ReadModels, Reads};
use deadpool_postgres::Pool;
use ocim_adapters::breaker::circuits::{Circuits, OpenCircuit};
use ocim_domain::event::{Metadata, Position};
use ocim_domain::ids::RunId;
use ocim_domain::instance::clean_up;
use ocim_domain::right::ReadScope;
use ocim_domain::saga::{Plan, Run};
use ocim_domain::settings::Defaults;
use ocim_domain::system::{Clock, Ids};
use ocim_domain::timer::Job;
use ocim_engine::derived::Derived;
use ocim_engine::leases::Leases;
use ocim_engine::sagas::open_runs::OpenRuns;
use ocim_engine::storable::check_reason;
use ocim_engine::store::EventStore;
use ocim_engine::store::sealed::SealedStore;
use ocim_engine::tracker::Tracker;
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// Everything a command needs: the log of events, the clock, new ids, and what is read back.
#[derive(Debug, Clone)]
pub struct App {
    journal: Journal,
    store: Arc<SealedStore>,
    read_models: ReadModels,
    logs: Arc<Logs>,
    setting: Arc<AppSetting>,
    looks: LastLooks,
    rounds: Rounds,
    put_offs: PutOffs,
    incidents: Incidents,
    drives: Drives,
    open_runs: Arc<tokio::sync::Mutex<Tracker<OpenRuns<()>>>>,
    balancer_attempts: BalancerAttempts,
    standing: clean_ups::StandingAppservers,
    published: metadata::PublishedSites,
    ledgers: holdings::LedgerWatch,
    leases: Option<Arc<dyn Leases>>,
    circuits: Option<Arc<dyn Circuits>>,
}

/// What the app is set up with.
#[derive(Debug)]
pub struct AppSetting {
    /// What settings are when nobody says otherwise.
    pub defaults: Defaults,
    /// The names of the configured clouds.
    pub regions: Vec<String>,
    /// What the names of fragments begin with on balancers that people add.
    pub fragment_name_prefix: String,
    /// When obsolete Appservers go of instances that have no rule of their own.
    pub clean_up: clean_up::Rule,
    /// What comes every day.
    pub jobs: Vec<Job>,
    /// Whether an AWS account is configured that could make buckets.
    pub has_aws_account: bool,
    /// The plan of a run's definition; an empty one where this version does not know it.
    pub plan_of: fn(&Run) -> Plan,
}

/// Who asks, and on what occasion.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// `token:<name>`, `local:<os user>`, `saga:<run>` or `system`.
    pub actor: String,
    /// Where the request came from.
    pub source_ip: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// Why, where a reason is asked for.
    pub reason: Option<String>,
    /// What makes a repetition of the command harmless, if it came with a key.
    pub command: Option<CommandKey>,
    /// How much is shown of what the caller may read.
    pub sees: ReadScope,
    /// Whether somebody's hold of an instance is nothing to it: what it asks for was asked for before.
    pub passes_holds: bool,
}

impl Caller {
    /// A caller of whom nothing but the actor is known.
    #[must_use]
    pub fn new(actor: impl Into<String>) -> Self {
        Self { actor: actor.into(), ..Self::default() }
    }

    /// The run of a process.
    #[must_use]
    pub fn of_run(run: RunId) -> Self {
        let (actor, request_id) = (format!("saga:{run}"), Some(run.to_string()));
        Self { actor, request_id, passes_holds: true, ..Self::default() }
    }

    /// The reason that the caller gives.
    ///
    /// # Errors
    /// [`AppError::Invalid`] where there is none.
    pub fn need_reason(&self) -> Result<String, AppError> {
        let reason = self.reason.as_deref();
        let reason = reason.ok_or_else(|| AppError::invalid("reason", "is required"))?;
        check_reason(reason)?;
        Ok(reason.trim().to_owned())
    }

    /// The caller, whose reason is one where one is given: also where nothing comes of the command.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a blank or too long one.
    pub fn with_checked_reason(self) -> Result<Self, AppError> {
        self.reason.as_deref().map(check_reason).transpose()?;
        Ok(self)
    }

    /// What goes beside the events that this caller causes.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata {
            actor: self.actor.clone(),
            correlation_id: self.request_id.clone(),
            causation_id: match &self.command {
                Some(command) => Some(command.cause()),
                None => self.request_id.clone(),
            },
            traceparent: self.traceparent.clone(),
            source_ip: self.source_ip.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// A command's answer, and the position that a read model must have passed to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done<T> {
    /// The answer.
    pub value: T,
    /// The last event's position.
    pub position: Position,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        store: Arc<SealedStore>,
        read_models: ReadModels,
        logs: Arc<Logs>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        setting: AppSetting,
    ) -> Self {
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn EventStore>, clock, ids);
        let open_runs = track_open_runs(&journal);
        Self {
            incidents: Incidents::new(&journal),
            standing: clean_ups::StandingAppservers::new(&journal),
            published: metadata::PublishedSites::new(&journal),
            ledgers: holdings::LedgerWatch::new(&journal),
            journal,
            open_runs,
            store,
            read_models,
            logs,
            setting: Arc::new(setting),
            looks: LastLooks::default(),
            rounds: Rounds::default(),
            put_offs: PutOffs::default(),
            drives: Drives::default(),
            balancer_attempts: BalancerAttempts::default(),
            leases: None,
            circuits: None,
        }
    }

    /// The same, which keeps there what it derives from the log. To be said first.
    #[must_use]
    pub fn with_derived(self, derived: Arc<dyn Derived>) -> Self {
        let journal = self.journal.with_derived(derived);
        let open_runs = track_open_runs(&journal);
        let incidents = Incidents::new(&journal);
        let standing = clean_ups::StandingAppservers::new(&journal);
        let published = metadata::PublishedSites::new(&journal);
        let ledgers = holdings::LedgerWatch::new(&journal);
        Self { journal, open_runs, incidents, standing, published, ledgers, ..self }
    }

    /// The same, which asks these leases who holds a run.
    #[must_use]
    pub fn with_leases(self, leases: Arc<dyn Leases>) -> Self {
        Self { leases: Some(leases), ..self }
    }

    /// The same, which reads its read models over these connections.
    #[must_use]
    pub fn with_reads_over(self, pool: Pool) -> Self {
        Self { read_models: self.read_models.over(pool), ..self }
    }

    /// The same, which asks there which providers are left alone.
    #[must_use]
    pub fn with_circuits(self, circuits: Arc<dyn Circuits>) -> Self {
        Self { circuits: Some(circuits), ..self }
    }

    /// The providers that this node leaves alone now.
    #[must_use]
    pub fn open_circuits(&self) -> Vec<OpenCircuit> {
        self.circuits.as_ref().map(|circuits| circuits.open_circuits()).unwrap_or_default()
    }

    /// The id of something of this kind that the caller's command makes: a new one, or for a
    /// command with a key the same at each repetition.
    fn new_id(&self, by: &Caller, kind: &str) -> Uuid {
        by.command.map_or_else(|| self.journal.new_id(), |command| command.derive_id(kind))
    }

    /// The plan of a run's definition; an empty one where this version does not know it.
    fn plan_of(&self, run: &Run) -> Plan {
        (self.setting.plan_of)(run)
    }

    /// The log of events, typed.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The event store, which opens what is sealed.
    #[must_use]
    pub fn store(&self) -> &Arc<SealedStore> {
        &self.store
    }

    /// The read models: how fresh they are, and how their builds do.
    #[must_use]
    pub fn read_models(&self) -> &ReadModels {
        &self.read_models
    }

    /// What somebody may read of the read models.
    #[must_use]
    pub fn reads(&self, by: &Caller) -> Reads<'_> {
        self.read_models.seen_by(by.sees)
    }

    /// The log lines of runs.
    #[must_use]
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// The names of the configured regions.
    #[must_use]
    pub fn regions(&self) -> &[String] {
        &self.setting.regions
    }

    /// When this node last looked at each region.
    #[must_use]
    pub fn looks(&self) -> &LastLooks {
        &self.looks
    }

    /// What this node does at short intervals.
    #[must_use]
    pub fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// What settings are when nobody says otherwise.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.setting.defaults
    }

    /// Whether this node makes another attempt at a balancer.
    #[must_use]
    pub fn balancer_attempts(&self) -> &BalancerAttempts {
        &self.balancer_attempts
    }

    /// The steps that this node leaves alone for a while.
    #[must_use]
    pub fn put_offs(&self) -> &PutOffs {
        &self.put_offs
    }

    /// The times by which this node drives runs.
    #[must_use]
    pub fn drives(&self) -> &Drives {
        &self.drives
    }

    /// A read model's JSON with its sealed values opened; shredded ones stay without text.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] when the keys can't be read, [`AppError::Internal`] for a value that
    /// was tampered with.
    pub async fn open(&self, sealed: &Value) -> Result<Value, AppError> {
        Ok(self.store.open_value(sealed).await?)
    }
}

fn track_open_runs(journal: &Journal) -> Arc<tokio::sync::Mutex<Tracker<OpenRuns<()>>>> {
    // The runner keeps the checkpoint: it hears of runs that are asked for, too.
    Arc::new(tokio::sync::Mutex::new(Tracker::new(journal, OpenRuns::started()).read_only()))
}
