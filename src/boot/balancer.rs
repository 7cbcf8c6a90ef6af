//! Which balancers the configuration wants.

use crate::balancer_keeper::Wanted;
use crate::config::{CloudConfig, Config};

/// The configured one; else, where there is a local region, one made there. Machines of simulated
/// regions have one of their own, which nobody else can reach.
pub(super) fn wanted_balancers(config: &Config) -> Vec<Wanted> {
    let make = |simulated: bool| {
        let region = config.clouds.iter().find(|(_, cloud)| match cloud {
            CloudConfig::Local { .. } => !simulated,
            CloudConfig::Simulated { .. } => simulated,
            CloudConfig::Openstack(_) => false,
        });
        region.map(|(region, _)| Wanted::Made {
            region: region.clone(),
            simulated,
            flavor: config.openstack_sandbox_flavor.clone(),
            image: config.openstack_sandbox_base_image.clone(),
        })
    };
    let given = config.default_load_balancing_server.as_ref().map(|login| Wanted::Given {
        user: login.user.clone(),
        domain: login.domain.clone(),
        host_keys: config.load_balancer_host_keys.clone(),
        fragment_name_prefix: config.load_balancer_fragment_name_prefix.clone(),
    });
    given.or_else(|| make(false)).into_iter().chain(make(true)).collect()
}
