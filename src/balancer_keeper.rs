//! Sees to it that there is a balancer: registers the configured one, or has one made, again and
//! again until there is one. Launches wait for it.

use crate::app::load_balancers::load_balancer_id;
use crate::app::{App, AppError, Caller};
use crate::held_address::HeldAddress;
use crate::processes::provision_load_balancer::start_provision;
use crate::processes::world::Limits;
use ocim_adapters::cloud::is_simulated;
use ocim_adapters::hosts::Hosts;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::load_balancer::{Present, Registration};
use ocim_domain::port_error::PortError;
use ocim_domain::run_record::ProvisionLoadBalancer;
use ocim_domain::saga::Saga;
use ocim_domain::server::ServerAddress;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The domain of the balancer that Ocim makes for itself.
pub const OWN_DOMAIN: &str = "balancer.localhost";
/// The domain of the one that serves simulated regions.
const SIMULATED_DOMAIN: &str = "balancer.simulated";
/// The process that makes it.
const DEFINITION: &str = "provision_load_balancer";
/// Pause between two looks at a run that makes one.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// The pause after the first failure; it doubles.
const RETRY_BASE: Duration = Duration::from_secs(30);
/// After so many failures in a row launches no longer wait for the next attempt: whoever launches is
/// to know that something is wrong.
const FAILURES_WAITED_FOR: u32 = 3;
/// The longest pause after a failure.
const RETRY_CAP: Duration = Duration::from_secs(3600);

/// Where the balancer is to come from.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// A machine of a region, made by a run.
    Made {
        /// The region.
        region: String,
        /// Whether that is a simulated one.
        simulated: bool,
        /// Flavor selector.
        flavor: Value,
        /// Image selector.
        image: Value,
    },
    /// A host that is there (`DEFAULT_LOAD_BALANCING_SERVER`).
    Given {
        /// Whom to log in as.
        user: String,
        /// Its DNS name.
        domain: String,
        /// The host keys it may show; where empty, those that it shows first.
        host_keys: Vec<String>,
        /// `LOAD_BALANCER_FRAGMENT_NAME_PREFIX`.
        fragment_name_prefix: String,
    },
}

