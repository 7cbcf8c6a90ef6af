//! The DNS service: whether it answers, and has the zones of the names of sites.

use super::{Fault, Finding, fault};
use crate::boot::dns_service;
use crate::config::Config;
use ocim_adapters::dns::zone_of;

/// So many zones are told by their names.
const TOLD_MAX: usize = 5;

/// Asks it.
pub(super) async fn look(config: &Config) -> Finding {
    Finding::new("dns", ask(config).await)
}

async fn ask(config: &Config) -> Result<String, Fault> {
    let advice =
        "mend the setting that it names, or the service's; `ocim explain dns_refused` says more";
    let opened = dns_service(config).map_err(|error| fault(error.message, advice))?;
    let Some((service, provider)) = opened else {
        let says = "no service is configured: `ocim instance records` lists the records to set";
        return Ok(says.to_owned());
    };
    let zones = service.list_zones().await.map_err(|error| fault(error.message, advice))?;
    let base = &config.default_instance_base_domain;
    if let Err(error) = zone_of(&zones, base) {
        let says = format!("{provider}: {}", error.message);
        return Err(fault(
            says,
            "new sites get names below DEFAULT_INSTANCE_BASE_DOMAIN: change that, or the zones",
        ));
    }
    let told = match zones.len() {
        0..=TOLD_MAX => zones.join(", "),
        count => format!("{count} zones"),
    };
    Ok(match config.dns.server_access() {
        Some(_) => format!("{provider}: Ocim may write into {told}"),
        // An account has no request that tries that and changes nothing.
        None => format!("{provider}: the account has {told}; writing is tried at the first launch"),
    })
}
