//! Examples: Appservers, and what one may ask of them.

use super::{Example, reason, second};
use crate::texts::{AppserverId, Commit, InstanceId, NeededReason, RunId, ServerId};
use crate::{
    ActivateAppserver, Appserver, AppserverDetail, AppserverStatus, CleanUpAppserver,
    DeactivateAppserver, KeepServer, LaunchAppserver, LaunchedAppserver, Settings, Site,
    TerminateAppserver,
};
use serde_json::json;

impl Example for Appserver {
    fn example() -> Self {
        let status = AppserverStatus::Running;
        Self {
            id: AppserverId::EXAMPLE.to_owned(),
            instance: InstanceId::EXAMPLE.to_owned(),
            instance_name: "learn.alpha.example".to_owned(),
            name: "AppServer 2".to_owned(),
            number: 2,
            is_active: true,
            status,
            status_name: status.name().to_owned(),
            status_description: status.description().to_owned(),
            is_steady: status.is_steady(),
            is_healthy: status.is_healthy(),
            failure: None,
            server: Some(ServerId::EXAMPLE.to_owned()),
            machine_url: Some("http://203.0.113.7/".to_owned()),
            release: Some("open-release/ironwood.2".to_owned()),
            launch_run: RunId::EXAMPLE.to_owned(),
            latest_run: RunId::EXAMPLE.to_owned(),
            configuration_commit: Some(Commit::EXAMPLE.to_owned()),
            last_activated: Some(second(3_600)),
            keeps_server_until: None,
            machine_trouble: None,
            created: second(120),
            modified: second(3_600),
            terminated: None,
        }
    }
}

impl Example for AppserverDetail {
    fn example() -> Self {
        Self {
            appserver: Appserver::example(),
            settings: Some(Settings::example()),
            site: Some(Site {
                machine_url: Some("http://203.0.113.7/".to_owned()),
                ..Site::example()
            }),
            variables: json!({
                "EDXAPP_LMS_BASE": "learn.alpha.example",
                "EDXAPP_MYSQL_PASSWORD": "<protected>",
            })
            .as_object()
            .cloned(),
        }
    }
}

impl Example for LaunchAppserver {
    fn example() -> Self {
        Self { activate_on_success: true, deactivate_others: true, queue: false, reason: reason() }
    }
}

impl Example for LaunchedAppserver {
    fn example() -> Self {
        Self {
            run: RunId::EXAMPLE.to_owned(),
            appserver: AppserverId::EXAMPLE.to_owned(),
            number: 2,
            queued: false,
            activation_run: Some("run_01985f70-91b3-5e02-b6d9-3c1a0f7e8d24".to_owned()),
        }
    }
}

impl Example for ActivateAppserver {
    fn example() -> Self {
        Self { deactivate_others: true, force: false, reason: reason() }
    }
}

impl Example for DeactivateAppserver {
    fn example() -> Self {
        Self { force: false, reason: reason() }
    }
}

impl Example for TerminateAppserver {
    fn example() -> Self {
        Self { force: false, reason: reason() }
    }
}

impl Example for KeepServer {
    fn example() -> Self {
        Self { until: second(7 * 86_400), reason: "somebody looks for the cause".to_owned() }
    }
}

impl Example for CleanUpAppserver {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned() }
    }
}
