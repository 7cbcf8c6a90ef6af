//! What a planned Appserver has otherwise than the one that serves now, and why.

use super::DRAWN;
use crate::app::{
    App, AppError, Caller, Edit, ExplainedLayer, Frozen, SettingChange, list_changes, open_frozen,
};
use crate::processes::launch_appserver::Composed;
use ocim_domain::appserver::Launched;
use ocim_domain::configuration::Variables;
use ocim_domain::configuration::layer::Source;
use ocim_domain::configuration::shown_variables::hide_secrets;
use ocim_domain::ids::AppserverId;
use ocim_domain::instance;
use ocim_domain::right::ReadScope;
use ocim_domain::settings::InstanceSettings;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A playbook that gets variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Playbook {
    /// The site's own.
    Main,
    /// The one that makes LMS users.
    Users,
    /// The one that all sites share.
    Common,
}

/// A setting that has changed since the Appserver was made that serves now.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingDifference {
    /// The setting, with its values where they are not protected.
    pub change: SettingChange,
    /// Who has changed it last.
    pub set: Option<Edit>,
}

/// A variable that would be another.
#[derive(Debug, Clone, PartialEq)]
pub struct VariableDifference {
    /// Whose it is.
    pub playbook: Playbook,
    /// Its name.
    pub variable: String,
    /// What it would be; none where it would not be there. Secrets are hidden.
    pub planned: Option<Value>,
    /// What it is; none where it is not there. Secrets are hidden.
    pub live: Option<Value>,
    /// Why it differs.
    pub because: Vec<String>,
    /// Where it comes from; of the site's own playbook alone.
    pub layers: Vec<ExplainedLayer>,
}

/// The Appserver that serves now; of several the newest.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: AppserverId,
    pub(super) launched: Box<Launched>,
}

impl Live {
    pub(super) async fn find(
        app: &App,
        by: &Caller,
        instance: &instance::Present,
    ) -> Result<Option<Self>, AppError> {
        let ReadScope::Everything = by.sees;
        let mut newest: Option<Self> = None;
        for id in &instance.active {
            let launched = Box::new(app.load_appserver(*id).await?.launched);
            if newest.as_ref().is_none_or(|it| it.launched.number < launched.number) {
                newest = Some(Self { id: *id, launched });
            }
        }
        Ok(newest)
    }
}

/// The settings that have changed since.
pub(super) fn list_setting_differences(
    live: &InstanceSettings,
    now: &InstanceSettings,
    edits: &BTreeMap<String, Edit>,
) -> Vec<SettingDifference> {
    let changes = list_changes(live, now).into_iter();
    let with_edit = |change: SettingChange| {
        let set = edits.get(change.setting).cloned();
        SettingDifference { change, set }
    };
    changes.map(with_edit).collect()
}

/// The variables of all playbooks that would be others.
pub(super) fn list_variable_differences(
    live: &Live,
    planned: &Composed,
    frozen: &Frozen,
    edits: &BTreeMap<String, Edit>,
) -> Result<Vec<VariableDifference>, AppError> {
    let launched = &live.launched;
    let mut differences = vec![];
    if let Some(before) = Frozen::of(launched)? {
        let (planned, was) =
            ((&frozen.variables, &frozen.shown), (&before.variables, &before.shown));
        for mut difference in compare(Playbook::Main, planned, was) {
            let name = &difference.variable;
            // One that is left out now is told by what it was made of.
            let of = if difference.planned.is_some() { frozen } else { &before };
            let sources: BTreeSet<_> = frozen
                .sources_if_any(name)
                .into_iter()
                .chain(before.sources_if_any(name))
                .collect();
            difference.because = tell_why(&sources, launched.settings_version, edits);
            difference.layers = of.explain(name, edits).map(|it| it.layers).unwrap_or_default();
            if sources.contains(&Source::Chance) && difference.planned.is_some() {
                difference.planned = Some(DRAWN.into());
            }
            differences.push(difference);
        }
    }
    let others = [
        (Playbook::Users, &planned.users, &launched.users_variables, "lms_users"),
        (Playbook::Common, &planned.common, &launched.common_variables, ""),
    ];
    for (playbook, planned, was, setting) in others {
        let Some(was) = open_frozen::<Variables>(was)? else { continue };
        let (planned_shown, was_shown) = (hide_secrets(planned), hide_secrets(&was));
        for difference in compare(playbook, (planned, &planned_shown), (&was, &was_shown)) {
            let source = match playbook {
                _ if difference.variable == "ignore_user_creation_errors" => {
                    vec!["an earlier launch has succeeded since".to_owned()]
                }
                Playbook::Common => vec!["Ocim's own settings, or the number".to_owned()],
                _ => {
                    let sources = [Source::Setting(setting.into())].into();
                    tell_why(&sources, launched.settings_version, edits)
                }
            };
            differences.push(VariableDifference { because: source, ..difference });
        }
    }
    Ok(differences)
}

/// Compares by what the variables are, and tells them as people may see them.
fn compare(
    playbook: Playbook,
    (planned, planned_shown): (&Variables, &Variables),
    (live, live_shown): (&Variables, &Variables),
) -> Vec<VariableDifference> {
    let names: BTreeSet<_> = planned.keys().chain(live.keys()).collect();
    let differ = names.into_iter().filter(|name| planned.get(*name) != live.get(*name));
    differ
        .map(|name| VariableDifference {
            playbook,
            variable: name.clone(),
            planned: planned_shown.get(name).cloned(),
            live: live_shown.get(name).cloned(),
            because: vec![],
            layers: vec![],
        })
        .collect()
}

/// What has changed since settings were at that version, of all that a variable is made of. Where no
/// setting has, it is something else that it is made of, or Ocim makes it otherwise now.
fn tell_why(sources: &BTreeSet<Source>, since: u64, edits: &BTreeMap<String, Edit>) -> Vec<String> {
    let changed = sources.iter().filter_map(|source| {
        let edit = edits.get(source.setting()?).filter(|edit| edit.version > since)?;
        let (what, Edit { version, actor, .. }) = (source.describe(), edit);
        Some(format!("{what} was changed by {actor} (version {version})"))
    });
    let changed: Vec<_> = changed.collect();
    if !changed.is_empty() {
        return changed;
    }
    let others = sources.iter().filter(|source| source.setting().is_none());
    let others: Vec<_> = others.map(Source::describe).collect();
    if others.is_empty() { vec!["Ocim makes it otherwise now".to_owned()] } else { others }
}
