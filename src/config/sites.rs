//! What reaches every site: its agents, its theme's skeleton, and where it keeps uploads.

use super::reader::Reader;
use super::{PORT_RULE, Secret};
use ocim_domain::settings::STORAGE_TYPES;
use serde_json::{Map, Value};

/// Settings of Ocim that reach every site.
#[derive(Debug, Clone, PartialEq)]
pub struct SitesConfig {
    /// `NODE_EXPORTER_PASSWORD`: turns the exporter of machines' numbers on. None.
    pub node_exporter_password: Option<Secret>,
    /// `CONSUL_ENCRYPT`: the key that Consul's agents speak with. None.
    pub consul_encrypt: Option<Secret>,
    /// `CONSUL_SERVERS`: whom the agents join, parted by commas; none has no agent. None.
    pub consul_servers: Vec<String>,
    /// `FILEBEAT_LOGSTASH_HOSTS` and its sisters: where machines send their log files.
    pub filebeat: FilebeatConfig,
    /// `SIMPLE_THEME_SKELETON_THEME_REPO`: what themes are made from, at most 256 characters.
    /// `https://github.com/open-craft/edx-simple-theme/`.
    pub theme_repository: String,
    /// `SIMPLE_THEME_SKELETON_THEME_VERSION`: its branch, tag or commit. `master`.
    pub theme_version: String,
    /// `INSTANCE_STORAGE_TYPE`: where new instances keep uploads: `swift`, `s3` or `filesystem`. `swift`
    /// where a Swift account is given, else `filesystem` (the original said `swift` always).
    pub storage_type: String,
    /// `SWIFT_OPENSTACK_*`: the account in Swift that new instances use. None.
    pub swift: SwiftConfig,
    /// `AWS_ACCESS_KEY_ID`: the AWS account that makes the sites' buckets. None.
    pub aws_access_key_id: Option<Secret>,
    /// `AWS_SECRET_ACCESS_KEY`: its secret key. None.
    pub aws_secret_access_key: Option<Secret>,
    /// `AWS_S3_DEFAULT_REGION`: the region of new instances' buckets; blank for `us-east-1`. Blank.
    pub s3_region: String,
}

/// The mail relay of the instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpRelay {
    /// `INSTANCE_SMTP_RELAY_HOST`: where sites send mail. None: they send it themselves.
    pub host: String,
    /// `INSTANCE_SMTP_RELAY_PORT`: `587`.
    pub port: u16,
    /// `INSTANCE_SMTP_RELAY_USERNAME`: blank.
    pub username: String,
    /// `INSTANCE_SMTP_RELAY_PASSWORD`: blank.
    pub password: Secret,
    /// `INSTANCE_SMTP_RELAY_SENDER_DOMAIN`: `DEFAULT_INSTANCE_BASE_DOMAIN`'s value.
    pub sender_domain: String,
}

/// Where machines send their log files.
#[derive(Debug, Clone, PartialEq)]
pub struct FilebeatConfig {
    /// `FILEBEAT_LOGSTASH_HOSTS`: parted by commas; none sends nothing. None.
    pub logstash_hosts: Vec<String>,
    /// `FILEBEAT_CA_CERT`: PEM. Blank.
    pub ca_cert: String,
    /// `FILEBEAT_CERT`: PEM. Blank.
    pub cert: String,
    /// `FILEBEAT_KEY`: PEM. Blank.
    pub key: Option<Secret>,
    /// `FILEBEAT_COMMON_PROSPECTOR_FIELDS`: JSON object that goes with every line. `{}`.
    pub common_prospector_fields: Map<String, Value>,
}

/// An account in Swift. Each defaults to the variable without `SWIFT_`, as in the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwiftConfig {
    /// `SWIFT_OPENSTACK_USER`: at most 32 characters. `OPENSTACK_USER`'s value.
    pub user: String,
    /// `SWIFT_OPENSTACK_PASSWORD`: at most 64 characters. `OPENSTACK_PASSWORD`'s value.
    pub password: Option<Secret>,
    /// `SWIFT_OPENSTACK_TENANT`: at most 32 characters. `OPENSTACK_TENANT`'s value.
    pub tenant: String,
    /// `SWIFT_OPENSTACK_AUTH_URL`: at most 256 characters. `OPENSTACK_AUTH_URL`'s value.
    pub auth_url: String,
    /// `SWIFT_OPENSTACK_REGION`: at most 16 characters. `OPENSTACK_REGION`'s value.
    pub region: String,
}

