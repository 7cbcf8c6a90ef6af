//! Who implements which port: the real ones, and small in-memory fakes with fault injection for tests.
//! A [`simulated`] region implements all of them that reach into a cloud, with faults of its own.
//!
//! | port | real | fake |
//! |---|---|---|
//! | `Cloud` | [`local_cloud`] | [`fake_cloud`] |
//! | `Shell` | [`ssh`] | [`fake_shell`] |
//! | `Playbooks` | [`ansible`] | [`fake_playbooks`] |
//! | `LoadBalancer` | [`haproxy`] | [`fake_load_balancer`] |
//! | `SiteProbe` | [`site_probe`] | [`fake_site`] |
//! | `Dns` | none yet | [`fake_dns`] |
//! | `LogStore` | [`postgres_logs`] | [`memory_logs`] |
//! | `Leases` | [`postgres_leases`] | [`memory_leases`] |
//! | `Clock`, `Ids` | [`system`] | [`system`] (fixed ones) |

pub mod ansible;
pub mod breaker;
pub mod fake_cloud;
pub mod fake_dns;
pub mod fake_load_balancer;
pub mod fake_playbooks;
pub mod fake_shell;
pub mod fake_site;
pub mod faults;
pub mod haproxy;
pub mod host_finder;
pub mod local_cloud;
pub mod memory_leases;
pub mod memory_logs;
pub mod postgres_leases;
pub mod postgres_logs;
pub mod simulated;
pub mod site_probe;
pub mod ssh;
pub mod system;
