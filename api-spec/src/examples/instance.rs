//! Examples: sites and their settings.

use super::{Example, reason, second};
use crate::texts::{AppserverId, InstanceId, LoadBalancerId, RunId};
use crate::{
    AppserverStatus, ChangeSettings, CreateInstance, CreatedInstance, Instance, InstanceDetail,
    NewestAppserver, ResourceNames, Settings, SettingsChange, Site,
};
use serde_json::{Map, Value};

/// What the site of the examples is set to.
fn change() -> Map<String, Value> {
    let set = [
        ("name", "Alpha Academy"),
        ("external_lms_domain", "learn.alpha.example"),
        ("email", "staff@alpha.example"),
    ];
    set.map(|(name, text)| (name.to_owned(), text.into())).into_iter().collect()
}

impl Example for CreateInstance {
    fn example() -> Self {
        Self {
            sub_domain: Some("alpha".to_owned()),
            reason: reason(),
            settings: SettingsChange(change()),
        }
    }
}

impl Example for ChangeSettings {
    fn example() -> Self {
        let release = ("openedx_release".to_owned(), "open-release/ironwood.2".into());
        Self { reason: reason(), settings: SettingsChange(Map::from_iter([release])) }
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
            release: "open-release/ironwood.2".to_owned(),
            lms_url: "http://learn.alpha.example/".to_owned(),
            studio_url: "http://studio.alpha.example.com/".to_owned(),
            is_healthy: true,
            newest_appserver: Some(NewestAppserver {
                id: AppserverId::EXAMPLE.to_owned(),
                number: 2,
                status: AppserverStatus::Running,
                is_healthy: true,
            }),
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
    /// What is set. Who describes the API adds the settings that there are.
    fn example() -> Self {
        let mut settings = change();
        settings.insert("internal_lms_domain".to_owned(), "alpha.example.com".into());
        Self(settings)
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
