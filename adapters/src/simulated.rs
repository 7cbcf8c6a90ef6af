//! A region in memory with a life of its own: machines, playbooks, balancers and sites that take
//! time and go wrong, by a seed.
//!
//! Unlike the fakes, nobody orders its faults: each decision is a function of seed, key, call and
//! attempt ([`dice`]), so that a world repeats exactly, in whatever order it is asked. It runs on
//! the clock that it is given, and forgets everything when its process ends.

pub mod crashes;
pub mod dice;
pub(crate) mod faults;
pub(crate) mod machine;
pub mod routes;

pub use faults::FaultKind;

use crate::Ports;
use crate::balancer::fake::FakeLoadBalancer;
use crate::cloud::Cloud;
use crate::dns::fake::Names;
use crate::mail::unsent::UnsentMailer;
use crate::metadata::fake::FakeParts;
use crate::monitoring::fake::FakeMonitors;
use crate::playbooks::simulated::Play;
use crate::provisioning::fake::Held;
use crashes::Crashes;
use dice::Dice;
use faults::Trouble;
use machine::SimulatedMachine;
use ocim_domain::system::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// How a region behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nature {
    /// All decisions follow from it.
    pub seed: u64,
    /// From 0 (nothing ever fails) to 1: the share of machines with a bad fate, and the measure of
    /// how often calls and playbooks fail.
    pub faults: f64,
    /// How many seconds of the simulated world go by in one of the clock.
    pub speed: f64,
}

/// One simulated region: a cloud, and all that one reaches in it.
#[derive(Debug)]
pub struct SimulatedRegion {
    pub(crate) name: String,
    pub(crate) dice: Dice,
    pub(crate) trouble: Trouble,
    pub(crate) speed: f64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) crashes: Arc<Crashes>,
    pub(crate) balancers: FakeLoadBalancer,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Every machine ever made, also those that are gone.
    pub(crate) machines: BTreeMap<Uuid, SimulatedMachine>,
    pub(crate) keys_by_ip: BTreeMap<IpAddr, Uuid>,
    pub(crate) plays: BTreeMap<Uuid, Play>,
    /// How often a playbook was started by each key.
    pub(crate) starts: BTreeMap<Uuid, u32>,
    /// The domains of balancers by their address.
    pub(crate) balancers: BTreeMap<IpAddr, String>,
    /// The names in the DNS.
    pub(crate) names: Names,
    /// What watches pages.
    pub(crate) monitors: FakeMonitors,
    /// What others read of sites.
    pub(crate) metadata: FakeParts,
    /// What sites have on the servers that they share.
    pub(crate) provisioned: Held,
    /// The SQL that ran on them, by server and key.
    pub(crate) scripts: BTreeSet<(String, Uuid)>,
    /// The names of those that were made.
    pub(crate) security_groups: BTreeSet<String>,
}

impl SimulatedRegion {
    /// An empty region that lives by this clock.
    #[must_use]
    pub fn new(nature: Nature, clock: Arc<dyn Clock>) -> Self {
        Self::with_crashes(nature, clock, Arc::new(Crashes::none()))
    }

    /// As [`SimulatedRegion::new`]; whoever calls it may "die" before or after the effect.
    #[must_use]
    pub fn with_crashes(nature: Nature, clock: Arc<dyn Clock>, crashes: Arc<Crashes>) -> Self {
        let dice = Dice::new(nature.seed);
        Self {
            name: String::new(),
            dice,
            trouble: Trouble::new(dice, nature.faults),
            speed: nature.speed,
            clock,
            crashes,
            balancers: FakeLoadBalancer::default(),
            state: Mutex::default(),
        }
    }

    /// The same, under the name that others call it by.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Its name; blank where nobody gave it one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region as all that one reaches outside.
    #[must_use]
    pub fn ports(self: &Arc<Self>, region: &str) -> Ports {
        Ports {
            clouds: BTreeMap::from([(region.to_owned(), Arc::clone(self) as Arc<dyn Cloud>)]),
            shell: Arc::clone(self) as _,
            playbooks: Arc::clone(self) as _,
            load_balancer: Arc::clone(self) as _,
            dns: Some(Arc::clone(self) as _),
            monitoring: Some(Arc::clone(self) as _),
            metadata: Some(Arc::clone(self) as _),
            provisioning: Arc::clone(self) as _,
            mailer: Arc::new(UnsentMailer),
            site_probe: Arc::clone(self) as _,
        }
    }

    /// How often each kind of fault was met so far.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<FaultKind, u64> {
        self.trouble.counts()
    }

    /// How many machines were ever made with this key: one, if all goes well.
    #[must_use]
    pub fn count_created(&self, key: Uuid) -> u32 {
        self.lock().machines.get(&key).map_or(0, |machine| machine.created)
    }

    /// The keys of the machines that exist now, without any trouble on the way.
    #[must_use]
    pub fn existing_keys(&self) -> Vec<Uuid> {
        let now = self.clock.now();
        let state = self.lock();
        let existing = state.machines.iter().filter(|(_, machine)| machine.exists(now));
        existing.map(|(key, _)| *key).collect()
    }

    /// Whether the machine with that key can never be deleted.
    #[must_use]
    pub fn is_undeletable(&self, key: Uuid) -> bool {
        self.trouble.refused_deletions(key) == u32::MAX
    }

    /// Every playbook that was started more than once by the same key.
    #[must_use]
    pub fn played_twice(&self) -> Vec<Uuid> {
        let state = self.lock();
        state.starts.iter().filter(|(_, starts)| **starts > 1).map(|(key, _)| *key).collect()
    }

    /// The keys of the playbooks that run now.
    #[must_use]
    pub fn running_plays(&self) -> Vec<Uuid> {
        let now = self.clock.now();
        let state = self.lock();
        let running = state.plays.iter().filter(|(_, play)| play.is_running(now, &state.machines));
        running.map(|(key, _)| *key).collect()
    }

    /// The names of the servers that take requests for `domain` on the balancer `host`, sorted.
    #[must_use]
    pub fn serving(&self, host: &str, domain: &str) -> Vec<String> {
        self.balancers.serving(host, domain)
    }

    /// Whether a machine or balancer of this region has, or had, that address.
    pub(crate) fn knows_address(&self, ip: IpAddr) -> bool {
        let state = self.lock();
        state.keys_by_ip.contains_key(&ip) || state.balancers.contains_key(&ip)
    }

    /// Whether a playbook with this key was started here.
    pub(crate) fn knows_play(&self, key: Uuid) -> bool {
        self.lock().starts.contains_key(&key)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a span of the simulated world takes on the clock.
    pub(crate) fn scaled(&self, span: Duration) -> Duration {
        span.div_f64(self.speed)
    }
}
