//! Processes in memory and on virtual time: disturbed at every point, they end as they should.

mod crash_store;
mod crashes;
mod engine;
mod failures;
mod histories;
mod keeper;
mod keeping;
mod launches;
mod leases;
mod mutation;
mod nodes;
mod operators;
mod outages;
mod random;
pub(crate) mod reconciler;
mod runner;
mod scenarios;
mod slots;
pub(crate) mod stage;
mod tables;
mod tracing;
mod traffic;
