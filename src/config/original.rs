//! The original's settings, each with what became of it here.

use Fate::{Gone, Read, Waits};
use std::collections::BTreeMap;

/// What became of a setting of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is read here, under the same name.
    Read,
    /// Nothing reads it yet: this is not there yet.
    Waits(&'static str),
    /// Nothing will read it, for this reason.
    Gone(&'static str),
}

const MAIL: &str = "mail to customers";
const S3: &str = "buckets in S3";
const UPLOADS: &str = "logos that people upload";
const BACKUP: &str = "backups of Swift containers";
const TRIALS: &str = "registration for trials";
const REDIS: &str = "there is no Redis: locks and queues are in the database";
const DJANGO: &str = "it was a switch of the original's framework";
const WEBSOCKET: &str = "live events and logs come over HTTP (server-sent events)";

/// Every setting of the original, by its environment variable, in the order of its manual.
pub const ORIGINAL: &[(&str, Fate)] = &[
    ("SECRET_KEY", Read),
    ("DATABASE_URL", Read),
    ("ALLOWED_HOSTS", Waits("the console's own domain")),
    ("DEBUG", Gone(DJANGO)),
    ("ENABLE_DEBUG_TOOLBAR", Gone(DJANGO)),
    ("RUNDEV_SERVER_ADDRESS_PORT", Gone("see OCIM_HTTP_ADDRESS and OCIM_HTTP_PORT")),
    ("TEST_RUNNER", Gone(DJANGO)),
    ("REDIS_URL", Gone(REDIS)),
    ("REDIS_LOCK_TIMEOUT", Gone(REDIS)),
    (
        "HUEY_QUEUE_NAME",
        Gone("runs wait for slots of their region, see `launches_max` in OCIM_CLOUDS"),
    ),
    ("HUEY_ALWAYS_EAGER", Gone(DJANGO)),
    ("DRAGON_SERVER_ADDRESS_PORT", Gone(WEBSOCKET)),
    ("DRAGON_URL", Gone(WEBSOCKET)),
    ("CONSUL_ENABLED", Read),
    ("OCIM_ID", Read),
    ("CONSUL_PREFIX", Read),
    ("CONSUL_ENCRYPT", Read),
    ("CONSUL_SERVERS", Read),
    ("OPENSTACK_USER", Read),
    ("OPENSTACK_PASSWORD", Read),
    ("OPENSTACK_TENANT", Read),
    ("OPENSTACK_AUTH_URL", Read),
    ("OPENSTACK_REGION", Read),
    ("OPENSTACK_SANDBOX_FLAVOR", Read),
    ("OPENSTACK_PRODUCTION_INSTANCE_FLAVOR", Read),
    ("OPENSTACK_SANDBOX_BASE_IMAGE", Read),
    ("OPENSTACK_SANDBOX_SSH_KEYNAME", Read),
    ("OPENSTACK_SANDBOX_SSH_USERNAME", Read),
    ("SHUTDOWN_TIMEOUT", Read),
    ("OPENEDX_APPSERVER_SECURITY_GROUP_NAME", Read),
    ("INSTANCE_STORAGE_TYPE", Read),
    ("SWIFT_OPENSTACK_USER", Read),
    ("SWIFT_OPENSTACK_PASSWORD", Read),
    ("SWIFT_OPENSTACK_TENANT", Read),
    ("SWIFT_OPENSTACK_AUTH_URL", Read),
    ("SWIFT_OPENSTACK_REGION", Read),
    ("AWS_ACCESS_KEY_ID", Read),
    ("AWS_SECRET_ACCESS_KEY", Read),
    ("S3_BUCKET_PREFIX", Read),
    ("IAM_USER_PREFIX", Read),
    ("AWS_S3_DEFAULT_REGION", Read),
    ("S3_VERSION_EXPIRATION", Waits(S3)),
    ("MEDIAFILES_SWIFT_ENABLE", Waits(UPLOADS)),
    ("MEDIAFILES_SWIFT_AUTH_URL", Waits(UPLOADS)),
    ("MEDIAFILES_SWIFT_USERNAME", Waits(UPLOADS)),
    ("MEDIAFILES_SWIFT_TENANT_NAME", Waits(UPLOADS)),
    ("MEDIAFILES_SWIFT_REGION_NAME", Waits(UPLOADS)),
    ("MEDIAFILES_SWIFT_KEY", Waits(UPLOADS)),
    ("MEDIAFILES_SWIFT_CONTAINER_NAME", Waits(UPLOADS)),
    ("BACKUP_SWIFT_ENABLED", Waits(BACKUP)),
    ("BACKUP_SWIFT_TARGET", Waits(BACKUP)),
    ("BACKUP_SWIFT_TARSNAP_KEY_LOCATION", Waits(BACKUP)),
    ("BACKUP_SWIFT_TARSNAP_CACHE_LOCATION", Waits(BACKUP)),
    ("BACKUP_SWIFT_TARSNAP_KEY_ARCHIVE_NAME", Waits(BACKUP)),
    ("BACKUP_SWIFT_SNITCH", Waits(BACKUP)),
    ("DEFAULT_INSTANCE_MYSQL_URL", Read),
    ("DEFAULT_INSTANCE_MONGO_URL", Read),
    ("DEFAULT_MONGO_REPLICA_SET_NAME", Read),
    ("DEFAULT_MONGO_REPLICA_SET_PRIMARY", Read),
    ("DEFAULT_MONGO_REPLICA_SET_HOSTS", Read),
    ("DEFAULT_MONGO_REPLICA_SET_USER", Read),
    ("DEFAULT_MONGO_REPLICA_SET_PASSWORD", Read),
    ("DEFAULT_MONGO_REPLICA_SET_PORT", Read),
    ("DEFAULT_RABBITMQ_API_URL", Read),
    ("DEFAULT_INSTANCE_RABBITMQ_URL", Read),
    ("DEFAULT_LOAD_BALANCING_SERVER", Read),
    ("LOAD_BALANCER_FRAGMENT_NAME_PREFIX", Read),
    ("PRELIMINARY_PAGE_SERVER_IP", Read),
    ("DEFAULT_INSTANCE_BASE_DOMAIN", Read),
    ("DEFAULT_STUDIO_DOMAIN_PREFIX", Read),
    ("DEFAULT_LMS_PREVIEW_DOMAIN_PREFIX", Read),
    ("DEFAULT_DISCOVERY_DOMAIN_PREFIX", Read),
    ("DEFAULT_ECOMMERCE_DOMAIN_PREFIX", Read),
    ("GANDI_API_KEY", Read),
    ("GITHUB_ACCESS_TOKEN", Waits("sandboxes from pull requests")),
    ("DEFAULT_FORK", Read),
    ("DEFAULT_CONFIGURATION_REPO_URL", Read),
    ("DEFAULT_OPENEDX_RELEASE", Read),
    ("DEFAULT_CONFIGURATION_VERSION", Read),
    ("OPENEDX_RELEASE_STABLE_REF", Read),
    ("STABLE_EDX_PLATFORM_REPO_URL", Read),
    ("STABLE_EDX_PLATFORM_COMMIT", Read),
    ("STABLE_CONFIGURATION_REPO_URL", Read),
    ("STABLE_CONFIGURATION_VERSION", Read),
    ("EDX_WORKERS_ENABLE_CELERY_HEARTBEATS", Read),
    ("SIMPLE_THEME_SKELETON_THEME_REPO", Read),
    ("SIMPLE_THEME_SKELETON_THEME_VERSION", Read),
    ("ANSIBLE_PYTHON_PATH", Read),
    ("ANSIBLE_LINE_TIMEOUT", Read),
    ("ANSIBLE_GLOBAL_TIMEOUT", Read),
    ("ANSIBLE_APPSERVER_REPO", Read),
    ("ANSIBLE_APPSERVER_PLAYBOOK", Read),
    ("ANSIBLE_APPSERVER_REQUIREMENTS_PATH", Read),
    ("ANSIBLE_APPSERVER_VERSION", Read),
    ("EMAIL_BACKEND", Read),
    ("EMAIL_HOST", Read),
    ("EMAIL_PORT", Read),
    ("EMAIL_USE_TLS", Read),
    ("EMAIL_HOST_USER", Read),
    ("EMAIL_HOST_PASSWORD", Read),
    ("DEFAULT_FROM_EMAIL", Waits(MAIL)),
    ("SERVER_EMAIL", Read),
    ("EMAIL_SUBJECT_PREFIX", Read),
    ("VARIABLES_NOTIFICATION_EMAIL", Waits(TRIALS)),
    ("EMAIL_VERIFICATION_SENDER", Waits(TRIALS)),
    ("EMAIL_VERIFICATION_SUBJECT", Waits(TRIALS)),
    ("EMAIL_VERIFICATION_TEMPLATE", Waits(TRIALS)),
    ("SIMPLE_EMAIL_CONFIRMATION_PERIOD", Waits(TRIALS)),
    ("BETATEST_EMAIL_INTERNAL", Waits(TRIALS)),
    ("BETATEST_EMAIL_SENDER", Waits(TRIALS)),
    ("BETATEST_EMAIL_SIGNATURE", Waits(TRIALS)),
    ("BETATEST_WELCOME_SUBJECT", Waits(TRIALS)),
    ("SUBDOMAIN_BLACKLIST", Waits(TRIALS)),
    ("ADMINS", Read),
    ("BASE_HANDLERS", Gone("see OCIM_LOG and OCIM_LOG_FORMAT")),
    ("LOGGING_ROTATE_MAX_KBYTES", Gone("log lines go to standard error, for the journal to keep")),
    ("LOGGING_ROTATE_MAX_FILES", Gone("log lines go to standard error, for the journal to keep")),
    ("LOG_LIMIT", Gone("logs of runs are read in pages, without an end")),
    ("LOG_DELETION_DAYS", Read),
    ("NUM_INITIAL_APPSERVERS_SHOWN", Waits("the web console")),
    ("BILLING_RATE", Waits("invoices")),
    ("INSTANCE_SMTP_RELAY_HOST", Read),
    ("INSTANCE_SMTP_RELAY_PORT", Read),
    ("INSTANCE_SMTP_RELAY_USERNAME", Read),
    ("INSTANCE_SMTP_RELAY_PASSWORD", Read),
    ("INSTANCE_SMTP_RELAY_SENDER_DOMAIN", Read),
    ("NEWRELIC_LICENSE_KEY", Read),
    ("NEWRELIC_ADMIN_USER_API_KEY", Read),
    ("NODE_EXPORTER_PASSWORD", Read),
    ("FILEBEAT_LOGSTASH_HOSTS", Read),
    ("FILEBEAT_CA_CERT", Read),
    ("FILEBEAT_CERT", Read),
    ("FILEBEAT_KEY", Read),
    ("FILEBEAT_COMMON_PROSPECTOR_FIELDS", Read),
    ("WORKERS", Read),
    ("WORKERS_LOW_PRIORITY", Read),
];

/// Of those that are set, which are not read, each with why, as sentences. No value is told.
#[must_use]
pub fn tell_unread(variables: &BTreeMap<String, String>) -> Vec<String> {
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.trim().is_empty());
    let tell = |(name, fate): &(&str, Fate)| match fate {
        Read => None,
        Waits(capability) => {
            Some(format!("{name} is not read yet: it waits for a capability, {capability}"))
        }
        Gone(reason) => Some(format!("{name} is not read any more: {reason}")),
    };
    let mut told: Vec<_> =
        ORIGINAL.iter().filter(|(name, _)| is_set(name)).filter_map(tell).collect();
    // With a region it says where machines are made, too; so may OCIM_CLOUDS, which says it of each of its own.
    if is_set("OPENSTACK_AUTH_URL") && !is_set("OPENSTACK_REGION") && !is_set("OCIM_CLOUDS") {
        told.push(
            "OPENSTACK_AUTH_URL is read for Swift alone: without OPENSTACK_REGION, or OCIM_CLOUDS, machines are \
             made on this computer"
                .to_owned(),
        );
    }
    told
}
