//! A balancer for those who have none: made in a region of our own by a run, once.

use crate::app::{App, AppError};
use crate::config::{CloudConfig, Config};
use crate::ports::cloud::is_simulated;
use crate::sagas::ProvisionLoadBalancer;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Command, Saga};

/// The domain of the balancer that Ocim makes for itself.
const OWN_DOMAIN: &str = "balancer.localhost";
/// The domain of the one that serves simulated regions.
const SIMULATED_DOMAIN: &str = "balancer.simulated";
/// The process that makes it.
const DEFINITION: &str = "provision_load_balancer";

/// Starts the run that makes a balancer, unless there is one or it is on its way. Launches wait
/// for it.
///
/// # Errors
/// What the store says.
pub(super) async fn ensure_balancer(config: &Config, app: &App) -> Result<(), AppError> {
    if app.has_open_run(DEFINITION).await? {
        return Ok(());
    }
    let known = app.list_registered_balancers().await?;
    let reaches = |simulated| {
        known.iter().any(|(_, balancer)| is_simulated(balancer.address.ip) == simulated)
    };
    let is_local = |cloud: &CloudConfig| matches!(cloud, CloudConfig::Local {});
    for simulated in [false, true] {
        let region = config.clouds.iter().find(|(_, cloud)| is_local(cloud) != simulated);
        if let Some((region, _)) = region.filter(|_| !reaches(simulated)) {
            make_balancer(config, app, region, simulated).await?;
        }
    }
    Ok(())
}

/// Starts the run that makes one. Machines of simulated regions have balancers of their own, which
/// nobody else can reach.
async fn make_balancer(
    config: &Config,
    app: &App,
    region: &str,
    simulated: bool,
) -> Result<(), AppError> {
    let domain = if simulated { SIMULATED_DOMAIN } else { OWN_DOMAIN };
    let mut postfix = [0; 4];
    app.journal().fill_random(&mut postfix);
    let input = ProvisionLoadBalancer {
        region: region.to_owned(),
        domain: domain.to_owned(),
        // As the original: a 32-bit number in hexadecimal, not padded (infra §1.1).
        fragment_name_postfix: format!("{:x}", u32::from_be_bytes(postfix)),
        flavor: config.openstack_sandbox_flavor.clone(),
        image: config.openstack_sandbox_base_image.clone(),
        also_listens: if simulated { None } else { free_address() },
    };
    let command = Command::Start {
        definition: DEFINITION.to_owned(),
        version: 1,
        input: serde_json::to_value(input).map_err(AppError::internal)?,
        subject: domain.to_owned(),
        deadline: None,
    };
    let run = RunId(app.journal().new_id());
    let meta = Metadata::by("system");
    app.journal().execute::<Saga>(&run.stream(), &meta, command).await?;
    Ok(())
}

/// Where browsers look for `*.localhost`: the balancer listens there as well, beside its own
/// address. Port 8080 if it is free, so that links are easy to remember.
fn free_address() -> Option<std::net::SocketAddr> {
    let try_port = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port));
    let listener = try_port(8080).or_else(|_| try_port(0)).ok()?;
    listener.local_addr().ok()
}
