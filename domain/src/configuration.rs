//! The Ansible variables of an Appserver: computed layers on top of each other, people's own on top of all.

pub mod base;
pub mod merge;
pub mod ocim;
mod reserved;
mod secret_names;
pub mod secret_values;
pub mod secrets;
pub mod shown_variables;
mod template;
pub mod yaml;

pub use base::{BaseContext, CronTime, SiteWideSettings, SmtpRelay};
pub use merge::merge;
pub use ocim::{OcimFacts, ocim_layer};
pub use reserved::is_ansibles_own;
pub use yaml::YamlError;

use crate::protected::Protected;
use crate::settings::InstanceSettings;

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
    /// The text is sealed here, or its key was deleted.
    #[error("`{field}` can't be read: its encryption key is gone")]
    Unreadable {
        /// The setting that holds it.
        field: &'static str,
    },
}

/// Computes one layer.
type Layer = fn(&InstanceSettings, &BaseContext) -> Result<Variables, ConfigurationError>;

/// Every layer, lowest first (core §5.1).
const LAYERS: &[Layer] = &[base::base_layer, extra_settings_layer];

/// The variables an Appserver is frozen with, sorted by name.
///
/// # Errors
/// [`ConfigurationError`] when a layer can't be computed.
pub fn compose_variables(
    settings: &InstanceSettings,
    context: &BaseContext,
) -> Result<Variables, ConfigurationError> {
    let mut variables = Variables::new();
    for layer in LAYERS {
        variables = merge(variables, layer(settings, context)?);
    }
    variables.sort_keys();
    Ok(variables)
}

fn extra_settings_layer(
    settings: &InstanceSettings,
    _context: &BaseContext,
) -> Result<Variables, ConfigurationError> {
    let text = open(&settings.configuration_extra_settings, "configuration_extra_settings")?;
    yaml::parse_mapping(text).map_err(ConfigurationError::ExtraSettings)
}

/// The text of a protected setting.
pub(crate) fn open<'a>(
    text: &'a Protected,
    field: &'static str,
) -> Result<&'a str, ConfigurationError> {
    text.open().ok_or(ConfigurationError::Unreadable { field })
}
