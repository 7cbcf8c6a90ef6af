//! What the domain promises: rules of the aggregates, the original's vectors, payloads that still read.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]
#![recursion_limit = "256"]

mod appserver;
mod attempts;
mod bulk;
mod configuration;
mod factories;
mod fragment;
mod given;
mod golden;
mod hold;
mod hosts;
mod instance;
mod inventory;
mod keeping;
mod ledger;
mod lifecycle;
mod lms_users;
mod load_balancer;
mod lookup;
mod maintenance;
mod mail;
mod meanings;
mod name;
mod names;
mod projection;
mod properties;
mod region;
mod run_record;
mod saga;
mod saga_operators;
mod saga_parallel;
mod saga_plan;
mod saga_report;
mod saga_sentences;
mod sample;
mod server;
mod settings;
mod settings_page;
mod shared_server;
mod sites;
mod state_machines;
mod test_links;
mod timer;
mod vectors;
mod yaml;
