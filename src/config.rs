//! The configuration: one struct, read once from environment variables and an `.env` file.
//!
//! Names, defaults and meanings are the original manager's where it had the setting; what is new
//! here begins with `OCIM_`. Nothing has to be set: the defaults start everything on one machine.
//! Only this module reads the environment.

mod balancers;
mod client;
mod clouds;
mod consul;
mod default_servers;
mod dns;
mod env_file;
mod git_credentials;
mod mail;
mod new_relic;
mod openstack;
pub mod original;
mod reader;
mod secret;
mod sites;
mod stable;
mod urls;

pub use client::ClientConfig;
pub use clouds::{CloudConfig, REGION_CHARACTERS_MAX};
pub use consul::ConsulConfig;
pub use default_servers::DefaultServers;
pub use dns::DnsConfig;
pub use git_credentials::GitCredential;
pub use mail::{MailBackend, MailConfig};
pub use new_relic::NewRelicConfig;
pub use openstack::OpenstackRegion;
pub use secret::Secret;
pub use sites::{FilebeatConfig, SitesConfig, SmtpRelay, SwiftConfig};
pub use stable::StableConfig;

use balancers::{read_fragment_prefix, read_host_keys};
use clouds::{read_clouds, read_region};
use consul::read_consul;
use default_servers::read_default_servers;
use dns::read_dns;
use git_credentials::read_git_credentials;
use mail::read_mail;
use new_relic::read_new_relic;
use ocim_adapters::playbooks::ansible::pick_environment;
use ocim_domain::settings::Defaults;
use reader::Reader;
use serde_json::{Value, json};
use sites::{read_sites, read_smtp_relay};
use stable::read_stable;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use urls::{read_database_url, read_event_store_url, read_otlp_endpoint};

/// `OCIM_` variables that belong to the scripts and tests, to the original, or to the command line
/// ([`ClientConfig`]), and are not read here.
const OF_OTHERS: [&str; 4] =
    ["OCIM_CACHE_DIR", "OCIM_SERVER", "OCIM_TEST_KURRENTDB_URL", "OCIM_TOKEN"];

