//! The settings of an Instance: what people may change, declared in one table.
//!
//! In reading order: `table` declares them, each by one row; `declare` is what a row makes; `kinds` and
//! `rules` are what a row may be; `input` makes settings of what people say; `check` is about several at
//! once.

mod check;
mod clone;
mod declare;
mod factory;
mod input;
pub mod kinds;
mod lms_users;
mod rules;
mod storage;
mod table;

pub use check::Violation;
pub use clone::{clone_settings, restore_settings};
pub use declare::{Origin, Setting};
pub use factory::{PURPOSES, Purpose, StableDefaults, purpose};
pub use input::{
    Defaults, NewSecrets, SwiftAccount, change_settings, create_settings, default_playbook_name,
};
pub use lms_users::{HIDDEN, LmsUser, LmsUserInput};
pub use rules::TextRule;
pub use storage::{STORAGE_TYPES, StorageType, storage_type};
pub use table::{InstanceSettings, SETTINGS, SettingsChanges, SettingsInput};

use serde_json::Value;

/// Whether this version of Ocim knows all settings that are named here, by an object's keys.
#[must_use]
pub fn are_known(named: &Value) -> bool {
    let is_known = |name: &String| SETTINGS.iter().any(|setting| setting.name == name);
    named.as_object().is_none_or(|named| named.keys().all(is_known))
}

#[cfg(test)]
mod tests;
