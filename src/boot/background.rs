//! What watches beside the runs: machines, dates, and the balancer.

use super::balancer::wanted_balancers;
use crate::balancer_keeper::{BalancerKeeper, KeeperTask};
use crate::clean_up::CleanUpTimer;
use crate::config::Config;
use crate::incident_keeper::IncidentKeeper;
use crate::processes::world::World;
use crate::reconciler::Reconciler;
use crate::timers::TimerTask;
use ocim_adapters::hosts::finder::HostFinder;
use std::sync::Arc;

/// Tasks that look at intervals.
#[derive(Debug)]
pub(super) struct Background {
    reconciler: Reconciler,
    clean_up: CleanUpTimer,
    timers: TimerTask,
    balancers: Vec<KeeperTask>,
    incidents: IncidentKeeper,
}

impl Background {
    /// Starts them all.
    pub(super) fn start(config: &Config, world: &Arc<World>) -> Self {
        let keep = |wanted| {
            let (app, limits) = (world.app.clone(), world.limits.clone());
            BalancerKeeper::new(app, Arc::new(HostFinder), wanted, limits)
        };
        Self {
            reconciler: Reconciler::start(world, config.reconcile_interval),
            clean_up: CleanUpTimer::start(world.app.clone(), config.reconcile_interval),
            timers: TimerTask::start(world.app.clone()),
            incidents: IncidentKeeper::start(
                world.app.clone(),
                Arc::clone(&world.deployment.own_masker),
            ),
            balancers: wanted_balancers(config)
                .into_iter()
                .map(|wanted| KeeperTask::start(keep(wanted)))
                .collect(),
        }
    }

    /// Stops them all; what was not finished is looked at after the next start.
    pub(super) async fn stop(self) {
        self.reconciler.stop().await;
        self.clean_up.stop().await;
        self.timers.stop().await;
        self.incidents.stop().await;
        for balancer in self.balancers {
            balancer.stop().await;
        }
    }
}
