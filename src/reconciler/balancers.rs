//! Compares what the log believes of balancers with what is there, and asks for runs to put it right.

use crate::app::AppError;
use crate::processes::balancers::balancer_host;
use crate::processes::world::World;
use futures_util::{StreamExt, TryStreamExt, stream};
use ocim_adapters::balancer::BalancerState;
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::load_balancer::{Event, Trouble, fragment_owner};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The longest that one look at a balancer may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
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

/// What is not at the balancer as it should be, in order. The fragment of a site whose traffic a
/// run moves is that run's own business.
///
/// # Errors
/// When the store does not answer.
pub async fn find_troubles(world: &World, id: LoadBalancerId) -> Result<Vec<Trouble>, AppError> {
    let host = balancer_host(&world.app.load_balancer(id).await?);
    let read = world.load_balancer.read_balancer(&host);
    let state = match tokio::time::timeout(LOOK_TIMEOUT, read).await {
        Ok(Ok(state)) => state,
        Ok(Err(error)) => {
            tracing::debug!(domain = host.domain, %error, "a balancer does not answer");
            return Ok(vec![Trouble::Unreachable]);
        }
        Err(_) => return Ok(vec![Trouble::Unreachable]),
    };
    let BalancerState::Prepared { is_running, fragments } = state else {
        return Ok(vec![Trouble::Unprepared]);
    };
    // After the look: whoever sent what was seen there has most likely recorded it by now.
    let known = world.app.balancer(id).await?;
    let mut troubles: Vec<_> = (!is_running).then_some(Trouble::Stopped).into_iter().collect();
    for trouble in known.compare_fragments(&fragments) {
        if !is_being_moved(world, &trouble).await? {
            troubles.push(trouble);
        }
    }
    Ok(troubles)
}

async fn is_being_moved(world: &World, trouble: &Trouble) -> Result<bool, AppError> {
    let Some(owner) = trouble.fragment().and_then(fragment_owner) else { return Ok(false) };
    match world.app.load_instance(owner).await {
        Ok((instance, _)) => Ok(instance.traffic_run.is_some()),
        Err(AppError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