/// Everything that can be configured. Each field names its variable, then its default.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    // The server.
    /// `DATABASE_URL`: `postgres://user:password@host/database?sslmode=verify-full`; `sslmode` and
    /// `sslrootcert` as in libpq, `prefer` when unset. Ocim opens up to 42 connections. None: Ocim runs a PostgreSQL of its own in the
    /// data folder.
    pub database_url: Option<Secret>,
    /// `EVENT_STORE_URL`: a KurrentDB that keeps the events, `kurrentdb://user:password@host:2113`,
    /// as docs/KURRENTDB.md says; all else stays in the database. None: the database keeps them too.
    pub event_store_url: Option<Secret>,
    /// `SECRET_KEY`: all encryption keys come from it; better 16 characters or more. None: made once and
    /// kept in the data folder.
    pub secret_key: Option<Secret>,
    /// `OCIM_DATA_DIR`: the data folder, absolute. `/var/lib/ocim` for root, else
    /// `$XDG_DATA_HOME/ocim` or `~/.local/share/ocim`.
    pub data_dir: PathBuf,
    /// `OCIM_HTTP_ADDRESS`: address that the server listens on. `127.0.0.1`.
    pub http_address: IpAddr,
    /// `OCIM_HTTP_PORT`: its port; 0 takes any free one. `5000`.
    pub http_port: u16,
    /// `OCIM_CLOUDS`: JSON object from region to cloud, whose `kind` is `local`, `openstack` or `simulated`.
    /// Each may have
    /// `launches_max`: launches at a time in the region, the others wait in line; as `WORKERS` says. It
    /// counts until `ocim region set` says otherwise. One at OpenStack may also have `cloud`, its name in
    /// `clouds.yaml` (without it, its credentials are in `OPENSTACK_AUTH_URL` and its sisters, else in
    /// `OS_AUTH_URL` and its); `region`, as Keystone's catalog calls it, where that is not what we do;
    /// `network`, that machines are put on, by name or id (without it Nova chooses); `floating_pool`, the
    /// network that floating addresses come from; and `trust_first_host_key`, for clouds whose machines show
    /// their SSH host keys on no console. `{"local": {"kind": "local"}}`; where `OPENSTACK_REGION` is
    /// set with its sisters `OPENSTACK_AUTH_URL`, `_USER`, `_PASSWORD` and `_TENANT`, that region at OpenStack;
    /// with some of them alone Ocim does not start.
    pub clouds: BTreeMap<String, CloudConfig>,
    /// `WORKERS`: launches at a time in each region of which `OCIM_CLOUDS` does not say it. `10`.
    pub workers: NonZeroU32,
    /// `WORKERS_LOW_PRIORITY`: launches of bulk operations at a time in each region. They come after all
    /// others, and leave them the last slot. `3`.
    pub workers_low_priority: NonZeroU32,
    /// `OCIM_LOG_FORMAT`: `text` or `json` lines on standard error. `text`.
    pub log_format: LogFormat,
    /// `OCIM_LOG`: which of our log lines are shown, e.g. `info,ocim_engine::sagas=debug`. `info`.
    pub log_filter: String,
    /// `OCIM_METRICS_PUBLIC`: whether `/metrics` is shown without a token. `false`.
    pub metrics_public: bool,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: URL of an OpenTelemetry collector, before `/v1/traces`; it
    /// gets traces as OTLP over HTTP. None: there are no traces.
    pub otlp_endpoint: Option<String>,
    /// `OCIM_WHEELS_DIR`: a folder with Python packages, absolute; when given, virtual
    /// environments are filled from it alone. None: from the network.
    pub wheels_dir: Option<PathBuf>,
    /// `OCIM_TEST_HOLD_DIR`: for tests: work waits at named points while a file of that name lies
    /// in this folder. None.
    pub test_hold_dir: Option<PathBuf>,

    // Defaults of new instances.
    /// `DEFAULT_INSTANCE_BASE_DOMAIN`: parent of the instances' generated domains. `localhost`.
    pub default_instance_base_domain: String,
    /// `DEFAULT_STUDIO_DOMAIN_PREFIX`: goes before the LMS domain. `studio.`
    pub default_studio_domain_prefix: String,
    /// `DEFAULT_LMS_PREVIEW_DOMAIN_PREFIX`: goes before the LMS domain. `preview.`
    pub default_lms_preview_domain_prefix: String,
    /// `DEFAULT_DISCOVERY_DOMAIN_PREFIX`: goes before the LMS domain. `discovery.`
    pub default_discovery_domain_prefix: String,
    /// `DEFAULT_ECOMMERCE_DOMAIN_PREFIX`: goes before the LMS domain. `ecommerce.`
    pub default_ecommerce_domain_prefix: String,
    /// `DEFAULT_OPENEDX_RELEASE`: branch or tag of Open edX, at most 128 characters. `master`.
    pub default_openedx_release: String,
    /// `DEFAULT_FORK`: GitHub `owner/name` of edx-platform. `edx/edx-platform`.
    pub default_fork: String,
    /// `DEFAULT_CONFIGURATION_REPO_URL`: what git can clone, or `bundled:NAME` for a playbook of
    /// our own; at most 256 characters. `https://github.com/edx/configuration.git`.
    pub default_configuration_repo_url: String,
    /// `DEFAULT_CONFIGURATION_VERSION`: branch, tag or commit of it, at most 50 characters.
    /// `DEFAULT_OPENEDX_RELEASE`'s value.
    pub default_configuration_version: String,
    /// `EDX_WORKERS_ENABLE_CELERY_HEARTBEATS`: whether edX workers send heartbeats. `false`.
    pub edx_workers_enable_celery_heartbeats: bool,
    /// `NEWRELIC_LICENSE_KEY`: turns New Relic's agent on. None.
    pub newrelic_license_key: Option<Secret>,
    /// `INSTANCE_SMTP_RELAY_HOST` and its sisters: where sites send mail. None: they send it
    /// themselves.
    pub instance_smtp_relay: Option<SmtpRelay>,
    /// What production instances are made with.
    pub stable: StableConfig,
    /// What else reaches every site.
    pub sites: SitesConfig,

    /// The servers of databases and messages that sites share, as far as the configuration names any.
    pub default_servers: DefaultServers,
    /// `OCIM_SHARED_SERVERS_CA_FILE`: certificates (PEM) of authorities that servers which sites share, and
    /// Swift, are believed by. None: those that are believed in general.
    pub shared_servers_ca_file: Option<PathBuf>,

    // Servers.
    /// `OPENSTACK_REGION`: where new servers are made; one of `OCIM_CLOUDS`. `local`, or the only
    /// region there is.
    pub openstack_region: String,
    /// `OPENSTACK_SANDBOX_FLAVOR`: JSON selector of the flavor. `{"ram": 4096, "disk": 40}`.
    pub openstack_sandbox_flavor: Value,
    /// `OPENSTACK_SANDBOX_BASE_IMAGE`: JSON selector of the image. `{"name": "Ubuntu 16.04"}`.
    pub openstack_sandbox_base_image: Value,
    /// `OPENSTACK_SANDBOX_SSH_KEYNAME`: key pair put on servers; blank for none. `opencraft`.
    pub openstack_sandbox_ssh_keyname: String,
    /// `OPENSTACK_SANDBOX_SSH_USERNAME`: whom to log in as, where the cloud does not say; in local
    /// machines that root makes, the account beside root. `ubuntu`.
    pub openstack_sandbox_ssh_username: String,
    /// `OPENEDX_APPSERVER_SECURITY_GROUP_NAME`: the group we manage, at most 200 characters.
    /// `edxapp-appserver`.
    pub openedx_appserver_security_group_name: String,
    /// `SHUTDOWN_TIMEOUT`: seconds a server gets to stop before it is deleted; 0 for
    /// none. `600`.
    pub shutdown_timeout: Duration,

    /// `OCIM_RECONCILE_INTERVAL`: seconds between two looks at the machines of a region. `60`.
    pub reconcile_interval: Duration,
    /// `OCIM_FAILED_SERVER_KEPT`: seconds that a failed appserver keeps its machine for debugging.
    /// `172800`, two days.
    pub failed_server_kept: Duration,
    /// `OCIM_CLEAN_UP_DAYS`: days after which appservers may go that serve nobody, 1 to 365. `2`.
    pub clean_up_days: u16,
    /// `LOG_DELETION_DAYS`: days that the log of a run is kept once it has ended, 1 to 36500. `60`.
    pub log_deletion_days: u32,

    // Playbooks.
    /// `ANSIBLE_PYTHON_PATH`: interpreter that virtual environments are made with, absolute.
    /// `/usr/bin/python3` (the original said `/usr/bin/python`, then a Python 2).
    pub ansible_python_path: PathBuf,
    /// `ANSIBLE_LINE_TIMEOUT`: longest silence of a playbook, in seconds. `1500`.
    pub ansible_line_timeout: Duration,
    /// `ANSIBLE_GLOBAL_TIMEOUT`: longest run of a playbook, in seconds. `9000`.
    pub ansible_global_timeout: Duration,
    /// `ANSIBLE_APPSERVER_REPO`: where the playbook common to all servers comes from; blank: there
    /// is none. `https://github.com/open-craft/ansible-playbooks.git`.
    pub ansible_appserver_repo: String,
    /// `ANSIBLE_APPSERVER_PLAYBOOK`: its path in there. `playbooks/appserver.yml`.
    pub ansible_appserver_playbook: String,
    /// `ANSIBLE_APPSERVER_REQUIREMENTS_PATH`: path of its pip requirements. `requirements.txt`.
    pub ansible_appserver_requirements_path: String,
    /// `ANSIBLE_APPSERVER_VERSION`: branch, tag or commit of it. `master`.
    pub ansible_appserver_version: String,

    /// Why all work is paused from the start on, where it is; the command line alone says so.
    pub start_paused: Option<String>,
    /// What a start is to say of the configuration: what is set and not read, and what is unwise.
    pub notes: Vec<String>,
    /// What git, pip and Ansible get of our own environment: paths, certificates, proxies; no
    /// secret of ours.
    pub tool_environment: Vec<(String, String)>,

    /// The mails that Ocim sends.
    pub mail: MailConfig,
    /// Who watches sites.
    pub new_relic: NewRelicConfig,
    /// Where others read what sites are.
    pub consul: ConsulConfig,
    /// Where the sites' names are in the DNS.
    pub dns: DnsConfig,

    // Load balancers.
    /// `DEFAULT_LOAD_BALANCING_SERVER`: `user@host` of a balancer, reached by SSH on port 22. It is
    /// registered once; what is registered stands then. None: one is made in a local region.
    pub default_load_balancing_server: Option<BalancerLogin>,
    /// `OCIM_LOAD_BALANCER_HOST_KEYS`: the SSH host keys that it may show, as `ssh-ed25519 AAAA…`,
    /// parted by commas. None: those that it shows when it is registered are trusted from then on.
    pub load_balancer_host_keys: Vec<String>,
    /// `LOAD_BALANCER_FRAGMENT_NAME_PREFIX`: begins the names of our fragments. `opencraft-`.
    pub load_balancer_fragment_name_prefix: String,
    /// `PRELIMINARY_PAGE_SERVER_IP`: who answers for a site with nothing active. None.
    pub preliminary_page_server_ip: Option<IpAddr>,
    /// `OCIM_GIT_CREDENTIALS`: as whom git reads repositories over HTTPS, by host, as JSON:
    /// `{"example.com": {"user": "…", "password": "…"}}`. None.
    pub git_credentials: BTreeMap<String, GitCredential>,
    /// `S3_BUCKET_PREFIX`: begins the names of the sites' buckets. `ocim`.
    pub s3_bucket_prefix: String,
    /// `IAM_USER_PREFIX`: begins the names of the sites' AWS accounts. `ocim`.
    pub iam_user_prefix: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// How to log in to a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerLogin {
    /// Whom to log in as.
    pub user: String,
    /// Its DNS name.
    pub domain: String,
}

