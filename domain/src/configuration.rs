//! The Ansible variables of an Appserver: computed layers on top of each other, people's own on top of all.

mod base;
pub mod color;
mod context;
mod database;
pub mod layer;
pub mod merge;
pub mod mysql_account;
pub mod ocim;
pub mod playbook_variables;
pub mod provenance;
mod reserved;
pub mod secret_keys;
mod secret_names;
pub mod secret_values;
pub mod secrets;
pub mod services;
pub mod shown_variables;
pub mod signing_key;
mod storage;
mod template;
mod theme;
pub mod yaml;

pub use context::{CronTime, Filebeat, LayerContext, SiteWideSettings, SmtpRelay};
pub use merge::merge;
pub use ocim::{OcimFacts, ocim_layer};
pub use reserved::is_ansibles_own;
pub use yaml::YamlError;

use crate::protected::Protected;
use crate::settings::InstanceSettings;
use layer::{Composed, Entry, Layer, Site};
use provenance::{LayerName, Provenance};

/// Variables by name. May hold passwords: never log them.
pub type Variables = serde_json::Map<String, serde_json::Value>;

/// Why the variables of an Appserver can't be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// People's own variables are not a mapping.
    #[error("`configuration_extra_settings` can't be read")]
    ExtraSettings(#[source] YamlError),
    /// Nothing can be derived from the master secret.
    #[error("`secret_key_b64encoded` is blank or not base64")]
    SecretKey,
    /// Nothing can be signed with the signing key.
    #[error("`secret_key_rsa_private` is no RSA private key in PEM")]
    SigningKey,
    /// The text is sealed here, or its key was deleted.
    #[error("`{field}` can't be read: its encryption key is gone")]
    Unreadable {
        /// The setting that holds it.
        field: &'static str,
    },
}

/// Computes one layer.
type ComposeLayer = fn(&Site<'_>) -> Composed;

/// Every layer, lowest first (core §5.1).
const LAYERS: [(LayerName, ComposeLayer); 6] = [
    (LayerName::Base, base::base_layer),
    (LayerName::Database, database::database_layer),
    (LayerName::Storage, storage::storage_layer),
    (LayerName::Theme, theme::theme_layer),
    (LayerName::SecretKeys, secret_keys::secret_keys_layer),
    (LayerName::ExtraSettings, extra_settings_layer),
];

/// The variables of an Appserver, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Composition {
    /// What it is frozen with, sorted by name.
    pub variables: Variables,
    /// Where each comes from.
    pub provenance: Provenance,
}

/// Composes the variables that an Appserver is frozen with.
///
/// # Errors
/// [`ConfigurationError`] when a layer can't be computed.
pub fn compose_variables(
    settings: &InstanceSettings,
    context: &LayerContext,
) -> Result<Composition, ConfigurationError> {
    let mut variables = Variables::new();
    let mut provenance = Provenance::default();
    for (name, layer) in compose_layers(settings, context)? {
        provenance.add(&variables, name, &layer);
        variables = merge(variables, layer::values(&layer));
    }
    variables.sort_keys();
    Ok(Composition { variables, provenance })
}

/// Each layer by itself, lowest first.
///
/// # Errors
/// [`ConfigurationError`] when one can't be computed.
pub fn compose_layers(
    settings: &InstanceSettings,
    context: &LayerContext,
) -> Result<Vec<(LayerName, Layer)>, ConfigurationError> {
    let site = Site::new(settings, context);
    let compose = |(name, compose): (LayerName, ComposeLayer)| {
        // What it read to see whether it has anything to say.
        site.take_sources();
        Ok((name, compose(&site)?))
    };
    LAYERS.into_iter().map(compose).collect()
}

fn extra_settings_layer(site: &Site<'_>) -> Composed {
    let name = "configuration_extra_settings";
    let text = open(&site.settings.configuration_extra_settings, name)?;
    let variables = yaml::parse_mapping(text).map_err(ConfigurationError::ExtraSettings)?;
    let entry = |(variable, value): (String, serde_json::Value)| {
        let value = site.set(name, value);
        (variable, Entry { value, sources: site.take_sources() })
    };
    Ok(variables.into_iter().map(entry).collect())
}

/// The text of a protected setting.
pub(crate) fn open<'a>(
    text: &'a Protected,
    field: &'static str,
) -> Result<&'a str, ConfigurationError> {
    text.open().ok_or(ConfigurationError::Unreadable { field })
}