/// Longest certificate, in characters.
const PEM_CHARACTERS_MAX: usize = 16 * 1024;

pub(super) fn read_sites(r: &mut Reader<'_>) -> SitesConfig {
    let swift = read_swift(r);
    SitesConfig {
        node_exporter_password: r.secret("NODE_EXPORTER_PASSWORD"),
        consul_encrypt: r.secret("CONSUL_ENCRYPT"),
        consul_servers: r.list("CONSUL_SERVERS"),
        filebeat: FilebeatConfig {
            logstash_hosts: r.list("FILEBEAT_LOGSTASH_HOSTS"),
            ca_cert: r.text("FILEBEAT_CA_CERT", "", PEM_CHARACTERS_MAX),
            cert: r.text("FILEBEAT_CERT", "", PEM_CHARACTERS_MAX),
            key: r.secret("FILEBEAT_KEY"),
            common_prospector_fields: r.object("FILEBEAT_COMMON_PROSPECTOR_FIELDS"),
        },
        theme_repository: r.text(
            "SIMPLE_THEME_SKELETON_THEME_REPO",
            "https://github.com/open-craft/edx-simple-theme/",
            256,
        ),
        theme_version: r.text("SIMPLE_THEME_SKELETON_THEME_VERSION", "master", 128),
        storage_type: read_storage_type(r, &swift),
        swift,
        aws_access_key_id: r.secret("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key: r.secret("AWS_SECRET_ACCESS_KEY"),
        s3_region: r.text("AWS_S3_DEFAULT_REGION", "", 50),
    }
}

fn read_storage_type(r: &mut Reader<'_>, swift: &SwiftConfig) -> String {
    let usual = if swift.auth_url.is_empty() { "filesystem" } else { "swift" };
    let storage_type = r.text("INSTANCE_STORAGE_TYPE", usual, 16);
    if !STORAGE_TYPES.contains(&storage_type.as_str()) {
        let rule = format!("must be one of {}", STORAGE_TYPES.join(", "));
        r.refuse("INSTANCE_STORAGE_TYPE", rule);
    }
    storage_type
}

fn read_swift(r: &mut Reader<'_>) -> SwiftConfig {
    let mut text = |name, of_cloud, characters| {
        let usual = r.optional(of_cloud).unwrap_or_default().to_owned();
        r.text_or_other(name, &usual, characters)
    };
    let user = text("SWIFT_OPENSTACK_USER", "OPENSTACK_USER", 32);
    let tenant = text("SWIFT_OPENSTACK_TENANT", "OPENSTACK_TENANT", 32);
    let auth_url = text("SWIFT_OPENSTACK_AUTH_URL", "OPENSTACK_AUTH_URL", 256);
    let region = match auth_url.as_str() {
        "" => r.text("SWIFT_OPENSTACK_REGION", "", 16),
        _ => {
            let usual = r.optional("OPENSTACK_REGION").unwrap_or_default().to_owned();
            r.text("SWIFT_OPENSTACK_REGION", &usual, 16)
        }
    };
    let password = r.secret("SWIFT_OPENSTACK_PASSWORD").or_else(|| r.secret("OPENSTACK_PASSWORD"));
    if password.as_ref().is_some_and(|password| password.expose().chars().count() > 64) {
        r.refuse("SWIFT_OPENSTACK_PASSWORD", "takes at most 64 characters");
    }
    SwiftConfig { user, password, tenant, auth_url, region }
}

pub(super) fn read_smtp_relay(r: &mut Reader<'_>, base_domain: &str) -> Option<SmtpRelay> {
    let host = r.optional("INSTANCE_SMTP_RELAY_HOST");
    let relay = SmtpRelay {
        host: host.unwrap_or_default().to_owned(),
        port: r.parsed("INSTANCE_SMTP_RELAY_PORT", PORT_RULE).unwrap_or(587),
        username: r.text("INSTANCE_SMTP_RELAY_USERNAME", "", 256),
        password: r.secret("INSTANCE_SMTP_RELAY_PASSWORD").unwrap_or_else(|| Secret::new("")),
        sender_domain: r.domain("INSTANCE_SMTP_RELAY_SENDER_DOMAIN", base_domain),
    };
    host.map(|_| relay)
}