impl std::str::FromStr for BalancerLogin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once('@') {
            Some((user, domain)) if !user.is_empty() && !domain.is_empty() => {
                Ok(Self { user: user.to_owned(), domain: domain.to_owned() })
            }
            _ => Err(()),
        }
    }
}

/// A variable that breaks a rule. Holds no value: it might be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {rule}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: String,
    /// What it breaks, to be read after the name.
    pub rule: String,
}

impl Config {
    /// The process's environment on top of the working directory's `.env` file.
    ///
    /// # Errors
    /// Every variable that breaks a rule, and lines of the file that are not understood.
    pub fn from_environment() -> Result<Self, Vec<ConfigError>> {
        let mut variables = read_env_file()?;
        variables.extend(read_environment());
        Self::load(&variables)
    }

    /// The configuration that these variables give.
    ///
    /// # Errors
    /// All errors at once.
    pub fn load(variables: &BTreeMap<String, String>) -> Result<Self, Vec<ConfigError>> {
        Self::load_for(variables, nix::unistd::geteuid().is_root())
    }

    /// As [`Config::load`], for a process that runs as root or not.
    ///
    /// # Errors
    /// All errors at once.
    pub fn load_for(
        variables: &BTreeMap<String, String>,
        is_root: bool,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader::new(variables);
        let mut config = read_config(&mut reader, is_root);
        config.tool_environment = pick_environment(variables.clone().into_iter());
        config.notes = original::tell_unread(variables);
        config.notes.extend(tell_weak_key(config.secret_key.as_ref()));
        config.notes.extend(config.mail.note());
        config.notes.extend(config.consul.note());
        let errors = reader.finish();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }
}

