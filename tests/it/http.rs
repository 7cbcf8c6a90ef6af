//! The API from outside, on a real database.

mod appservers;
mod bulk;
pub(crate) mod clean_ups;
mod dashboard;
mod details;
mod history;
mod holds;
mod idempotency;
mod incidents;
mod instances;
mod launch_plans;
pub(crate) mod lifecycle;
mod live;
mod logs;
mod observing;
pub(crate) mod operators;
mod poison;
mod problems;
mod reading;
mod refusals;
mod regions;
mod resources;
mod rubbish;
mod runs;
mod shared_servers;
mod timers;
mod tokens;
