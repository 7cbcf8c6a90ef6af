//! Processes as tables, and the runner that drives them in whatever program hosts it.

pub mod definition;
pub mod holds;
pub mod host;
pub mod node_leases;
pub mod open_runs;
pub mod runner;
pub mod steady;
pub mod versions;
