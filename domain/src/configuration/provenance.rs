//! Where each variable of an Appserver comes from: its layers, and what they were made of.

use super::Variables;
use super::layer::{Entry, Layer, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A layer of variables. Each goes on top of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerName {
    /// What every site starts from.
    Base,
    /// Databases and queues.
    Database,
    /// Where uploads are kept.
    Storage,
    /// Colours and logos.
    Theme,
    /// Keys that are derived.
    SecretKeys,
    /// What people have written themselves.
    ExtraSettings,
}

impl LayerName {
    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Database => "database",
            Self::Storage => "storage",
            Self::Theme => "theme",
            Self::SecretKeys => "secret_keys",
            Self::ExtraSettings => "extra_settings",
        }
    }

    /// By which rule it says something, as a sentence.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Base => "what every site starts from",
            Self::Database => "databases and queues on the shared servers",
            Self::Storage => "where uploads, grades and logs are kept",
            Self::Theme => "colours, logo and favicon of the simple theme",
            Self::SecretKeys => "keys that are derived from the instance's secrets",
            Self::ExtraSettings => "what people have written themselves",
        }
    }
}

/// What one layer says of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The layer.
    pub layer: LayerName,
    /// What its value was made from.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sources: BTreeSet<Source>,
    /// What the variable was until a later layer said something of it: may be a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Value>,
}

impl Contribution {
    fn new(layer: LayerName, sources: BTreeSet<Source>) -> Self {
        Self { layer, sources, overridden: None }
    }

    /// The usual: the base layer says it, of every site alike.
    fn usual() -> Self {
        Self::new(LayerName::Base, BTreeSet::new())
    }
}

/// What is to be said of computed variables.
///
/// Those that are the same for every site, and that nobody has overridden, are left out. Of extra
/// settings only what they override is noted: whether they say a variable is to be seen in them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provenance(BTreeMap<String, Vec<Contribution>>);

impl Provenance {
    /// What the layers say of a variable that there is, lowest first; `is_extra` where the extra
    /// settings say it.
    #[must_use]
    pub fn of(&self, variable: &str, is_extra: bool) -> Vec<Contribution> {
        let computed = match self.0.get(variable) {
            Some(contributions) => contributions.clone(),
            None if is_extra => vec![],
            None => vec![Contribution::usual()],
        };
        let extra = is_extra.then(|| {
            let setting = Source::Setting("configuration_extra_settings".into());
            Contribution::new(LayerName::ExtraSettings, [setting].into())
        });
        computed.into_iter().chain(extra).collect()
    }

    /// Notes a layer that goes on top of these variables.
    pub(super) fn add(&mut self, below: &Variables, name: LayerName, layer: &Layer) {
        for (variable, Entry { sources, .. }) in layer {
            if let Some(under) = below.get(variable) {
                self.override_value(variable, under);
            }
            if name == LayerName::ExtraSettings {
                continue;
            }
            let contribution = Contribution::new(name, sources.clone());
            if self.0.contains_key(variable) || contribution != Contribution::usual() {
                self.0.entry(variable.clone()).or_default().push(contribution);
            }
        }
    }

    /// Notes the value that the layers below had for a variable.
    fn override_value(&mut self, variable: &str, under: &Value) {
        let contributions =
            self.0.entry(variable.to_owned()).or_insert_with(|| vec![Contribution::usual()]);
        if let Some(last) = contributions.last_mut() {
            last.overridden = Some(under.clone());
        }
    }
}
