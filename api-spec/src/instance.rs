//! Instances and their settings.

use crate::appserver_status::AppserverStatus;
use crate::clean_up::CleanUpRule;
use crate::examples::{Example, reason, second};
use crate::hold::Hold;
use crate::lifecycle::InstanceLifecycle;
use crate::maintenance::{Maintenance, MaintenanceChange};
use crate::texts::{
    Actor, AppserverId, HostName, InstanceId, LoadBalancerId, Login, MongodbServerId,
    MysqlServerId, Name, Notes, Owner, Prose, RabbitmqServerId, Reason, RunId, Secret, Tag, Url,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// All settings of an instance by name, but its master secret, which is never shown.
///
/// Which there are, and of which form, is the server's to say: its document describes each, and
/// `docs/settings.md` lists them. So a client reads the settings of newer servers, too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct Settings(pub Map<String, Value>);

/// The settings to set, by name; what is left out stays as it is, or gets its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct SettingsChange(pub Map<String, Value>);

/// Asks for a new instance. Needs `internal_lms_domain` or `sub_domain`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateInstance {
    /// Makes `internal_lms_domain` below the configured base domain; one label or more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<HostName>)]
    pub sub_domain: Option<String>,
    /// The organization that owns it; that of the other one for a clone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Owner>)]
    pub owner: Option<String>,
    /// Notes of people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Notes>)]
    pub notes: Option<String>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Tag>, max_items = 100)]
    pub tags: Vec<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
    /// Settings that differ from the defaults.
    #[serde(flatten)]
    pub settings: SettingsChange,
}

/// Changes what is noted of an instance beside its settings. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeDetails {
    /// The organization that owns it from now on.
    #[schema(value_type = Option<Owner>)]
    pub owner: Option<String>,
    /// The notes from now on.
    #[schema(value_type = Option<Notes>)]
    pub notes: Option<String>,
    /// Tags that it is to have.
    #[schema(value_type = Vec<Tag>, max_items = 100)]
    pub add_tags: Vec<String>,
    /// Tags that it is not to have; one that is added as well is added.
    #[schema(value_type = Vec<Tag>, max_items = 100)]
    pub remove_tags: Vec<String>,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Changes settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeSettings {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
    /// The settings to set.
    #[serde(flatten)]
    pub settings: SettingsChange,
}

/// The instance that was made; read it at `Location`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedInstance {
    /// `inst_…`.
    #[schema(value_type = InstanceId)]
    pub id: String,
}

/// A host name under which visitors get something else than the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameTrouble {
    /// The host name.
    #[schema(value_type = HostName)]
    pub name: String,
    /// What the balancer answers instead.
    #[schema(value_type = Prose)]
    pub trouble: String,
}

/// The Appserver of a site that was asked for last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewestAppserver {
    /// `apps_…`.
    #[schema(value_type = AppserverId)]
    pub id: String,
    /// From 1.
    #[schema(minimum = 1)]
    pub number: i32,
    /// How far it came.
    pub status: AppserverStatus,
    /// True where nothing went wrong.
    pub is_healthy: bool,
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// `inst_…`.
    #[schema(value_type = InstanceId)]
    pub id: String,
    /// Display name.
    #[schema(value_type = Name)]
    pub name: String,
    /// The name visitors see: `external_lms_domain` where it is set, else `internal_lms_domain`.
    #[schema(value_type = HostName)]
    pub domain: String,
    /// Number of Appservers ever asked for.
    #[schema(minimum = 0)]
    pub appserver_count: i32,
    /// `apps_…` of those that receive traffic.
    #[schema(value_type = Vec<AppserverId>)]
    pub active_appservers: Vec<String>,
    /// The release that it is set to.
    #[schema(value_type = Prose)]
    pub release: String,
    /// Where visitors find its LMS.
    #[schema(value_type = Url)]
    pub lms_url: String,
    /// Where authors find its Studio.
    #[schema(value_type = Url)]
    pub studio_url: String,
    /// True where all Appservers that receive traffic are well, and all names lead to them.
    pub is_healthy: bool,
    /// The Appserver that was asked for last.
    pub newest_appserver: Option<NewestAppserver>,
    /// Its names under which visitors get something else, as seen after its traffic moved last.
    pub name_troubles: Vec<NameTrouble>,
    /// `run_…` of launches that have not ended, the one under way first.
    #[schema(value_type = Vec<RunId>)]
    pub launches: Vec<String>,
    /// `lbal_…` of its balancer, once it has one.
    #[schema(value_type = Option<LoadBalancerId>)]
    pub load_balancer: Option<String>,
    /// How far it is in its life.
    pub lifecycle: InstanceLifecycle,
    /// `run_…` that archives, un-archives or deletes it.
    #[schema(value_type = Option<RunId>)]
    pub lifecycle_run: Option<String>,
    /// Who keeps everybody else from changing it, while somebody does.
    pub hold: Option<Hold>,
    /// What visitors get instead of the site, while it is under maintenance.
    pub maintenance: Option<Maintenance>,
    /// What was asked for, until its run has ended.
    pub maintenance_change: Option<MaintenanceChange>,
    /// True once a launch succeeded.
    pub successfully_provisioned: bool,
    /// True where its settings have changed since those were frozen that it is served with.
    pub is_ahead: bool,
    /// The organization that owns it; blank where none is named.
    #[schema(value_type = Owner)]
    pub owner: String,
    /// Its tags, in order.
    #[schema(value_type = Vec<Tag>)]
    pub tags: Vec<String>,
    /// Who made it.
    #[schema(value_type = Actor)]
    pub creator: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub modified: DateTime<Utc>,
}

