//! What others read of a site in a tree of keys, such as a balancer that makes its configuration of it (infra §8.3).

use crate::configuration::secrets::HttpAuth;
use crate::configuration::{ConfigurationError, open};
use crate::names::RoutedNames;
use crate::settings::InstanceSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The key of a number that grows by 1 with each change of the others.
pub const VERSION: &str = "version";

/// An Appserver that visitors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveServer {
    /// Its number.
    pub number: u32,
    /// Its public address; none where its machine has none.
    pub ip: Option<IpAddr>,
}

/// What is told of one site, by keys below its own; but for [`VERSION`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SiteMetadata(BTreeMap<&'static str, String>);

/// The values open the site: only the keys are told.
impl std::fmt::Debug for SiteMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SiteMetadata").field(&self.0.keys()).finish()
    }
}

/// What came of writing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenMetadata {
    /// Which version there is now; 0 where there is none.
    pub version: u64,
    /// Whether anything was written or removed.
    pub is_changed: bool,
}

impl SiteMetadata {
    /// A site called `name`, under `names`, which visitors get of `active`. `id` is what tells it from others
    /// in its slug.
    ///
    /// # Errors
    /// When its credentials can't be derived.
    pub fn new(
        name: &str,
        settings: &InstanceSettings,
        names: &RoutedNames,
        id: &str,
        active: &[ActiveServer],
    ) -> Result<Self, ConfigurationError> {
        let mut active = active.to_vec();
        active.sort_by_key(|server| std::cmp::Reverse(server.number));
        let servers = active.iter().map(|it| json!({ "id": it.number, "public_ip": it.ip }));
        let master = open(&settings.secret_key_b64encoded, "secret_key_b64encoded")?;
        Ok(Self(BTreeMap::from([
            ("domain_slug", crate::names::domain_slug(&names.site, id)),
            ("domain", names.site.clone()),
            ("name", name.to_owned()),
            ("domains", json!(names.domains).to_string()),
            ("health_checks_enabled", json!(active.len() > 1).to_string()),
            ("basic_auth", HttpAuth::derive(master)?.token()),
            ("active_app_servers", servers.collect::<Value>().to_string()),
        ])))
    }

    /// All of it, by key.
    #[must_use]
    pub fn keys(&self) -> &BTreeMap<&'static str, String> {
        &self.0
    }

    /// What is to be written where `found` is there, with its version: all that differs; nothing where
    /// nothing does.
    #[must_use]
    pub fn changes(
        &self,
        found: &BTreeMap<String, Vec<u8>>,
    ) -> Option<BTreeMap<&'static str, String>> {
        let is_there =
            |key: &str, value: &str| found.get(key).is_some_and(|found| found == value.as_bytes());
        let changed = self.0.iter().filter(|(key, value)| !is_there(key, value));
        let mut changed: BTreeMap<_, _> =
            changed.map(|(key, value)| (*key, value.clone())).collect();
        let version = read_version(found);
        if changed.is_empty() && version.is_some() {
            return None;
        }
        changed.insert(VERSION, version.unwrap_or(0).saturating_add(1).to_string());
        Some(changed)
    }
}

/// The version that is there; none where there is none, or what is no number.
#[must_use]
pub fn read_version(found: &BTreeMap<String, Vec<u8>>) -> Option<u64> {
    std::str::from_utf8(found.get(VERSION)?).ok()?.parse().ok()
}
