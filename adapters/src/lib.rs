//! What Ocim needs of the outside world, in its own words, and who does it: one module a port.
//!
//! Each port is a narrow trait with its values; beside it stand the real adapter, a simulated one with
//! a life of its own, and a small fake with fault injection for tests.
//!
//! | port | real | simulated | fake |
//! |---|---|---|---|
//! | [`cloud::Cloud`] | [`cloud::local`], [`cloud::openstack`] | [`cloud::simulated`] | [`cloud::fake`] |
//! | [`shell::Shell`] | [`shell::ssh`] | [`shell::simulated`] | [`shell::fake`] |
//! | [`playbooks::Playbooks`] | [`playbooks::ansible`] | [`playbooks::simulated`] | [`playbooks::fake`] |
//! | [`balancer::LoadBalancer`] | [`balancer::haproxy`] | [`balancer::simulated`] | [`balancer::fake`] |
//! | [`sites::SiteProbe`] | [`sites::http`] | [`shell::simulated`] | [`sites::fake`] |
//! | [`dns::Dns`] | [`dns::rfc2136`], [`dns::gandi`] | [`dns::simulated`] | [`dns::fake`] |
//! | [`metadata::MetadataStore`] | [`metadata::consul`] | [`metadata::simulated`] | [`metadata::fake`] |
//! | [`monitoring::Monitoring`] | [`monitoring::new_relic`] | [`monitoring::simulated`] | [`monitoring::fake`] |
//! | [`provisioning::Provisioning`] | [`provisioning::servers`] | [`provisioning::simulated`] | [`provisioning::fake`] |
//! | [`mail::Mailer`] | [`mail::smtp`], [`mail::unsent`] | [`mail::unsent`] | [`mail::fake`] |
//! | [`hosts::Hosts`] | [`hosts::finder`] | | |
//! | [`logs::LogStore`] | [`logs::postgres`] | | [`logs::memory`] |
//! | `Clock`, `Ids` of the domain | [`system`] | | [`system`] (fixed ones) |
//!
//! [`Ports`] has one adapter a port. [`program`] runs whatever program an adapter needs; [`breaker`] stands before any of them; [`simulated`] is the region that the simulated ones share.

pub mod balancer;
pub mod breaker;
pub mod cloud;
pub mod dns;
pub mod faults;
mod file_work;
pub mod hosts;
pub mod http_answers;
mod http_service;
pub mod logs;
pub mod mail;
pub mod metadata;
pub mod monitoring;
pub mod playbooks;
pub mod program;
pub mod provisioning;
pub mod shell;
pub mod simulated;
pub mod sites;
pub mod system;

use balancer::LoadBalancer;
use cloud::Cloud;
use dns::Dns;
use mail::Mailer;
use metadata::MetadataStore;
use monitoring::Monitoring;
use playbooks::Playbooks;
use provisioning::Provisioning;
use shell::Shell;
use sites::SiteProbe;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What steps reach outside: an adapter for each port.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The configured regions, by name.
    pub clouds: BTreeMap<String, Arc<dyn Cloud>>,
    /// SSH.
    pub shell: Arc<dyn Shell>,
    /// Ansible.
    pub playbooks: Arc<dyn Playbooks>,
    /// HAProxy.
    pub load_balancer: Arc<dyn LoadBalancer>,
    /// The zones of the sites' names; none where no DNS service is configured.
    pub dns: Option<Arc<dyn Dns>>,
    /// Who watches sites from outside; nobody where no such service is configured.
    pub monitoring: Option<Arc<dyn Monitoring>>,
    /// Where others read what sites are; nobody does where no such service is configured.
    pub metadata: Option<Arc<dyn MetadataStore>>,
    /// Servers that sites share.
    pub provisioning: Arc<dyn Provisioning>,
    /// The mail server.
    pub mailer: Arc<dyn Mailer>,
    /// HTTP as a visitor.
    pub site_probe: Arc<dyn SiteProbe>,
}
