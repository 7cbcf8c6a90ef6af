//! The steps that a launch would run or skip, and why: asked of what the steps themselves ask.

use super::PlanAsk;
use crate::app::AppError;
use crate::processes::balancers::find_candidates;
use crate::processes::launch_appserver::{NO_ACTIVATION, NO_PAGE, ROWS};
use crate::processes::playbook_steps::{NO_COMMON_PLAYBOOK, NO_USERS};
use crate::processes::resource::dns_name::why_none;
use crate::processes::resource::provisioned::why_not_provisioned;
use crate::processes::world::World;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::load_balancer::Registration;
use ocim_domain::provisioning::why_no_storage;
use ocim_domain::shared_server::{Mongodb, Mysql, Rabbitmq, SharedServers};

/// Why the page before the first site is not shown.
const SERVED: &str = "the site is being served";

/// A step of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// Its path.
    pub step: &'static str,
    /// Why it would be skipped; none where it would run.
    pub skipped: Option<String>,
}

/// The steps of a launch with these servers, in order.
///
/// # Errors
/// What the store says.
pub(super) async fn plan_steps(
    world: &World,
    id: InstanceId,
    instance: &instance::Present,
    servers: &SharedServers,
    ask: PlanAsk,
) -> Result<Vec<PlannedStep>, AppError> {
    let mut steps = vec![];
    for row in &ROWS {
        let skipped = why_skipped(world, id, instance, servers, ask, row.path).await?;
        steps.push(PlannedStep { step: row.path, skipped });
    }
    Ok(steps)
}

async fn why_skipped(
    world: &World,
    id: InstanceId,
    instance: &instance::Present,
    servers: &SharedServers,
    ask: PlanAsk,
    step: &str,
) -> Result<Option<String>, AppError> {
    let settings = &instance.settings;
    let is_served = !instance.active.is_empty() || instance.traffic_run.is_some();
    Ok(match step {
        "publish_preliminary_page" if world.deployment.preliminary_page_ip.is_none() => {
            Some(NO_PAGE.to_owned())
        }
        "publish_preliminary_page" => is_served.then(|| SERVED.to_owned()),
        "write_dns_records" => {
            let balancer = match instance.load_balancer {
                Some(balancer) => Some(world.app.load_balancer(balancer).await?),
                None => foresee_balancer(world, id, &settings.openstack_region).await?,
            };
            why_none(world, balancer.as_ref())
        }
        "provision_mysql" => why_not_provisioned::<Mysql>(servers),
        "provision_mongodb" => why_not_provisioned::<Mongodb>(servers),
        "provision_rabbitmq" => why_not_provisioned::<Rabbitmq>(servers),
        "provision_storage" => why_no_storage(settings).map(str::to_owned),
        "ensure_security_groups" => {
            let cloud = world.ports.clouds.get(&settings.openstack_region);
            cloud.and_then(|cloud| cloud.lacks_security_groups()).map(str::to_owned)
        }
        "run_users_playbook" => settings.lms_users.is_empty().then(|| NO_USERS.to_owned()),
        "run_common_playbook" => {
            let is_none = world.deployment.common_playbook.is_none();
            is_none.then(|| NO_COMMON_PLAYBOOK.to_owned())
        }
        "request_activation" => (!ask.activate).then(|| NO_ACTIVATION.to_owned()),
        _ => None,
    })
}

/// The first balancer that would take the instance now.
pub(crate) async fn foresee_balancer(
    world: &World,
    id: InstanceId,
    region: &str,
) -> Result<Option<Registration>, AppError> {
    let Ok(found) = find_candidates(world, id, region).await else { return Ok(None) };
    match found.accepting.first() {
        Some(balancer) => Ok(Some(world.app.load_balancer(*balancer).await?)),
        None => Ok(None),
    }
}
