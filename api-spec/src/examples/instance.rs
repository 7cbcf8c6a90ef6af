//! Examples: sites and their settings.

use super::{Example, reason, second};
use crate::texts::{AppserverId, InstanceId, LoadBalancerId, RunId};
use crate::{
    ChangeSettings, CreateInstance, CreatedInstance, Instance, InstanceDetail, ResourceNames,
    Settings, SettingsChange, Site,
};
use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

/// What the site of the examples is set to.
fn change() -> SettingsChange {
    SettingsChange {
        name: Some("Alpha Academy".to_owned()),
        external_lms_domain: Some("learn.alpha.example".to_owned()),
        email: Some("staff@alpha.example".to_owned()),
        ..SettingsChange::default()
    }
}

impl Example for CreateInstance {
    fn example() -> Self {
        Self { sub_domain: Some("alpha".to_owned()), reason: reason(), settings: change() }
    }
}

impl Example for ChangeSettings {
    fn example() -> Self {
        let settings = SettingsChange {
            openedx_release: Some("open-release/ironwood.2".to_owned()),
            ..SettingsChange::default()
        };
        Self { reason: reason(), settings }
    }
}

impl Example for CreatedInstance {
    fn example() -> Self {
        Self { id: InstanceId::EXAMPLE.to_owned() }
    }
}

impl Example for Instance {
    fn example() -> Self {
        Self {
            id: InstanceId::EXAMPLE.to_owned(),
            name: "Alpha Academy".to_owned(),
            domain: "learn.alpha.example".to_owned(),
            appserver_count: 2,
            active_appservers: vec![AppserverId::EXAMPLE.to_owned()],
            name_troubles: vec![],
            launches: vec![RunId::EXAMPLE.to_owned()],
            load_balancer: Some(LoadBalancerId::EXAMPLE.to_owned()),
            successfully_provisioned: true,
            created: second(0),
            modified: second(3_600),
        }
    }
}

impl Example for Site {
    fn example() -> Self {
        Self {
            lms_url: "http://learn.alpha.example/".to_owned(),
            studio_url: "http://studio.alpha.example.com/".to_owned(),
            lms_preview_url: "http://preview.alpha.example.com/".to_owned(),
            user: "7f3c2b1e8d53".to_owned(),
            password: "hardly-a-secret".to_owned(),
            machine_url: None,
        }
    }
}

impl Example for Settings {
    /// What is set, and what an empty one of its type is for the rest: a new setting needs nothing
    /// here.
    fn example() -> Self {
        let schema = json!(Self::schema());
        let empty = |field: &str| {
            let schema = &schema["properties"][field];
            match schema["type"].as_str() {
                Some("boolean") => json!(false),
                Some("array") => json!([]),
                Some("string") => json!(""),
                Some("integer" | "number") => json!(0),
                // A kind of text by its name.
                None if schema["$ref"].is_string() => json!(""),
                _ => json!({}),
            }
        };
        let mut fields: Map<String, Value> =
            Self::FIELDS.iter().map(|field| ((*field).to_owned(), empty(field))).collect();
        if let Value::Object(set) = json!(change()) {
            fields.extend(set);
        }
        fields.insert("internal_lms_domain".to_owned(), json!("alpha.example.com"));
        serde_json::from_value(Value::Object(fields)).unwrap_or_else(|error| {
            unreachable!("a setting whose empty value is none of its type: {error}")
        })
    }
}

impl Example for InstanceDetail {
    fn example() -> Self {
        let resources = ResourceNames {
            database: "alpha_example_com".to_owned(),
            forum_database: "alpha_example_com_forum".to_owned(),
            container: "alpha_example_com".to_owned(),
            bucket: "ocim-alpha-example-com".to_owned(),
            iam_user: "ocim-alpha-example-com".to_owned(),
        };
        Self {
            instance: Instance::example(),
            settings_version: 3,
            site: Site::example(),
            resources: Some(resources),
            settings: Settings::example(),
            warnings: vec![],
        }
    }
}
