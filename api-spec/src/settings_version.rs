//! How the settings of an instance came to be what they are.

use crate::examples::{Example, reason, second};
use crate::texts::{Actor, NeededReason, Reason, SettingName};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Versions of an instance's settings, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingsHistory {
    /// Those on this page.
    #[schema(max_items = 200)]
    pub items: Vec<SettingsVersion>,
    /// `before` of the next page; none where this is the last.
    #[schema(minimum = 1)]
    pub next: Option<u64>,
}

/// One version of an instance's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingsVersion {
    /// From 1.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Who made it.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, where it was said.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
    /// What differs from the version before; nothing in the first one.
    #[schema(max_items = 1000)]
    pub changes: Vec<SettingChange>,
}

/// A setting that has another value since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingChange {
    /// Its name.
    #[schema(value_type = SettingName)]
    pub setting: String,
    /// Whether its values are secret or personal, and not told.
    pub is_protected: bool,
    /// What it was before.
    pub before: Option<Value>,
    /// What it is since.
    pub since: Option<Value>,
}

/// Asks for the settings of an earlier version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSettings {
    /// Which, from 1.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Why.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

impl Example for SettingsHistory {
    fn example() -> Self {
        let change = SettingChange {
            setting: "openedx_release".to_owned(),
            is_protected: false,
            before: Some(json!("open-release/hawthorn.1")),
            since: Some(json!("open-release/ironwood.2")),
        };
        let version = SettingsVersion {
            version: 2,
            actor: Actor::EXAMPLE.to_owned(),
            at: second(60),
            reason: reason(),
            changes: vec![change],
        };
        Self { items: vec![version], next: Some(2) }
    }
}

impl Example for RestoreSettings {
    fn example() -> Self {
        Self { version: 1, reason: NeededReason::EXAMPLE.to_owned() }
    }
}
