//! What outlives the process under test: the log, the clouds and their like. It can be forked at any moment.

use super::stage::REGION;
use ocim::simulation::stage::VirtualClock;
use ocim_adapters::Ports;
use ocim_adapters::balancer::fake::FakeLoadBalancer;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::cloud::fake::FakeCloud;
use ocim_adapters::dns::fake::FakeDns;
use ocim_adapters::faults::Faults;
use ocim_adapters::logs::memory::MemoryLogs;
use ocim_adapters::mail::fake::FakeMailer;
use ocim_adapters::metadata::fake::FakeMetadata;
use ocim_adapters::monitoring::fake::FakeMonitoring;
use ocim_adapters::playbooks::fake::FakePlaybooks;
use ocim_adapters::provisioning::fake::FakeServers;
use ocim_adapters::shell::fake::FakeShell;
use ocim_adapters::sites::SiteAnswer;
use ocim_adapters::sites::fake::FakeSite;
use ocim_adapters::system::CountingIds;
use ocim_domain::Timestamp;
use ocim_domain::system::{Clock, Ids};
use ocim_engine::derived::memory::MemoryDerived;
use ocim_engine::leases::memory::MemoryLeases;
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::sealed::MemoryKeys;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The world outside. Clones share it; a fork goes its own way.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    pub(crate) log: MemoryStore,
    pub(crate) lines: Arc<MemoryLogs>,
    pub(crate) keys: Arc<MemoryKeys>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) leases: MemoryLeases,
    pub(crate) derived: MemoryDerived,
    pub(crate) cloud: Arc<FakeCloud>,
    pub(crate) shell: Arc<FakeShell>,
    pub(crate) playbooks: Arc<FakePlaybooks>,
    pub(crate) balancer: Arc<FakeLoadBalancer>,
    pub(crate) dns: Arc<FakeDns>,
    pub(crate) monitoring: Arc<FakeMonitoring>,
    pub(crate) metadata: Arc<FakeMetadata>,
    /// Whether that is told of sites: a run follows each change of one then.
    pub(crate) is_told: bool,
    /// Those that sites share.
    pub(crate) servers: Arc<FakeServers>,
    pub(crate) mailer: Arc<FakeMailer>,
    pub(crate) site: Arc<FakeSite>,
}

impl Outside {
    /// Nothing has happened yet.
    pub(crate) fn new() -> Self {
        Self::with_clock(Arc::new(VirtualClock::start()))
    }

    /// As [`Outside::new`], by that clock.
    pub(crate) fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let ids: Arc<dyn Ids> = Arc::new(CountingIds::default());
        let cloud = Arc::new(FakeCloud::default());
        let balancer = Arc::new(FakeLoadBalancer::default());
        Self {
            log: MemoryStore::with_gaps(clock.clone()),
            lines: Arc::default(),
            keys: Arc::new(MemoryKeys::new(ids.clone())),
            ids,
            leases: MemoryLeases::new(clock.clone()),
            derived: MemoryDerived::default(),
            clock,
            shell: Arc::new(FakeShell::new(cloud.clone())),
            cloud,
            playbooks: Arc::default(),
            site: Arc::new(FakeSite::default().behind(balancer.clone())),
            balancer,
            dns: Arc::default(),
            monitoring: Arc::default(),
            metadata: Arc::default(),
            is_told: false,
            servers: Arc::default(),
            mailer: Arc::default(),
        }
    }

    /// The same as it is now, at that time; nobody has a lease in it, and nothing is derived yet. Ids go on counting together.
    pub(crate) fn fork(&self, now: Timestamp) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::starting_at(now));
        let cloud = Arc::new(self.cloud.fork());
        let balancer = Arc::new(self.balancer.fork());
        Self {
            log: self.log.fork(clock.clone()),
            lines: Arc::new(self.lines.fork()),
            keys: Arc::new(self.keys.fork()),
            ids: self.ids.clone(),
            leases: MemoryLeases::new(clock.clone()),
            derived: MemoryDerived::default(),
            clock,
            shell: Arc::new(self.shell.fork(cloud.clone())),
            cloud,
            playbooks: Arc::new(self.playbooks.fork()),
            dns: Arc::new(self.dns.fork()),
            monitoring: Arc::new(self.monitoring.fork()),
            metadata: Arc::new(self.metadata.fork()),
            is_told: self.is_told,
            servers: Arc::new(self.servers.fork()),
            mailer: Arc::new(self.mailer.fork()),
            site: Arc::new(self.site.fork().behind(balancer.clone())),
            balancer,
        }
    }

    /// The fakes, as a process reaches them.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            clouds: BTreeMap::from([(REGION.to_owned(), self.cloud.clone() as Arc<dyn Cloud>)]),
            shell: self.shell.clone(),
            playbooks: self.playbooks.clone(),
            load_balancer: self.balancer.clone(),
            dns: Some(self.dns.clone()),
            monitoring: Some(self.monitoring.clone()),
            metadata: self.is_told.then(|| self.metadata.clone() as _),
            provisioning: self.servers.clone(),
            mailer: self.mailer.clone(),
            site_probe: self.site.clone(),
        }
    }

    /// The faults of each provider, with its name.
    pub(crate) fn faults(&self) -> [(&'static str, &Faults); 13] {
        [
            ("cloud", &self.cloud.faults),
            ("SSH", &self.shell.faults),
            ("playbooks", &self.playbooks.faults),
            ("balancer", &self.balancer.faults),
            ("DNS", &self.dns.faults),
            ("monitoring", &self.monitoring.faults),
            ("Consul", &self.metadata.faults),
            ("MySQL", &self.servers.mysql),
            ("MongoDB", &self.servers.mongodb),
            ("RabbitMQ", &self.servers.rabbitmq),
            ("Swift", &self.servers.swift),
            ("mail server", &self.mailer.faults),
            ("site", &self.site.faults),
        ]
    }

    /// What a site answers from now on under all of its internal names, in whose name.
    pub(crate) fn answer_as(&self, site: &str, appserver: Option<String>) {
        self.answer(site, appserver.clone());
        for part in ["preview", "studio", "discovery", "ecommerce"] {
            self.answer(&format!("{part}.{site}"), appserver.clone());
        }
    }

    /// What a host answers from now on, in whose name.
    pub(crate) fn answer(&self, host: &str, appserver: Option<String>) {
        let answer = SiteAnswer { status: 200, appserver, ..SiteAnswer::default() };
        self.site.set_answer(host, Some(answer));
    }
}
