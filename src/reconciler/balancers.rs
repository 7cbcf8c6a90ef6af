//! Compares what the log believes of balancers with what is there, and asks for runs to put it right.

use crate::app::AppError;
use crate::processes::balancer_troubles::find_troubles;
use crate::processes::world::World;
use futures_util::{StreamExt, TryStreamExt, stream};
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::load_balancer::{Event, Trouble};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Balancers that are looked at at a time.
const CONCURRENCY: usize = 8;

/// All balancers under watch.
#[derive(Debug)]
pub struct BalancerWatch {
    world: Arc<World>,
    /// What was seen at the last look.
    seen: BTreeMap<LoadBalancerId, Vec<Trouble>>,
}

impl BalancerWatch {
    /// Knows nothing before its first look.
    #[must_use]
    pub fn new(world: Arc<World>) -> Self {
        Self { world, seen: BTreeMap::new() }
    }

    /// Looks once at each balancer, and records what is different.
    ///
    /// # Errors
    /// When the store does not answer: look again later. That a balancer does not is no error.
    pub async fn look(&mut self) -> Result<(), AppError> {
        let known = self.world.app.list_registered_balancers().await?;
        let looks = known.into_iter().map(|(id, _)| self.look_at(id));
        self.seen = stream::iter(looks).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(())
    }

    async fn look_at(
        &self,
        id: LoadBalancerId,
    ) -> Result<(LoadBalancerId, Vec<Trouble>), AppError> {
        let app = &self.world.app;
        let seen = find_troubles(&self.world, id).await?;
        let known = app.balancer(id).await?;
        let before = self.seen.get(&id).unwrap_or(&known.troubles);
        let is_certain = |trouble: &&Trouble| {
            is_seen_at_once(trouble) || before.contains(trouble) || known.troubles.contains(trouble)
        };
        let certain: Vec<_> = seen.iter().filter(is_certain).cloned().collect();
        // A balancer that did not answer once has said nothing.
        if seen.contains(&Trouble::Unreachable) && certain.is_empty() {
            return Ok((id, seen));
        }
        let told = app.observe_balancer(id, certain).await?;
        for event in told {
            let domain = &known.registration.domain;
            if matches!(event, Event::Troubled { .. }) {
                tracing::warn!(domain, ?event, "a balancer is not as it should be");
            } else {
                tracing::info!(domain, ?event, "a balancer is put right");
            }
        }
        Ok((id, seen))
    }
}

/// Fragments differ while a run changes them, and a network has its moments: those are looked for
/// twice.
fn is_seen_at_once(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Stopped | Trouble::Unprepared)
}
