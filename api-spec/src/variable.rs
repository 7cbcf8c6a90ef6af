//! Where a variable of an Appserver comes from.

use crate::examples::{Example, second};
use crate::texts::{Actor, LogPosition, Prose, SettingName, VariableName, Word};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A variable that an Appserver's main playbook got, and what it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariableExplanation {
    /// Its name.
    #[schema(value_type = VariableName)]
    pub variable: String,
    /// What it is; secrets are shown as `<protected>`.
    pub value: Value,
    /// What the layers say of it, lowest first: each goes on top of those before it, mappings member
    /// by member.
    pub layers: Vec<VariableLayer>,
}

/// What one layer says of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariableLayer {
    /// `base`, `database`, `storage`, `theme`, `secret_keys` or `extra_settings`.
    #[schema(value_type = Word)]
    pub layer: String,
    /// What that layer is about.
    #[schema(value_type = Prose)]
    pub rule: String,
    /// What its value was made of; none where it is the same for every site.
    #[schema(max_items = 100)]
    pub sources: Vec<VariableSource>,
    /// What the variable was until a later layer said something of it; none where this is the last.
    pub overridden: Option<Value>,
}

/// Something that a variable was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariableSource {
    /// What it is.
    #[schema(value_type = Prose)]
    pub description: String,
    /// The setting of the instance, where it is one.
    #[schema(value_type = Option<SettingName>)]
    pub setting: Option<String>,
    /// Who gave that setting its value.
    pub set: Option<SettingEdit>,
}

/// Who gave a setting its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingEdit {
    /// The event that says so.
    #[schema(value_type = LogPosition)]
    pub event: String,
    /// The version of the settings since, from 1.
    #[schema(minimum = 1)]
    pub version: u64,
    /// Who.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Example for VariableExplanation {
    fn example() -> Self {
        Self {
            variable: VariableName::EXAMPLE.to_owned(),
            value: json!("learn.alpha.example"),
            layers: vec![VariableLayer {
                layer: "base".to_owned(),
                rule: "what every site starts from".to_owned(),
                sources: vec![VariableSource {
                    description: "the instance's setting `external_lms_domain`".to_owned(),
                    setting: Some(SettingName::EXAMPLE.to_owned()),
                    set: Some(SettingEdit {
                        event: LogPosition::EXAMPLE.to_owned(),
                        version: 3,
                        actor: Actor::EXAMPLE.to_owned(),
                        at: second(60),
                    }),
                }],
                overridden: None,
            }],
        }
    }
}
