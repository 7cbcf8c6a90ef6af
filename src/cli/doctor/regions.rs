//! The regions at an OpenStack: whether each takes our credentials, and has what machines are made from.

use super::{Fault, Finding, fault};
use crate::boot::open_openstack;
use crate::config::{CloudConfig, Config, OpenstackRegion};
use futures_util::future::join_all;
use ocim_adapters::cloud::Cloud;

/// Asks each.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let regions = config.clouds.iter().filter_map(|(name, cloud)| match cloud {
        CloudConfig::Openstack(at) => Some(async move {
            let outcome = ask(config, name, at).await;
            Finding::new(format!("region_{name}"), outcome)
        }),
        CloudConfig::Local { .. } | CloudConfig::Simulated { .. } => None,
    });
    join_all(regions).await
}

async fn ask(config: &Config, name: &str, at: &OpenstackRegion) -> Result<String, Fault> {
    let wrong = |error: ocim_domain::port_error::PortError| {
        let advice = "look at OCIM_CLOUDS, and at the credentials that it leads to";
        fault(error.message, advice)
    };
    // Nobody logs in anywhere: the key does not matter.
    let cloud = open_openstack(config, name, at, "").map_err(wrong)?;
    let says = cloud.try_out().await.map_err(wrong)?;
    if name == config.openstack_region {
        let (flavor, image) =
            (&config.openstack_sandbox_flavor, &config.openstack_sandbox_base_image);
        cloud.check_selectors(flavor, image).await.map_err(|error| {
            let advice = "look at OPENSTACK_SANDBOX_FLAVOR and OPENSTACK_SANDBOX_BASE_IMAGE";
            fault(error.message, advice)
        })?;
    }
    Ok(says)
}
