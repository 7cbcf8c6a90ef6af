//! What Ocim knows: aggregates as deciders, settings and their layers, and the saga log. No I/O, clock or randomness.
//!
//! In reading order: `ids`, `text`, `protected`, `event`, `snapshot` and `decider` are the vocabulary; `instance`,
//! `appserver`, `server`, `region`, `inventory`, `ledger`, `load_balancer`, `shared_server`, `name`, `projection`,
//! `event_log`, `mail`, `timer` and `token` are the aggregates, `right` is what a token's holder may be granted; `settings`, `names`,
//! `configuration`, `fragment`, `provisioning` and `site_metadata` compute what a deployment needs; `url_credentials` finds what no
//! text may show; `saga` is the log of a process.

pub mod appserver;
pub mod bulk;
pub mod configuration;
pub mod decider;
pub mod error_chain;
pub mod event;
pub mod event_log;
pub mod fragment;
pub mod hosts;
pub mod ids;
pub mod incident;
pub mod instance;
pub mod inventory;
pub mod ledger;
pub mod load_balancer;
pub mod log_level;
pub mod lookup;
pub mod mail;
pub mod name;
pub mod names;
pub mod outside_text;
pub mod port_error;
pub mod projection;
pub mod protected;
pub mod provisioning;
pub mod region;
pub mod resources;
pub mod right;
pub mod run_record;
pub mod saga;
pub mod server;
pub mod settings;
pub mod shared_server;
pub mod site_metadata;
pub mod snapshot;
pub mod system;
pub mod text;
pub mod timer;
pub mod token;
pub mod url_credentials;

/// A point in time, UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
