//! The regions that machines are made in.

use super::openstack::{OpenstackRegion, find_access, read_original};
use super::reader::Reader;
use ocim_adapters::cloud::openstack::OpenStackAccess;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Regions have short names: the original's column takes this many characters.
pub const REGION_CHARACTERS_MAX: usize = 16;

/// What stands behind a region.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CloudConfig {
    /// Machines made of namespaces on this computer.
    Local {
        /// Launches at a time; at least 1. `10`.
        launches_max: Option<NonZeroU32>,
    },
    /// Servers of an OpenStack.
    Openstack(Box<OpenstackRegion>),
    /// Machines that exist in this process's memory alone (docs/SIMULATION.md).
    Simulated {
        /// Launches at a time; at least 1. `10`.
        launches_max: Option<NonZeroU32>,
        /// All that happens in it follows from this number. `0`.
        #[serde(default)]
        seed: u64,
        /// How much goes wrong, from 0 to 1. `0`.
        #[serde(default)]
        faults: f64,
        /// How many times faster than a real one it is, from 0.001 to 1000000. `60`.
        #[serde(default = "usual_speed")]
        speed: f64,
    },
}

fn usual_speed() -> f64 {
    60.0
}

impl CloudConfig {
    /// Launches at a time in the region, where it has a number of its own.
    #[must_use]
    pub fn launches_max(&self) -> Option<u32> {
        let launches_max = match self {
            Self::Local { launches_max } | Self::Simulated { launches_max, .. } => launches_max,
            Self::Openstack(region) => &region.launches_max,
        };
        launches_max.map(NonZeroU32::get)
    }

    /// Whether only this computer reaches its machines, or this process.
    #[must_use]
    pub fn is_own(&self) -> bool {
        match self {
            Self::Local { .. } | Self::Simulated { .. } => true,
            Self::Openstack(_) => false,
        }
    }

    /// What nobody is to learn of whom it is asked as, where there is such a thing.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Openstack(region) => region.access.as_ref().map(OpenStackAccess::secret),
            Self::Local { .. } | Self::Simulated { .. } => None,
        }
    }

    /// What is wrong with its numbers, if anything is.
    fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Simulated { faults, .. } if !(0.0..=1.0).contains(faults) => {
                Some("takes `faults` from 0 to 1")
            }
            Self::Simulated { speed, .. } if !(0.001..=1_000_000.0).contains(speed) => {
                Some("takes a `speed` from 0.001 to 1000000")
            }
            Self::Simulated { .. } | Self::Local { .. } | Self::Openstack(_) => None,
        }
    }
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self::Local { launches_max: None }
    }
}

pub(super) fn read_clouds(r: &mut Reader<'_>) -> BTreeMap<String, CloudConfig> {
    // An environment of the original names a region and no clouds.
    let region = r.optional("OPENSTACK_REGION").filter(|region| is_region(region));
    let region = region.unwrap_or("local").to_owned();
    let Some(text) = r.optional("OCIM_CLOUDS") else {
        let cloud = match read_original(r) {
            Some(access) => CloudConfig::Openstack(Box::new(OpenstackRegion::of(access))),
            None => CloudConfig::default(),
        };
        return BTreeMap::from([(region, cloud)]);
    };
    match serde_json::from_str::<BTreeMap<String, CloudConfig>>(text) {
        Ok(clouds) if clouds.is_empty() => r.refuse("OCIM_CLOUDS", "must name at least one region"),
        Ok(clouds) if clouds.keys().any(|region| !is_region(region)) => {
            r.refuse(
                "OCIM_CLOUDS",
                "takes region names of 1 to 16 letters, digits, '-', '_' or '.'",
            );
        }
        Ok(mut clouds) => match clouds.values().find_map(CloudConfig::fault) {
            Some(rule) => r.refuse("OCIM_CLOUDS", rule),
            None => {
                for (name, cloud) in &mut clouds {
                    if let CloudConfig::Openstack(region) = cloud {
                        region.access = find_access(r, name, region);
                    }
                }
                return clouds;
            }
        },
        // The column is safe to tell, the text is not: people may take it for a place of passwords.
        Err(error) => {
            let column = error.column();
            let rule = format!(
                "must be JSON like {{\"local\": {{\"kind\": \"local\"}}}} (wrong near column {column})"
            );
            r.refuse("OCIM_CLOUDS", rule);
        }
    }
    BTreeMap::from([(region, CloudConfig::default())])
}

fn is_region(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=REGION_CHARACTERS_MAX).contains(&name.len()) && name.chars().all(fits)
}

pub(super) fn read_region(r: &mut Reader<'_>, clouds: &BTreeMap<String, CloudConfig>) -> String {
    let only = (clouds.len() == 1).then(|| clouds.keys().next()).flatten();
    let region = match r.optional("OPENSTACK_REGION") {
        Some(region) => region,
        None => only.map_or("local", String::as_str),
    };
    if !clouds.contains_key(region) {
        let names: Vec<&str> = clouds.keys().map(String::as_str).collect();
        let rule = format!("must be a region of OCIM_CLOUDS, which has: {}", names.join(", "));
        r.refuse("OPENSTACK_REGION", rule);
    }
    region.to_owned()
}
