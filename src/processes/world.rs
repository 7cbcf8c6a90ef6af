//! What steps may use: commands, ports, and the limits in force.

use super::publish_metadata::PUBLISH_METADATA;
use super::send_mail::{SEND_MAIL, has_recipients};
use super::slots::{self, Slots, WAKERS};
use super::start::{started_by, triggers};
use super::step::{StartRequest, StepError};
use super::update_monitors::UPDATE_MONITORS;
use crate::app::{App, Journal};
use crate::logs::Logs;
use crate::logs::masking::Masker;
use crate::mails::MailSetting;
use ocim_adapters::Ports;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::logs::Level;
use ocim_adapters::playbooks::Source;
use ocim_domain::Timestamp;
use ocim_domain::configuration::SiteWideSettings;
use ocim_domain::event::Recorded;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use ocim_domain::resources::ResourcePrefixes;
use ocim_domain::run_record::MailInput;
use ocim_domain::saga::{ErrorCode, Planted, PutOff, Run};
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::host::{HoldUp, Host, RunnerLimits};
use ocim_engine::sagas::steady::SteadyTime;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Numbers and names that steps go by; from the configuration.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest wait for a machine to be built, and again for its SSH (core §2.3).
    pub server_wait: Duration,
    /// Longest wait for the heartbeat after the reboot (core §2.3).
    pub heartbeat_wait: Duration,
    /// Longest orderly stop of a machine (`SHUTDOWN_TIMEOUT`).
    pub shutdown_wait: Duration,
    /// Longest wait for old connections to end when traffic moves.
    pub drain_wait: Duration,
    /// Longest silence of a playbook (`ANSIBLE_LINE_TIMEOUT`).
    pub line_timeout: Duration,
    /// Longest run of a playbook (`ANSIBLE_GLOBAL_TIMEOUT`).
    pub playbook_timeout: Duration,
    /// Longest wait for the hosts that playbooks and their requirements come from.
    pub source_wait: Duration,
    /// How long a failed Appserver keeps its machine for debugging.
    pub failed_server_kept: Duration,
    /// How long the log of a run is kept once it has ended (`LOG_DELETION_DAYS`).
    pub logs_kept: Duration,
    /// Pause between two looks at something that one waits for.
    pub poll_interval: Duration,
    /// Pause between two looks at a playbook's output.
    pub follow_interval: Duration,
    /// Longest wait for an earlier launch of the instance.
    pub turn_wait: Duration,
    /// First pause before a retry, doubled each time.
    pub retry_base: Duration,
    /// Longest pause before a retry.
    pub retry_cap: Duration,
    /// Launches at a time in a region that `launches_max_of` does not name.
    pub launches_max_default: u32,
    /// Launches at a time, by region (`OCIM_CLOUDS`).
    pub launches_max_of: BTreeMap<String, u32>,
    /// Launches of bulk operations at a time in a region; they leave others its last slot.
    pub bulk_launches_max: u32,
    /// Pause between two looks at one's place in line; the slot itself is told at once.
    pub queue_poll: Duration,
    /// How long a node has a run unless it renews its lease.
    pub lease_ttl: Duration,
    /// Pause between two renewals.
    pub lease_renewal: Duration,
    /// Nothing is begun so shortly before the end of a lease.
    pub lease_margin: Duration,
    /// How long a run whose process is unknown here is left for another node.
    pub unknown_grace: Duration,
    /// Longest run of a launch once it is its turn, and of the making of a balancer.
    pub launch_time: Duration,
    /// Longest run that moves traffic, once it is its turn, up to its point of no return.
    pub traffic_time: Duration,
    /// The bug that a test has planted.
    pub planted: Planted,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            server_wait: Duration::from_secs(3600),
            heartbeat_wait: Duration::from_secs(1800),
            shutdown_wait: Duration::from_secs(600),
            drain_wait: Duration::from_secs(60),
            line_timeout: Duration::from_secs(1500),
            playbook_timeout: Duration::from_secs(9000),
            source_wait: Duration::from_secs(3600),
            failed_server_kept: Duration::from_secs(2 * 24 * 3600),
            logs_kept: Duration::from_secs(60 * 24 * 3600),
            poll_interval: Duration::from_millis(500),
            follow_interval: Duration::from_millis(250),
            turn_wait: Duration::from_secs(24 * 3600),
            retry_base: Duration::from_secs(1),
            retry_cap: Duration::from_secs(60),
            launches_max_default: 10,
            launches_max_of: BTreeMap::new(),
            bulk_launches_max: 3,
            queue_poll: Duration::from_secs(30),
            lease_ttl: Duration::from_secs(30),
            lease_renewal: Duration::from_secs(10),
            lease_margin: Duration::from_secs(5),
            unknown_grace: Duration::from_secs(900),
            launch_time: Duration::from_secs(8 * 3600),
            traffic_time: Duration::from_secs(3600),
            planted: Planted::default(),
        }
    }
}

impl Limits {
    /// Those that the runner itself goes by.
    #[must_use]
    pub fn runner(&self) -> RunnerLimits {
        RunnerLimits {
            retry_base: self.retry_base,
            retry_cap: self.retry_cap,
            lease_ttl: self.lease_ttl,
            lease_renewal: self.lease_renewal,
            lease_margin: self.lease_margin,
            unknown_grace: self.unknown_grace,
            planted: self.planted,
        }
    }

    /// Launches at a time in a region.
    #[must_use]
    pub fn launches_max(&self, region: &str) -> u32 {
        self.launches_max_of.get(region).copied().unwrap_or(self.launches_max_default)
    }
}