impl ClientConfig {
    /// The process's environment alone: a file beside it speaks to the server.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::load(&read_environment())
    }
}

/// Names and values that are not UTF-8 can't be ours.
fn read_environment() -> BTreeMap<String, String> {
    let pairs = std::env::vars_os();
    pairs
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn read_env_file() -> Result<BTreeMap<String, String>, Vec<ConfigError>> {
    let error = |rule| ConfigError { variable: ".env".to_owned(), rule };
    match std::fs::read_to_string(".env") {
        Ok(text) => env_file::parse(&text).map_err(|lines| {
            let say = |line| error(format!("line {line} is not NAME=value"));
            lines.into_iter().map(say).collect()
        }),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(cause) => Err(vec![error(format!("can't be read: {cause}"))]),
    }
}

fn read_config(r: &mut Reader<'_>, is_root: bool) -> Config {
    let base_domain = r.domain("DEFAULT_INSTANCE_BASE_DOMAIN", "localhost");
    let release = r.text("DEFAULT_OPENEDX_RELEASE", "master", 128);
    let clouds = read_clouds(r);
    let default_fork = read_fork(r);
    let default_configuration_repo_url =
        r.text("DEFAULT_CONFIGURATION_REPO_URL", "https://github.com/edx/configuration.git", 256);
    let platform_url = Defaults::fork_url(&default_fork);
    let stable = read_stable(r, &platform_url, &default_configuration_repo_url);
    Config {
        start_paused: None,
        notes: vec![],
        tool_environment: vec![],
        database_url: read_database_url(r),
        event_store_url: read_event_store_url(r),
        secret_key: r.secret("SECRET_KEY"),
        data_dir: read_data_dir(r, is_root),
        http_address: (r.parsed("OCIM_HTTP_ADDRESS", "must be an IP address"))
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        http_port: r.parsed("OCIM_HTTP_PORT", PORT_RULE).unwrap_or(5000),
        openstack_region: read_region(r, &clouds),
        clouds,
        workers: r.launches("WORKERS", 10),
        workers_low_priority: r.launches("WORKERS_LOW_PRIORITY", 3),
        log_format: r.parsed("OCIM_LOG_FORMAT", "must be text or json").unwrap_or_default(),
        log_filter: r.text("OCIM_LOG", "info", 1000),
        metrics_public: r.boolean("OCIM_METRICS_PUBLIC", false),
        otlp_endpoint: read_otlp_endpoint(r),
        wheels_dir: r.path("OCIM_WHEELS_DIR"),
        test_hold_dir: r.path("OCIM_TEST_HOLD_DIR"),
        default_studio_domain_prefix: r.domain("DEFAULT_STUDIO_DOMAIN_PREFIX", "studio."),
        default_lms_preview_domain_prefix: r
            .domain("DEFAULT_LMS_PREVIEW_DOMAIN_PREFIX", "preview."),
        default_discovery_domain_prefix: r.domain("DEFAULT_DISCOVERY_DOMAIN_PREFIX", "discovery."),
        default_ecommerce_domain_prefix: r.domain("DEFAULT_ECOMMERCE_DOMAIN_PREFIX", "ecommerce."),
        default_fork,
        default_configuration_repo_url,
        stable,
        default_configuration_version: r.text("DEFAULT_CONFIGURATION_VERSION", &release, 50),
        default_openedx_release: release,
        edx_workers_enable_celery_heartbeats: r
            .boolean("EDX_WORKERS_ENABLE_CELERY_HEARTBEATS", false),
        newrelic_license_key: r.secret("NEWRELIC_LICENSE_KEY"),
        instance_smtp_relay: read_smtp_relay(r, &base_domain),
        sites: read_sites(r),
        mail: read_mail(r),
        new_relic: read_new_relic(r),
        consul: read_consul(r),
        dns: read_dns(r),
        default_instance_base_domain: base_domain,
        default_servers: read_default_servers(r),
        shared_servers_ca_file: r.path("OCIM_SHARED_SERVERS_CA_FILE"),
        openstack_sandbox_flavor: r
            .selector("OPENSTACK_SANDBOX_FLAVOR", json!({"ram": 4096, "disk": 40})),
        openstack_sandbox_base_image: r
            .selector("OPENSTACK_SANDBOX_BASE_IMAGE", json!({"name": "Ubuntu 16.04"})),
        openstack_sandbox_ssh_keyname: r.text_or_blank(
            "OPENSTACK_SANDBOX_SSH_KEYNAME",
            "opencraft",
            256,
        ),
        openstack_sandbox_ssh_username: r.text("OPENSTACK_SANDBOX_SSH_USERNAME", "ubuntu", 32),
        openedx_appserver_security_group_name: r.text(
            "OPENEDX_APPSERVER_SECURITY_GROUP_NAME",
            "edxapp-appserver",
            200,
        ),
        shutdown_timeout: r.seconds_or_none("SHUTDOWN_TIMEOUT", 600),
        reconcile_interval: r.seconds("OCIM_RECONCILE_INTERVAL", 60),
        failed_server_kept: r.seconds("OCIM_FAILED_SERVER_KEPT", 2 * 24 * 3600),
        clean_up_days: r.clean_up_days("OCIM_CLEAN_UP_DAYS"),
        log_deletion_days: r.days("LOG_DELETION_DAYS", 60),
        ansible_python_path: (r.path("ANSIBLE_PYTHON_PATH"))
            .unwrap_or_else(|| PathBuf::from("/usr/bin/python3")),
        ansible_line_timeout: r.seconds("ANSIBLE_LINE_TIMEOUT", 1500),
        ansible_global_timeout: r.seconds("ANSIBLE_GLOBAL_TIMEOUT", 9000),
        ansible_appserver_repo: r.text_or_blank(
            "ANSIBLE_APPSERVER_REPO",
            "https://github.com/open-craft/ansible-playbooks.git",
            256,
        ),
        ansible_appserver_playbook: (r).text(
            "ANSIBLE_APPSERVER_PLAYBOOK",
            "playbooks/appserver.yml",
            256,
        ),
        ansible_appserver_requirements_path: (r).text(
            "ANSIBLE_APPSERVER_REQUIREMENTS_PATH",
            "requirements.txt",
            256,
        ),
        ansible_appserver_version: r.text("ANSIBLE_APPSERVER_VERSION", "master", 50),
        default_load_balancing_server: r
            .parsed("DEFAULT_LOAD_BALANCING_SERVER", "must have the form user@domain.name"),
        load_balancer_host_keys: read_host_keys(r),
        load_balancer_fragment_name_prefix: read_fragment_prefix(r),
        preliminary_page_server_ip: r.parsed("PRELIMINARY_PAGE_SERVER_IP", "must be an IP address"),
        git_credentials: read_git_credentials(r),
        s3_bucket_prefix: r.text("S3_BUCKET_PREFIX", "ocim", 20),
        iam_user_prefix: r.text("IAM_USER_PREFIX", "ocim", 20),
    }
}

const PORT_RULE: &str = "must be a port, 0 to 65535";

/// Fewest characters of a secret key that can't be guessed.
const SECRET_KEY_CHARACTERS: usize = 16;

/// The original took a key of any length.
fn tell_weak_key(key: Option<&Secret>) -> Option<String> {
    let is_short = key?.expose().chars().count() < SECRET_KEY_CHARACTERS;
    is_short.then(|| {
        format!(
            "SECRET_KEY has fewer than {SECRET_KEY_CHARACTERS} characters: whoever guesses it reads \
             every secret of every site"
        )
    })
}

fn read_data_dir(r: &mut Reader<'_>, is_root: bool) -> PathBuf {
    if let Some(path) = r.path("OCIM_DATA_DIR") {
        return path;
    }
    if is_root {
        return PathBuf::from("/var/lib/ocim");
    }
    let home = r.path("HOME").map(|home| home.join(".local/share"));
    match r.path("XDG_DATA_HOME").or(home) {
        Some(parent) => parent.join("ocim"),
        None => {
            r.refuse("OCIM_DATA_DIR", "must be set where HOME is not");
            PathBuf::new()
        }
    }
}

fn read_fork(r: &mut Reader<'_>) -> String {
    let fork = r.text("DEFAULT_FORK", "edx/edx-platform", 200);
    let parts: Vec<&str> = fork.split('/').collect();
    if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) {
        r.refuse("DEFAULT_FORK", "must have the form owner/name");
    }
    fork
}
