//! The clouds of the configuration: machines on this computer, and at an OpenStack.

use super::error::BootError;
use crate::config::{Config, OpenstackRegion};
use crate::data_folder::{DataFolder, SshKey};
use ocim_adapters::cloud::local::{LocalCloud, LocalCloudConfig};
use ocim_adapters::cloud::openstack::{OpenStackCloud, OpenStackConfig};
use ocim_adapters::cloud::{Cloud, Power};
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use std::time::Duration;

/// Longest wait for one answer of an OpenStack.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Takes up what the last stop of this process, or of this computer, left half done: machines whose
/// removal was cut short, and machines that stand still. Nobody else would.
async fn resume_cloud(cloud: &LocalCloud) -> Result<(), PortError> {
    match cloud.empty_trash().await {
        Ok(0) => {}
        Ok(folders) => tracing::info!(folders, "removed what was left of deleted machines"),
        // It holds files of a machine that is gone, and is in nobody's way.
        Err(error) => tracing::warn!(%error, "files of deleted machines could not be removed"),
    }
    for machine in cloud.list_machines().await? {
        if machine.power == Power::Shutoff {
            tracing::info!(machine = machine.id, name = machine.name, "starting a machine");
            cloud.reboot_machine(&machine.id).await?;
        }
    }
    Ok(())
}

/// Machines on this computer, with those that are there already.
pub(super) async fn open_local(
    config: &Config,
    folder: &DataFolder,
    key: &SshKey,
    region: &str,
) -> Result<LocalCloud, BootError> {
    let cloud = LocalCloud::new(LocalCloudConfig {
        folder: folder.cloud().join(region),
        region: region.to_owned(),
        authorized_key: key.public.clone(),
        hidden: vec![folder.root().to_owned()],
        isolation: None,
        account: config.openstack_sandbox_ssh_username.clone(),
        shutdown_timeout: config.shutdown_timeout,
    });
    resume_cloud(&cloud).await.map_err(BootError::Port)?;
    Ok(cloud)
}

/// Machines at an OpenStack, which is not asked yet; who has that public key may log in to them.
///
/// # Errors
/// Permanent when it can't be asked as it is configured.
pub(crate) fn open_openstack(
    config: &Config,
    region: &str,
    at: &OpenstackRegion,
    authorized_key: &str,
) -> Result<OpenStackCloud, PortError> {
    let access = at.access.clone().ok_or_else(|| {
        let message = format!("region {region} has no credentials");
        PortError::permanent(ErrorCode::RegionNotConfigured, message)
    })?;
    OpenStackCloud::new(OpenStackConfig {
        access,
        region: region.to_owned(),
        owner: config.consul.ocim_id.clone(),
        authorized_key: authorized_key.to_owned(),
        ssh_user: config.openstack_sandbox_ssh_username.clone(),
        network: at.network.clone(),
        floating_pool: at.floating_pool.clone(),
        trust_first_host_key: at.trust_first_host_key,
        shutdown_timeout: config.shutdown_timeout,
        answer_timeout: ANSWER_TIMEOUT,
    })
}
