//! What is amiss at a balancer, compared with what the log says of it.

use super::balancers::balancer_host;
use super::world::World;
use crate::app::AppError;
use ocim_adapters::balancer::BalancerState;
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::load_balancer::{Trouble, fragment_owner};
use std::time::Duration;

/// The longest that one look at a balancer may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// What is not at the balancer as it should be, in order. The fragment of a site whose traffic a
/// run moves is that run's own business.
///
/// # Errors
/// When the store does not answer.
pub async fn find_troubles(world: &World, id: LoadBalancerId) -> Result<Vec<Trouble>, AppError> {
    let host = balancer_host(&world.app.load_balancer(id).await?);
    let read = world.ports.load_balancer.read_balancer(&host);
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
