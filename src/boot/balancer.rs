//! Which balancer the configuration wants.

use crate::balancer_keeper::Wanted;
use crate::config::{CloudConfig, Config};

/// The configured one; else, where there is a local region, one made there.
pub(super) fn wanted_balancer(config: &Config) -> Option<Wanted> {
    if let Some(login) = &config.default_load_balancing_server {
        return Some(Wanted::Given {
            user: login.user.clone(),
            domain: login.domain.clone(),
            host_keys: config.load_balancer_host_keys.clone(),
        });
    }
    let mut regions = config.clouds.iter();
    let (region, _) = regions.find(|(_, cloud)| matches!(cloud, CloudConfig::Local { .. }))?;
    Some(Wanted::Made {
        region: region.clone(),
        flavor: config.openstack_sandbox_flavor.clone(),
        image: config.openstack_sandbox_base_image.clone(),
    })
}