/// Where visitors find a site, and its test login: what opens it where no balancer does, e.g. before
/// an Appserver gets traffic (HTTP basic authentication).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// The LMS, with a slash at the end; as all of these.
    #[schema(value_type = Url)]
    pub lms_url: String,
    /// Studio.
    #[schema(value_type = Url)]
    pub studio_url: String,
    /// The LMS preview.
    #[schema(value_type = Url)]
    pub lms_preview_url: String,
    /// User name of the test login.
    #[schema(value_type = Secret)]
    pub user: String,
    /// Password of the test login.
    #[schema(value_type = Secret)]
    pub password: String,
    /// For one Appserver: its own address, past the balancer; ask there with the site's name as
    /// `Host`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Url>)]
    pub machine_url: Option<String>,
}

/// What a site uses outside its machines. Given at its first launch, and the same for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceNames {
    /// The main database, and the start of all other `MySQL` databases' names.
    #[schema(value_type = Name)]
    pub database: String,
    /// The database of the forum.
    #[schema(value_type = Name)]
    pub forum_database: String,
    /// The Swift container.
    #[schema(value_type = Name)]
    pub container: String,
    /// The S3 bucket.
    #[schema(value_type = Name)]
    pub bucket: String,
    /// The AWS account that may use the bucket.
    #[schema(value_type = Name)]
    pub iam_user: String,
}

/// What a site uses of the servers that sites share; `null` of kinds of which it uses none. A launch
/// gives it a server of each kind that takes new sites, and what it has stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceServers {
    /// Of a MySQL server.
    pub mysql: Option<MysqlAccount>,
    /// Of a MongoDB server.
    pub mongodb: Option<MongodbAccount>,
    /// Of a RabbitMQ server.
    pub rabbitmq: Option<RabbitmqAccount>,
}

/// What a site uses of a MySQL server. Its passwords are never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MysqlAccount {
    /// `msql_…`.
    #[schema(value_type = MysqlServerId)]
    pub server: String,
    /// What the names of its users begin with.
    #[schema(value_type = Login)]
    pub user: String,
}

/// What a site uses of a MongoDB server. Its password is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MongodbAccount {
    /// `mngo_…`.
    #[schema(value_type = MongodbServerId)]
    pub server: String,
    /// Its user.
    #[schema(value_type = Login)]
    pub user: String,
}

/// What a site uses of a RabbitMQ server. Its passwords are never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RabbitmqAccount {
    /// `rbmq_…`.
    #[schema(value_type = RabbitmqServerId)]
    pub server: String,
    /// Its virtual host.
    #[schema(value_type = Name)]
    pub vhost: String,
    /// The user that its machines use.
    #[schema(value_type = Login)]
    pub user: String,
}

/// One site with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceDetail {
    /// The site.
    #[serde(flatten)]
    pub instance: Instance,
    /// The version of the settings, as in the `ETag`.
    #[schema(minimum = 1)]
    pub settings_version: i64,
    /// Notes of people.
    #[schema(value_type = Notes)]
    pub notes: String,
    /// When its obsolete Appservers go.
    pub clean_up: CleanUpRule,
    /// Where it is, and its test login.
    pub site: Site,
    /// What its databases, buckets and accounts are called; `null` until the first launch.
    pub resources: Option<ResourceNames>,
    /// What it uses of the servers that sites share.
    pub servers: InstanceServers,
    /// Its settings now.
    pub settings: Settings,
    /// What is allowed, but not wise: sentences for people.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Prose>)]
    pub warnings: Vec<String>,
}

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
            owner: Some(Owner::EXAMPLE.to_owned()),
            notes: Some(Notes::EXAMPLE.to_owned()),
            tags: vec![Tag::EXAMPLE.to_owned()],
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

impl Example for ChangeDetails {
    fn example() -> Self {
        Self {
            owner: Some(Owner::EXAMPLE.to_owned()),
            notes: None,
            add_tags: vec![Tag::EXAMPLE.to_owned()],
            remove_tags: vec!["may-failure".to_owned()],
            reason: reason(),
        }
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
            lifecycle: InstanceLifecycle::Live,
            lifecycle_run: None,
            hold: None,
            maintenance: None,
            maintenance_change: None,
            successfully_provisioned: true,
            is_ahead: false,
            owner: Owner::EXAMPLE.to_owned(),
            tags: vec![Tag::EXAMPLE.to_owned()],
            creator: Actor::EXAMPLE.to_owned(),
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
        let mysql =
            MysqlAccount { server: MysqlServerId::EXAMPLE.to_owned(), user: "qwerty".to_owned() };
        Self {
            instance: Instance::example(),
            clean_up: CleanUpRule { days: Some(2), is_own: false },
            settings_version: 3,
            notes: Notes::EXAMPLE.to_owned(),
            site: Site::example(),
            resources: Some(resources),
            servers: InstanceServers { mysql: Some(mysql), ..InstanceServers::default() },
            settings: Settings::example(),
            warnings: vec![],
        }
    }
}
