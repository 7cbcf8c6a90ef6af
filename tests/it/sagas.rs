//! Processes in memory and on virtual time: disturbed at every point, they end as they should.

mod crash_store;
mod crashes;
mod failures;
mod launches;
mod runner;
mod scenarios;
mod stage;
mod tables;
mod tracing;
mod traffic;
