//! The variables that an Appserver was made with, as people may see them, and where each comes from.

use super::error::AppError;
use super::{App, Caller};
use ocim_domain::Timestamp;
use ocim_domain::appserver::{self, Appserver, Launched};
use ocim_domain::configuration::Variables;
use ocim_domain::configuration::layer::Source;
use ocim_domain::configuration::provenance::{Contribution, LayerName, Provenance};
use ocim_domain::configuration::shown_variables::hide_secrets;
use ocim_domain::configuration::yaml::parse_mapping;
use ocim_domain::event::{DomainEvent, Position};
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance;
use ocim_domain::protected::Protected;
use ocim_domain::right::ReadScope;
use ocim_domain::settings::InstanceSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where a variable of an Appserver comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What it is; a secret is hidden.
    pub value: Value,
    /// What the layers say of it, lowest first.
    pub layers: Vec<ExplainedLayer>,
}

/// What one layer says of a variable.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedLayer {
    /// The layer.
    pub layer: LayerName,
    /// What it was made of; nothing where it is the same for every site.
    pub sources: Vec<(Source, Option<Edit>)>,
    /// What the variable was until a later layer said something of it; a secret is hidden.
    pub overridden: Option<Value>,
}

/// Who gave a setting its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The event that says so.
    pub event: Position,
    /// The version of the settings since, from 1.
    pub version: u64,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

impl App {
    /// The variables that an Appserver was made with, its secrets hidden; none until it is frozen, and
    /// where their key was deleted.
    ///
    /// # Errors
    /// [`AppError`] without a store, or where they can't be read.
    pub async fn read_variables(
        &self,
        by: &Caller,
        id: AppserverId,
    ) -> Result<Option<Variables>, AppError> {
        let Some(appserver) = self.read_frozen(by, id).await? else { return Ok(None) };
        let variables = open_frozen(&appserver.launched.variables)?;
        Ok(variables.map(|variables| hide_secrets(&variables)))
    }

    /// Where a variable of an Appserver comes from; none where it has no such variable, or none that
    /// can be read.
    ///
    /// # Errors
    /// [`AppError`] without a store, or where what is recorded can't be read.
    pub async fn explain_variable(
        &self,
        by: &Caller,
        id: AppserverId,
        variable: &str,
    ) -> Result<Option<Explanation>, AppError> {
        let Some(appserver) = self.read_frozen(by, id).await? else { return Ok(None) };
        let launched = &appserver.launched;
        let Some(frozen) = Frozen::of(launched)? else { return Ok(None) };
        let edits = self.list_edits_until(launched.instance, launched.settings_version).await?;
        Ok(frozen.explain(variable, &edits))
    }

    /// The Appserver, if it is frozen.
    async fn read_frozen(
        &self,
        by: &Caller,
        id: AppserverId,
    ) -> Result<Option<appserver::Present>, AppError> {
        let ReadScope::Everything = by.sees;
        let loaded = self.journal.load::<Appserver>(&id.stream()).await?;
        Ok(loaded.state.present().cloned())
    }

    /// By setting, who gave it the value that it has in a version of an instance's settings.
    pub(crate) async fn list_edits_until(
        &self,
        instance: InstanceId,
        version: u64,
    ) -> Result<BTreeMap<String, Edit>, AppError> {
        let mut edits = BTreeMap::new();
        for event in self.journal.store().read_stream(&instance.stream(), 0).await? {
            let typed = instance::Event::decode(&event.kind, event.schema, &event.data)?;
            let (settings, since) = match typed {
                instance::Event::Created { settings } => {
                    (settings.show().keys().cloned().collect::<Vec<_>>(), 1)
                }
                instance::Event::SettingsChanged { changes, version: since } => {
                    (changes.fields().into_iter().map(str::to_owned).collect(), since)
                }
                _ => continue,
            };
            if since > version {
                break;
            }
            let (actor, at) = (event.meta.actor, event.recorded_at);
            let edit = Edit { event: event.position, version: since, actor, at };
            edits.extend(settings.into_iter().map(|setting| (setting, edit.clone())));
        }
        Ok(edits)
    }
}

/// The variables of a site, and where they come from.
pub(crate) struct Frozen {
    /// All of them: they hold secrets.
    pub(crate) variables: Variables,
    /// The same as people may see them.
    pub(crate) shown: Variables,
    provenance: Provenance,
    /// What people have written themselves.
    extra: Variables,
}

impl Frozen {
    /// Those of variables as they were composed from these settings.
    pub(crate) fn new(
        variables: Variables,
        provenance: Provenance,
        settings: &InstanceSettings,
    ) -> Self {
        let extra = settings.configuration_extra_settings.open().unwrap_or_default();
        // What was composed could be read then.
        let extra = parse_mapping(extra).unwrap_or_default();
        let shown = hide_secrets(&variables);
        Self { variables, shown, provenance, extra }
    }

    /// Those of an Appserver; none where their key was deleted.
    pub(crate) fn of(launched: &Launched) -> Result<Option<Self>, AppError> {
        let Some(variables) = open_frozen(&launched.variables)? else { return Ok(None) };
        let Some(provenance) = open_frozen(&launched.provenance)? else { return Ok(None) };
        Ok(Some(Self::new(variables, provenance, &launched.settings)))
    }

    /// Where a variable comes from; none where there is no such one.
    pub(crate) fn explain(
        &self,
        variable: &str,
        edits: &BTreeMap<String, Edit>,
    ) -> Option<Explanation> {
        let value = self.shown.get(variable).cloned()?;
        let explain = |contribution: Contribution| {
            let with_edit = |source: Source| {
                let edit = source.setting().and_then(|setting| edits.get(setting)).cloned();
                (source, edit)
            };
            let overridden = contribution.overridden.map(|under| {
                let mut before = self.variables.clone();
                before.insert(variable.to_owned(), under);
                hide_secrets(&before).remove(variable).unwrap_or_default()
            });
            let sources = contribution.sources.into_iter().map(with_edit).collect();
            ExplainedLayer { layer: contribution.layer, sources, overridden }
        };
        let is_extra = self.extra.contains_key(variable);
        let layers = self.provenance.of(variable, is_extra).into_iter().map(explain).collect();
        Some(Explanation { value, layers })
    }

    /// What a variable was made of, if there is one of that name.
    pub(crate) fn sources_if_any(&self, variable: &str) -> BTreeSet<Source> {
        match self.variables.contains_key(variable) {
            true => self.sources(variable),
            false => BTreeSet::new(),
        }
    }

    /// What a variable was made of; nothing where it is the same for every site.
    pub(crate) fn sources(&self, variable: &str) -> BTreeSet<Source> {
        let layers = self.provenance.of(variable, self.extra.contains_key(variable));
        layers.into_iter().flat_map(|layer| layer.sources).collect()
    }
}

/// What is frozen as JSON text; none where its key was deleted.
pub(crate) fn open_frozen<T: DeserializeOwned>(frozen: &Protected) -> Result<Option<T>, AppError> {
    frozen.open().map(serde_json::from_str).transpose().map_err(AppError::internal)
}
