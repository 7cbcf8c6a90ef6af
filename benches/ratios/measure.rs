//! A rate beside its baseline, and the database that both are measured in.

use crate::postgres::Database;
use std::fmt;
use std::time::Instant;

/// How fast something is in terms of something else.
#[derive(Debug)]
pub(crate) struct Ratio {
    /// What was measured, and in which unit.
    pub(crate) what: &'static str,
    /// Units a second.
    pub(crate) rate: f64,
    /// What it is compared with.
    pub(crate) baseline: &'static str,
    /// Units a second.
    pub(crate) baseline_rate: f64,
    /// The least that the ratio should be.
    pub(crate) goal: f64,
}

impl Ratio {
    /// The columns of the lines that follow.
    pub(crate) const HEADER: &str = "ratio   goal  measured (per second)  against (per second)";

    /// Whether the goal is reached.
    pub(crate) fn is_met(&self) -> bool {
        self.ratio() >= self.goal
    }

    fn ratio(&self) -> f64 {
        self.rate / self.baseline_rate
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, rate, baseline, baseline_rate, goal } = self;
        let mark = if self.is_met() { "" } else { "  BELOW THE GOAL" };
        let ratio = self.ratio();
        write!(
            f,
            "{ratio:<7.2} {goal:<5.2} {what} ({rate:.0})  {baseline} ({baseline_rate:.0}){mark}"
        )
    }
}

/// Units a second of something that does `units` of them.
pub(crate) async fn measure_rate(units: usize, work: impl Future<Output = ()>) -> f64 {
    let start = Instant::now();
    work.await;
    units as f64 / start.elapsed().as_secs_f64()
}

/// A migrated database that writes to the disk as a production one does.
pub(crate) async fn durable_database() -> Database {
    let database = Database::migrated().await;
    let client = database.client().await;
    client.execute("alter system set fsync = on", &[]).await.unwrap();
    client.execute("select pg_reload_conf()", &[]).await.unwrap();
    while client.query_one("show fsync", &[]).await.unwrap().get::<_, &str>(0) != "on" {}
    database
}
