//! Appservers, and what one may ask of them.

use crate::appserver_status::AppserverStatus;
use crate::clean_up::{CleanUpReason, CleanUpVerdict};
use crate::examples::{Example, reason, second};
use crate::instance::{Settings, Site};
use crate::texts::{
    AppserverId, Commit, HostName, InstanceId, Name, NeededReason, Prose, Reason, RunId, ServerId,
    Tag, Url,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// One frozen configuration of an instance, on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appserver {
    /// `apps_…`.
    #[schema(value_type = AppserverId)]
    pub id: String,
    /// `inst_…` that it belongs to.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// What people call that instance.
    #[schema(value_type = HostName)]
    pub instance_name: String,
    /// "AppServer <number>".
    #[schema(value_type = Name)]
    pub name: String,
    /// From 1.
    #[schema(minimum = 1)]
    pub number: i32,
    /// Which attempt at its launch it is, from 1.
    #[schema(minimum = 1)]
    pub attempt: i32,
    /// Most attempts.
    #[schema(minimum = 1)]
    pub attempts: i32,
    /// `run_…` of the first attempt.
    #[schema(value_type = RunId)]
    pub first_run: String,
    /// Whether it receives traffic.
    pub is_active: bool,
    /// Whether it was asked last that it receive traffic. Where that is not so, the run in
    /// `latest_run` is at work on it, is stuck, or has turned back.
    pub is_asked_active: bool,
    /// How far it came.
    pub status: AppserverStatus,
    /// The same for people.
    #[schema(value_type = Name)]
    pub status_name: String,
    /// What that means.
    #[schema(value_type = Prose)]
    pub status_description: String,
    /// True where nothing is under way.
    pub is_steady: bool,
    /// True where nothing went wrong.
    pub is_healthy: bool,
    /// Why it failed or was cancelled.
    #[schema(value_type = Option<Prose>)]
    pub failure: Option<String>,
    /// `serv_…`, its machine, once there is one.
    #[schema(value_type = Option<ServerId>)]
    pub server: Option<String>,
    /// Its own address, past the balancer, once it has one; ask there with the site's name as `Host`.
    #[schema(value_type = Option<Url>)]
    pub machine_url: Option<String>,
    /// The release that it was made from; none until it is frozen.
    #[schema(value_type = Option<Prose>)]
    pub release: Option<String>,
    /// `run_…` of its launch.
    #[schema(value_type = RunId)]
    pub launch_run: String,
    /// `run_…` of what was asked for last.
    #[schema(value_type = RunId)]
    pub latest_run: String,
    /// The commit that its `configuration_version` meant when it was launched, and that is played;
    /// none until it is frozen, and where the playbook ships inside Ocim.
    #[schema(value_type = Option<Commit>)]
    pub configuration_commit: Option<String>,
    /// When it last began to receive traffic.
    pub last_activated: Option<DateTime<Utc>>,
    /// Until when a failed one keeps its machine for debugging.
    pub keeps_server_until: Option<DateTime<Utc>>,
    /// What is to become of it by itself; none before it has a machine, and once that is gone.
    pub clean_up: Option<CleanUpVerdict>,
    /// What is wrong with its machine, e.g. that it vanished; then it is not healthy.
    #[schema(value_type = Option<Prose>)]
    pub machine_trouble: Option<String>,
    /// When it was asked for.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub modified: DateTime<Utc>,
    /// When its machine went, if it had run.
    pub terminated: Option<DateTime<Utc>>,
}

/// One Appserver with what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppserverDetail {
    /// The Appserver.
    #[serde(flatten)]
    pub appserver: Appserver,
    /// The instance's settings as they were frozen; none until they are.
    pub settings: Option<Settings>,
    /// Where its site is, and its test login; none until the settings are frozen.
    pub site: Option<Site>,
    /// The variables that its playbooks get, each secret as `<protected>`; none until they are
    /// composed.
    #[schema(value_type = Option<Object>)]
    pub variables: Option<Map<String, Value>>,
}

/// Asks for a new Appserver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LaunchAppserver {
    /// Whether it is to receive traffic once it runs, beside those that do.
    pub activate_on_success: bool,
    /// Whether all others leave the traffic once it serves; needs `activate_on_success`.
    pub deactivate_others: bool,
    /// Whether it may wait for a launch that is under way; else that launch is a reason to refuse.
    pub queue: bool,
    /// How often it is attempted, 1 to 10; each attempt makes an Appserver and a machine of its own.
    #[schema(minimum = 1, maximum = 10)]
    pub attempts: u32,
    /// What the instance is tagged with once an attempt has succeeded; `failure_tag` goes then.
    #[schema(value_type = Option<Tag>)]
    pub success_tag: Option<String>,
    /// What it is tagged with once all have failed or one was cancelled; `success_tag` goes then.
    #[schema(value_type = Option<Tag>)]
    pub failure_tag: Option<String>,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

impl Default for LaunchAppserver {
    fn default() -> Self {
        Self {
            activate_on_success: false,
            deactivate_others: false,
            queue: false,
            attempts: 1,
            success_tag: None,
            failure_tag: None,
            reason: None,
        }
    }
}

/// The Appserver that was asked for, and the run that makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaunchedAppserver {
    /// `run_…` that makes it.
    #[schema(value_type = RunId)]
    pub run: String,
    /// `apps_…`.
    #[schema(value_type = AppserverId)]
    pub appserver: String,
    /// "AppServer <number>".
    #[schema(minimum = 1)]
    pub number: u32,
    /// True where it waits for an earlier launch.
    pub queued: bool,
    /// `run_…` that brings it into traffic, where that was asked for. It begins when the launch
    /// has succeeded; until then, and where the launch fails, there is no such run.
    #[schema(value_type = Option<RunId>)]
    pub activation_run: Option<String>,
}

/// Asks to bring an Appserver into traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActivateAppserver {
    /// Take all others of the instance out of traffic once this one serves.
    pub deactivate_others: bool,
    /// Activate it even if it is not running.
    pub force: bool,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Asks to take an Appserver out of traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeactivateAppserver {
    /// Deactivate it even if it is the last active one; needs a reason.
    pub force: bool,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Asks to take an Appserver and its machine away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TerminateAppserver {
    /// Terminate it even if it is the last active one; needs a reason.
    pub force: bool,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Restarts an Appserver's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestartAppserver {
    /// Even if it is the last one in traffic: the site is away meanwhile. Needs a reason.
    pub force: bool,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Keeps a failed Appserver's machine longer, or shorter, than it would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepServer {
    /// Until when.
    pub until: DateTime<Utc>,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

/// Takes a failed Appserver's machine away before its date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CleanUpAppserver {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

impl Example for Appserver {
    fn example() -> Self {
        let status = AppserverStatus::Running;
        Self {
            id: AppserverId::EXAMPLE.to_owned(),
            instance: InstanceId::EXAMPLE.to_owned(),
            instance_name: "learn.alpha.example".to_owned(),
            name: "AppServer 2".to_owned(),
            number: 2,
            attempt: 1,
            attempts: 1,
            first_run: RunId::EXAMPLE.to_owned(),
            is_active: true,
            is_asked_active: true,
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
            clean_up: Some(CleanUpVerdict {
                why: CleanUpReason::Serves,
                until: None,
                told: "kept, because it receives traffic".to_owned(),
                ..CleanUpVerdict::example()
            }),
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
        Self {
            activate_on_success: true,
            deactivate_others: true,
            attempts: 2,
            reason: reason(),
            ..Self::default()
        }
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

impl Example for RestartAppserver {
    fn example() -> Self {
        Self { force: true, reason: reason() }
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