impl Wanted {
    /// The balancer's domain.
    fn domain(&self) -> &str {
        match self {
            Self::Made { simulated, .. } => own_domain(*simulated),
            Self::Given { domain, .. } => domain,
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is a balancer.
    There,
    /// A run makes it.
    UnderWay,
}

/// Why there is none yet.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The log does not answer.
    #[error("the balancer could not be recorded")]
    App(#[from] AppError),
    /// The configured host can't be found.
    #[error("the balancer of DEFAULT_LOAD_BALANCING_SERVER can't be registered")]
    Host(#[from] PortError),
}

/// What it takes to see to a balancer.
#[derive(Debug, Clone)]
pub struct BalancerKeeper {
    app: App,
    hosts: Arc<dyn Hosts>,
    wanted: Wanted,
    limits: Limits,
    /// The address that the balancer under way is to listen on.
    held: Arc<Mutex<Option<HeldAddress>>>,
}

impl BalancerKeeper {
    /// Does nothing before [`BalancerKeeper::attempt`].
    #[must_use]
    pub fn new(app: App, hosts: Arc<dyn Hosts>, wanted: Wanted, limits: Limits) -> Self {
        Self { app, hosts, wanted, limits, held: Arc::default() }
    }

    /// Registers the configured host, or starts a run that makes a balancer, unless there is one or
    /// it is on its way.
    ///
    /// # Errors
    /// [`KeeperError`]: try again later.
    pub async fn attempt(&self) -> Result<Progress, KeeperError> {
        match &self.wanted {
            Wanted::Given { user, domain, host_keys, fragment_name_prefix } => {
                self.register_given(user, domain, host_keys, fragment_name_prefix).await
            }
            Wanted::Made { region, simulated, flavor, image } => {
                if self.is_there().await? {
                    self.hold(None);
                    return Ok(Progress::There);
                }
                if !self.app.has_open_run(DEFINITION, Some(own_domain(*simulated))).await? {
                    self.start_run(region, *simulated, flavor.clone(), image.clone()).await?;
                }
                Ok(Progress::UnderWay)
            }
        }
    }

    /// Once registered, the log's particulars stand (infra §1.2): people may have changed them.
    async fn register_given(
        &self,
        user: &str,
        domain: &str,
        host_keys: &[String],
        fragment_name_prefix: &str,
    ) -> Result<Progress, KeeperError> {
        let known = self.app.list_balancers().await?;
        let id = load_balancer_id(domain);
        if let Some((_, known)) = known.iter().find(|(other, _)| *other == id) {
            let registered = &known.registration.address.ssh_user;
            if known.is_retired {
                tracing::warn!(
                    domain,
                    "the balancer of DEFAULT_LOAD_BALANCING_SERVER is retired: it stays so"
                );
            } else if registered != user {
                tracing::warn!(
                    domain,
                    user,
                    registered,
                    "DEFAULT_LOAD_BALANCING_SERVER names another user than is registered"
                );
            }
            return Ok(Progress::There);
        }
        let found = self.hosts.find_addresses(domain).await?;
        let none = || PortError::transient(format!("{domain} is not found: there is no such name"));
        let ip = found.into_iter().next().ok_or_else(none)?;
        let host_keys = if host_keys.is_empty() {
            let shown = self.hosts.read_host_keys(ip, SSH_PORT).await?;
            tracing::warn!(domain, %ip, ?shown, "the balancer's host keys are trusted as shown");
            shown
        } else {
            host_keys.to_vec()
        };
        let address = ServerAddress {
            ip,
            ssh_port: SSH_PORT,
            http_port: 80,
            ssh_user: user.to_owned(),
            may_become_root: true,
        };
        let registration = Registration {
            domain: domain.to_owned(),
            address,
            also_listens: None,
            host_keys,
            fragment_name_prefix: fragment_name_prefix.to_owned(),
            fragment_name_postfix: self.app.new_fragment_postfix(),
            accepts_new_backends: true,
        };
        self.app.register_load_balancer(&Caller::new("system"), registration).await?;
        tracing::info!(domain, %ip, "the balancer is registered");
        Ok(Progress::There)
    }

    async fn start_run(
        &self,
        region: &str,
        simulated: bool,
        flavor: Value,
        image: Value,
    ) -> Result<(), AppError> {
        // What an attempt of before held is this one's, which then has the same links.
        let held = if simulated { None } else { self.take_held().or_else(hold_address) };
        let balancer = ProvisionLoadBalancer {
            region: region.to_owned(),
            domain: own_domain(simulated).to_owned(),
            fragment_name_postfix: self.app.new_fragment_postfix(),
            flavor,
            image,
            also_listens: held.as_ref().map(HeldAddress::address),
        };
        let journal = self.app.journal();
        let run = RunId(journal.new_id());
        let command = start_provision(run, &balancer, journal.now(), &self.limits);
        journal.execute::<Saga>(&run.stream(), &Metadata::by("system"), command).await?;
        self.hold(held);
        Ok(())
    }

    fn hold(&self, held: Option<HeldAddress>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    fn take_held(&self) -> Option<HeldAddress> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tries until there is a balancer. A run that failed is followed by another after a pause
    /// that doubles; so is an error.
    pub async fn keep_trying(&self) {
        let mut failures = 0;
        let (attempts, domain) = (self.app.balancer_attempts(), self.wanted.domain());
        let mut was_under_way = false;
        loop {
            // The look says whether the run of before has failed; the attempt starts the next.
            let failed = was_under_way && matches!(self.is_waiting().await, Ok(false));
            if failed {
                failures += 1;
                attempts.note(domain, failures < FAILURES_WAITED_FOR);
                let pause = retry_pause(failures);
                tracing::warn!(?pause, "no balancer could be made; another run follows");
                tokio::time::sleep(pause).await;
            }
            match self.attempt().await {
                Ok(Progress::There) => return attempts.note(domain, false),
                Ok(Progress::UnderWay) => {
                    was_under_way = true;
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                Err(error) => {
                    failures += 1;
                    attempts.note(domain, failures < FAILURES_WAITED_FOR);
                    let (pause, error) =
                        (retry_pause(failures), ocim_domain::error_chain::chain(&error));
                    tracing::warn!(error, ?pause, "there is no balancer yet");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// True while there is a balancer, or a run that makes one.
    async fn is_waiting(&self) -> Result<bool, AppError> {
        let subject = match self.wanted {
            Wanted::Made { simulated, .. } => Some(own_domain(simulated)),
            Wanted::Given { .. } => None,
        };
        Ok(self.app.has_open_run(DEFINITION, subject).await? || self.is_there().await?)
    }

    /// Whether a balancer is registered that can serve what is wanted.
    async fn is_there(&self) -> Result<bool, AppError> {
        let wanted = matches!(self.wanted, Wanted::Made { simulated: true, .. });
        // Nor is another made where people have retired one.
        let known = self.app.list_balancers().await?;
        let is_wanted = |known: &Present| is_simulated(known.registration.address.ip) == wanted;
        Ok(known.iter().any(|(_, known)| is_wanted(known)))
    }
}

const SSH_PORT: u16 = 22;

fn own_domain(simulated: bool) -> &'static str {
    if simulated { SIMULATED_DOMAIN } else { OWN_DOMAIN }
}

fn retry_pause(failures: u32) -> Duration {
    RETRY_BASE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_CAP)
}

/// Where browsers look for `*.localhost`: the balancer listens there as well, beside its own
/// address. Port 8080 if it is free, so that links are easy to remember.
fn hold_address() -> Option<HeldAddress> {
    HeldAddress::new(8080).or_else(|_| HeldAddress::new(0)).ok()
}

/// Tries in the background until there is a balancer, or until it is stopped.
#[derive(Debug)]
pub struct KeeperTask {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl KeeperTask {
    /// Starts to try.
    #[must_use]
    pub fn start(keeper: BalancerKeeper) -> Self {
        // Launches that come before its first look wait, too.
        keeper.app.balancer_attempts().note(keeper.wanted.domain(), true);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = stopped.changed() => {}
                () = keeper.keep_trying() => {}
            }
        });
        Self { stop, task }
    }

    /// Stops trying.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the balancer's keeper ended abnormally");
        }
    }
}
