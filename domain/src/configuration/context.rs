//! What layers are made from beside the settings of the instance.

use super::services::Services;
use crate::ids::InstanceId;
use crate::resources::ResourceNames;
use derive_where::derive_where;
use serde_json::{Map, Value};

/// What a launch knows beside the settings.
#[derive(Debug, Clone)]
pub struct LayerContext {
    /// Whose site it is.
    pub instance: InstanceId,
    /// The Appserver's number, from 1.
    pub appserver_number: u32,
    /// When its sessions are cleared; drawn at random per Appserver, so that not all do it at once.
    pub clearsessions_cron: CronTime,
    /// What the instance's databases, containers and buckets are called.
    pub resources: ResourceNames,
    /// The shared servers that the instance was given.
    pub services: Services,
    /// Whether an earlier launch of the instance has succeeded.
    pub successfully_provisioned: bool,
    /// What this installation of Ocim does for all sites.
    pub site_wide: SiteWideSettings,
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CronTime {
    /// 0–23.
    pub hour: u8,
    /// 0–59.
    pub minute: u8,
}

/// Settings of Ocim that reach every site.
#[derive(Clone)]
#[derive_where(Debug)]
pub struct SiteWideSettings {
    /// `NEWRELIC_LICENSE_KEY`; blank for none.
    #[derive_where(skip(Debug))]
    pub newrelic_license_key: String,
    /// `INSTANCE_SMTP_RELAY_*`; none without `INSTANCE_SMTP_RELAY_HOST`.
    pub smtp_relay: Option<SmtpRelay>,
    /// `EDX_WORKERS_ENABLE_CELERY_HEARTBEATS`.
    pub enable_celery_heartbeats: bool,
    /// `NODE_EXPORTER_PASSWORD`; without it there is no exporter.
    #[derive_where(skip(Debug))]
    pub node_exporter_password: Option<String>,
    /// `CONSUL_ENCRYPT`; blank for none.
    #[derive_where(skip(Debug))]
    pub consul_encrypt: String,
    /// `CONSUL_SERVERS`; without them there is no agent.
    pub consul_servers: Vec<String>,
    /// `FILEBEAT_*`.
    pub filebeat: Filebeat,
    /// `SIMPLE_THEME_SKELETON_THEME_REPO`.
    pub theme_repository: String,
    /// `SIMPLE_THEME_SKELETON_THEME_VERSION`.
    pub theme_version: String,
}

impl Default for SiteWideSettings {
    fn default() -> Self {
        Self {
            newrelic_license_key: String::new(),
            smtp_relay: None,
            enable_celery_heartbeats: false,
            node_exporter_password: None,
            consul_encrypt: String::new(),
            consul_servers: vec![],
            filebeat: Filebeat::default(),
            theme_repository: "https://github.com/open-craft/edx-simple-theme/".to_owned(),
            theme_version: "master".to_owned(),
        }
    }
}

/// Where machines send their log files.
#[derive(Clone, Default)]
#[derive_where(Debug)]
pub struct Filebeat {
    /// `FILEBEAT_LOGSTASH_HOSTS`; without them nothing is sent.
    pub logstash_hosts: Vec<String>,
    /// `FILEBEAT_CA_CERT`, PEM.
    pub ca_cert: String,
    /// `FILEBEAT_CERT`, PEM.
    pub cert: String,
    /// `FILEBEAT_KEY`, PEM.
    #[derive_where(skip(Debug))]
    pub key: String,
    /// `FILEBEAT_COMMON_PROSPECTOR_FIELDS`.
    pub common_fields: Map<String, Value>,
}

/// The mail server that takes all sites' mail.
#[derive(Clone)]
#[derive_where(Debug)]
pub struct SmtpRelay {
    /// `INSTANCE_SMTP_RELAY_HOST`.
    pub host: String,
    /// `INSTANCE_SMTP_RELAY_PORT`, 587 by default.
    pub port: u16,
    /// `INSTANCE_SMTP_RELAY_USERNAME`; blank for none.
    pub username: String,
    /// `INSTANCE_SMTP_RELAY_PASSWORD`; blank for none.
    #[derive_where(skip(Debug))]
    pub password: String,
    /// `INSTANCE_SMTP_RELAY_SENDER_DOMAIN`, the base domain by default.
    pub sender_domain: String,
}
