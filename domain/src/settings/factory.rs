//! What an instance is for, and what that makes of what people left out (core §5.10).

use super::input::Defaults;
use super::table::InstanceSettings;
use crate::configuration::Variables;
use crate::configuration::merge;
use crate::configuration::yaml::{YamlError, parse_mapping};
use serde_json::Value;

/// What `purpose` may say.
pub const PURPOSES: [&str; 2] = ["sandbox", "production"];

/// What an instance is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To try something out.
    Sandbox,
    /// For people who rely on it.
    Production,
}

impl Purpose {
    /// What a text says; a sandbox for whatever is no purpose.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text == "production" { Self::Production } else { Self::Sandbox }
    }
}

/// What the settings say.
#[must_use]
pub fn purpose(settings: &InstanceSettings) -> Purpose {
    Purpose::of(&settings.purpose)
}

/// What production instances are made with where people say nothing: Ocim's own settings of these names.
#[derive(Debug, Clone, PartialEq)]
pub struct StableDefaults {
    /// `OPENEDX_RELEASE_STABLE_REF`.
    pub openedx_release: String,
    /// `STABLE_EDX_PLATFORM_REPO_URL`.
    pub edx_platform_repository_url: String,
    /// `STABLE_EDX_PLATFORM_COMMIT`.
    pub edx_platform_commit: String,
    /// `STABLE_CONFIGURATION_REPO_URL`.
    pub configuration_source_repo_url: String,
    /// `STABLE_CONFIGURATION_VERSION`.
    pub configuration_version: String,
    /// `OPENSTACK_PRODUCTION_INSTANCE_FLAVOR`.
    pub openstack_server_flavor: Value,
}

/// What every production site starts with: nobody who can log in, and no demo certificates.
const PRODUCTION_EXTRA_SETTINGS: &str =
    "DEMO_CREATE_STAFF_USER: false\ndemo_test_users: []\nSANDBOX_ENABLE_CERTIFICATES: false\n";

/// The defaults of an instance for that purpose.
#[must_use]
pub(super) fn defaults_for(purpose: Purpose, usual: &Defaults) -> Defaults {
    let stable = usual.stable.clone();
    match purpose {
        Purpose::Sandbox => usual.clone(),
        Purpose::Production => Defaults {
            openedx_release: stable.openedx_release,
            edx_platform_repository_url: stable.edx_platform_repository_url,
            edx_platform_commit: stable.edx_platform_commit,
            configuration_source_repo_url: stable.configuration_source_repo_url,
            configuration_version: stable.configuration_version,
            openstack_server_flavor: stable.openstack_server_flavor,
            configuration_extra_settings: PRODUCTION_EXTRA_SETTINGS.to_owned(),
            ..usual.clone()
        },
    }
}

/// People's extra settings of a production instance over those of all; theirs win, name by name.
///
/// # Errors
/// When theirs can't be read.
pub(super) fn production_extra_settings(given: &str) -> Result<String, YamlError> {
    let fixed = parse_mapping(PRODUCTION_EXTRA_SETTINGS)?;
    let theirs = parse_mapping(given)?;
    let both = merge(fixed, theirs.clone());
    // Their text stays as they wrote it, comments and all, where ours can stand before it.
    let ours = PRODUCTION_EXTRA_SETTINGS.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !theirs.contains_key(name)
    });
    let text: String = ours.map(|line| format!("{line}\n")).chain([given.to_owned()]).collect();
    Ok(match parse_mapping(&text) {
        Ok(read) if is_same(&read, &both) => text,
        _ => Value::Object(both).to_string(),
    })
}

fn is_same(one: &Variables, other: &Variables) -> bool {
    one.len() == other.len() && one.iter().all(|(name, value)| other.get(name) == Some(value))
}
