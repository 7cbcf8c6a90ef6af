//! How the settings of an instance came to be what they are, and going back to what they were.

use super::error::AppError;
use super::instances::{CHANGES_MAX, compute, is_long, present_instance};
use super::{App, Caller, Done};
use ocim_domain::Timestamp;
use ocim_domain::event::DomainEvent;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{self, Instance};
use ocim_domain::right::ReadScope;
use ocim_domain::settings::{InstanceSettings, SETTINGS, restore_settings};
use serde_json::Value;

/// One version of an instance's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsVersion {
    /// From 1.
    pub version: u64,
    /// Who made it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// What differs from the version before; nothing in the first one.
    pub changes: Vec<SettingChange>,
}

/// A setting that has another value since.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingChange {
    /// The setting.
    pub setting: &'static str,
    /// Its values before and since; none where it is secret or personal.
    pub values: Option<(Value, Value)>,
}

/// A version with all of its settings.
struct Whole {
    version: SettingsVersion,
    settings: InstanceSettings,
}

impl App {
    /// The versions of an instance's settings, newest first: at most `limit` of those before `before`.
    ///
    /// # Errors
    /// [`AppError::NotFound`] where there is no such instance; what the store says.
    pub async fn list_settings_versions(
        &self,
        by: &Caller,
        id: InstanceId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<SettingsVersion>, AppError> {
        let ReadScope::Everything = by.sees;
        let versions = self.read_versions(id).await?.into_iter().rev();
        let wanted = versions.map(|whole| whole.version);
        let wanted = wanted.filter(|it| before.is_none_or(|before| it.version < before));
        Ok(wanted.take(limit).collect())
    }

    /// Sets an instance's settings to what they were at a version, but for what can't change any more.
    /// Returns the version they are at now.
    ///
    /// # Errors
    /// As [`App::change_settings`]; [`AppError::Invalid`] where there is no such version.
    pub async fn restore_settings(
        &self,
        by: &Caller,
        id: InstanceId,
        version: u64,
    ) -> Result<Done<u64>, AppError> {
        by.need_reason()?;
        for _ in 0..CHANGES_MAX {
            let versions = self.read_versions(id).await?;
            let former = versions.into_iter().find(|whole| whole.version.version == version);
            let Some(former) = former else {
                let rule = "must be a version of the instance's settings: `ocim instance history` \
                            lists them";
                return Err(AppError::invalid("version", rule));
            };
            let loaded = self.journal.load::<Instance>(&id.stream()).await?;
            let present = present_instance(id, &loaded)?;
            let was_launched = !present.appservers.is_empty();
            let (current, former) = (present.settings.clone(), former.settings);
            let is_long = is_long(former.configuration_extra_settings.open());
            let restore = move || restore_settings(&current, &former, was_launched);
            let settings = compute(is_long, restore).await?.map_err(AppError::Invalid)?;
            match self.replace_settings(by, id, loaded, settings).await {
                Err(AppError::VersionConflict) => {}
                outcome => return outcome,
            }
        }
        Err(AppError::VersionConflict)
    }

    /// Every version of an instance's settings, oldest first.
    async fn read_versions(&self, id: InstanceId) -> Result<Vec<Whole>, AppError> {
        let mut versions: Vec<Whole> = vec![];
        for event in self.journal.store().read_stream(&id.stream(), 0).await? {
            let typed = instance::Event::decode(&event.kind, event.schema, &event.data)?;
            let (version, settings) = match (typed, versions.last()) {
                (instance::Event::Created { settings }, _) => (1, *settings),
                (instance::Event::SettingsChanged { changes, version }, Some(last)) => {
                    (version, last.settings.with(&changes))
                }
                _ => continue,
            };
            let changes = versions.last().map(|last| list_changes(&last.settings, &settings));
            let version = SettingsVersion {
                version,
                actor: event.meta.actor,
                at: event.recorded_at,
                reason: event.meta.reason,
                changes: changes.unwrap_or_default(),
            };
            versions.push(Whole { version, settings });
        }
        if versions.is_empty() { Err(AppError::not_found("instance", id)) } else { Ok(versions) }
    }
}

/// The settings that have another value in `since`.
pub(crate) fn list_changes(
    before: &InstanceSettings,
    since: &InstanceSettings,
) -> Vec<SettingChange> {
    let changed = before.difference(since).fields();
    let (mut before, mut since) = (before.show(), since.show());
    let mut take = |setting: &str| {
        let value = |settings: &mut serde_json::Map<String, Value>| {
            settings.get_mut(setting).map(Value::take).unwrap_or_default()
        };
        (value(&mut before), value(&mut since))
    };
    let changed = SETTINGS.iter().filter(|setting| changed.contains(&setting.name));
    changed
        .map(|setting| SettingChange {
            setting: setting.name,
            values: (!setting.is_protected).then(|| take(setting.name)),
        })
        .collect()
}
