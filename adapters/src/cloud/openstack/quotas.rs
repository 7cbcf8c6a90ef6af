//! The project's quotas at Nova, as far as one more machine counts for them.

use super::api::{Api, Call, Service};
use super::offers::Offer;
use crate::cloud::Quota;
use ocim_domain::port_error::PortError;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Limits {
    limits: Kinds,
}

#[derive(Deserialize)]
struct Kinds {
    absolute: Absolute,
}

/// A limit that is below zero is none.
#[derive(Deserialize)]
struct Absolute {
    #[serde(rename = "maxTotalInstances")]
    instances: i64,
    #[serde(rename = "totalInstancesUsed")]
    instances_used: u64,
    #[serde(rename = "maxTotalCores")]
    cores: i64,
    #[serde(rename = "totalCoresUsed")]
    cores_used: u64,
    #[serde(rename = "maxTotalRAMSize")]
    ram: i64,
    #[serde(rename = "totalRAMUsed")]
    ram_used: u64,
}

/// The quotas that a machine of that flavor counts for.
pub(super) async fn read_quotas(api: &Api, flavor: &Offer) -> Result<Vec<Quota>, PortError> {
    let limits: Limits = api.fetch(Call::get(Service::Compute, &["limits"])).await?.read()?;
    let absolute = limits.limits.absolute;
    let quota = |of: &str, used, limit: i64, needed| Quota {
        of: of.to_owned(),
        used,
        limit: u64::try_from(limit).ok(),
        needed,
    };
    let has = |member: &str| flavor.told.get(member).and_then(Value::as_u64).unwrap_or_default();
    Ok(vec![
        quota("instances", absolute.instances_used, absolute.instances, 1),
        quota("cores", absolute.cores_used, absolute.cores, has("vcpus")),
        quota("RAM in MiB", absolute.ram_used, absolute.ram, has("ram")),
    ])
}