/// What deployments are made with; from the configuration.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// What the variables of all sites take from the configuration.
    pub site_wide: SiteWideSettings,
    /// Name of the main security group (`OPENEDX_APPSERVER_SECURITY_GROUP_NAME`).
    pub security_group: String,
    /// The common playbook (`ANSIBLE_APPSERVER_*`): source, path, requirements; none when unset.
    pub common_playbook: Option<(Source, String, String)>,
    /// `LOAD_BALANCER_FRAGMENT_NAME_PREFIX`.
    pub fragment_prefix: String,
    /// `PRELIMINARY_PAGE_SERVER_IP`.
    pub preliminary_page_ip: Option<String>,
    /// What buckets' and accounts' names begin with, at the time that they are given.
    pub resource_prefixes: ResourcePrefixes,
    /// Whom monitors write to, whichever site they watch (`ADMINS`).
    pub alert_addresses: Vec<String>,
    /// Who sends mails to whom.
    pub mail: MailSetting,
    /// Secrets of Ocim's own that must never stand in a log.
    pub own_secrets: Vec<String>,
    /// Masks them.
    pub own_masker: Arc<Masker>,
}

/// Commands and ports, shared by all runs.
#[derive(Debug)]
pub struct World {
    /// Commands.
    pub app: App,
    /// What steps reach outside.
    pub ports: Ports,
    /// Log lines.
    pub logs: Arc<Logs>,
    /// Limits in force.
    pub limits: Limits,
    /// What deployments are made with.
    pub deployment: Deployment,
    /// Where tests stop runs.
    pub holds: Holds,
    /// One change at a time of each thing that several runs change: e.g. on each balancer, so that a
    /// fragment is never older than the state that it was composed from.
    pub locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Who may launch in which region.
    pub slots: Slots,
}

impl World {
    /// The cloud of a region.
    ///
    /// # Errors
    /// Permanent when no such region is configured.
    pub fn cloud(&self, region: &str) -> Result<Arc<dyn Cloud>, StepError> {
        self.ports.clouds.get(region).cloned().ok_or_else(|| {
            let message = format!("the region `{region}` is not configured: see OCIM_CLOUDS");
            StepError::permanent(ErrorCode::RegionNotConfigured, message)
        })
    }

    /// The lock of one thing: a fragment by its name, others by what they are called in words.
    #[must_use]
    pub fn lock(&self, thing: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Nobody has, or waits for, those of which this map has the only handle.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(thing.to_owned()).or_default())
    }
}

/// How long a change of a site waits to be told of: what is older, every day sees to.
const FOLLOWED: chrono::TimeDelta = chrono::TimeDelta::days(2);

impl World {
    /// Whether anything would come of the run: a mail that nobody is to get is none, and nobody can be told
    /// to watch a site, or what it is, where nobody is configured to.
    fn is_wanted(&self, request: &StartRequest, event: &Recorded) -> bool {
        if request.definition == UPDATE_MONITORS.name {
            return self.ports.monitoring.is_some();
        }
        if request.definition == PUBLISH_METADATA.name {
            // What happened before that, every day sees to, also where nobody was told then.
            let is_new = event.recorded_at > self.app.journal().now() - FOLLOWED;
            return is_new && self.ports.metadata.is_some();
        }
        if request.definition != SEND_MAIL.name {
            return true;
        }
        let input = serde_json::from_value::<MailInput>(request.input.clone());
        input.is_ok_and(|input| has_recipients(&self.deployment.mail, &input.about))
    }
}

impl Host for World {
    type Limits = Limits;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn runner_limits(limits: &Limits) -> RunnerLimits {
        limits.runner()
    }

    fn journal(&self) -> &Journal {
        self.app.journal()
    }

    fn holds(&self) -> &Holds {
        &self.holds
    }

    fn kinds_heard(&self) -> Vec<&'static str> {
        triggers().chain(WAKERS.iter().copied()).collect()
    }

    fn started_by(&self, event: &Recorded) -> Option<StartRequest> {
        started_by(event).filter(|request| self.is_wanted(request, event))
    }

    fn woken_by(&self, event: &Recorded) -> Option<RunId> {
        slots::woken_by(event)
    }

    async fn hold_up(&self, run: RunId, state: &Run) -> Option<HoldUp> {
        self.app.hold_up(run, state).await
    }

    fn hold_up_news(&self) -> watch::Receiver<u64> {
        self.app.incidents().news()
    }

    fn mask(&self, text: &str) -> String {
        self.deployment.own_masker.mask(text)
    }

    async fn say(&self, run: RunId, step: &str, level: Level, text: String) {
        let masker = &self.deployment.own_masker;
        if let Err(error) = self.logs.append(run, step, level, &text, masker).await {
            tracing::warn!(%run, step, %error, "a line was not logged");
        }
    }

    fn is_news(&self, run: RunId, step: &str, text: &str) -> bool {
        self.logs.is_news(run, step, text)
    }

    async fn finish_log(&self, run: RunId) -> Result<(), PortError> {
        self.logs.finish(run).await
    }

    fn note_put_off(&self, run: RunId, step: &str, put_off: PutOff, now: Timestamp) {
        self.app.put_offs().note(run, step, put_off, now);
    }

    fn note_drive(&self, run: RunId, time: Option<SteadyTime>) {
        if time.is_none() {
            self.app.incidents().forget(run);
        }
        self.app.drives().note(run, time);
    }

    async fn release_places(&self, run: Option<RunId>) -> Result<(), Box<dyn Error + Send + Sync>> {
        match run {
            Some(run) => slots::leave_regions(self, run).await?,
            None => slots::sweep_regions(self).await?,
        }
        Ok(())
    }
}
