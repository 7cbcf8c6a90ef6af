//! The lowest layer: what every Open edX site of ours starts from (core §5.2).

use super::secrets::HttpAuth;
use super::{ConfigurationError, Variables, open};
use crate::names::{self, Service};
use crate::settings::InstanceSettings;
use serde_json::{Value, json};
use std::fmt;

/// What the layers need beside the settings.
#[derive(Debug, Clone)]
pub struct BaseContext {
    /// The Appserver's number, from 1.
    pub appserver_number: u32,
    /// When its sessions are cleared; drawn at random per Appserver, so that not all do it at once.
    pub clearsessions_cron: CronTime,
    /// GitHub names of people who may log in as administrators; may be empty.
    pub ssh_admins: Vec<String>,
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
#[derive(Clone, Default)]
pub struct SiteWideSettings {
    /// `NEWRELIC_LICENSE_KEY`; blank for none. Secret.
    pub newrelic_license_key: String,
    /// `INSTANCE_SMTP_RELAY_*`; none without `INSTANCE_SMTP_RELAY_HOST`.
    pub smtp_relay: Option<SmtpRelay>,
    /// `EDX_WORKERS_ENABLE_CELERY_HEARTBEATS`.
    pub enable_celery_heartbeats: bool,
}

impl fmt::Debug for SiteWideSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteWideSettings")
            .field("smtp_relay", &self.smtp_relay)
            .field("enable_celery_heartbeats", &self.enable_celery_heartbeats)
            .finish_non_exhaustive()
    }
}

/// The mail server that takes all sites' mail.
#[derive(Clone)]
pub struct SmtpRelay {
    /// `INSTANCE_SMTP_RELAY_HOST`.
    pub host: String,
    /// `INSTANCE_SMTP_RELAY_PORT`, 587 by default.
    pub port: u16,
    /// `INSTANCE_SMTP_RELAY_USERNAME`; blank for none.
    pub username: String,
    /// `INSTANCE_SMTP_RELAY_PASSWORD`; blank for none. Secret.
    pub password: String,
    /// `INSTANCE_SMTP_RELAY_SENDER_DOMAIN`, the base domain by default.
    pub sender_domain: String,
}

impl fmt::Debug for SmtpRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpRelay")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// What all sections are made from.
struct Site<'a> {
    settings: &'a InstanceSettings,
    context: &'a BaseContext,
    lms: String,
    preview: String,
    studio: String,
    discovery: String,
    ecommerce: String,
    email: &'a str,
    auth: HttpAuth,
}

/// The base layer.
///
/// # Errors
/// When the master secret or the e-mail address can't be read.
pub fn base_layer(
    settings: &InstanceSettings,
    context: &BaseContext,
) -> Result<Variables, ConfigurationError> {
    let master = open(&settings.secret_key_b64encoded, "secret_key_b64encoded")?;
    let site = Site {
        settings,
        context,
        lms: names::effective_host(settings, Service::Lms),
        preview: names::effective_host(settings, Service::LmsPreview),
        studio: names::effective_host(settings, Service::Studio),
        discovery: names::effective_host(settings, Service::Discovery),
        ecommerce: names::effective_host(settings, Service::Ecommerce),
        email: open(&settings.email, "email")?,
        auth: HttpAuth::derive(master)?,
    };
    let sections = [
        compose_system(&site),
        compose_web(&site),
        compose_platform(&site),
        compose_features(&site),
        compose_email(&site),
        compose_relay(&site),
        compose_versions(&site),
        compose_discovery(&site),
        compose_ecommerce(&site),
        compose_retirement(&site),
        compose_admins(&site),
    ];
    Ok(sections.into_iter().flat_map(into_variables).collect())
}

/// The members of an object. Every section is one.
fn into_variables(section: Value) -> Variables {
    match section {
        Value::Object(variables) => variables,
        _ => Variables::new(),
    }
}

fn compose_system(site: &Site<'_>) -> Value {
    let license = &site.context.site_wide.newrelic_license_key;
    json!({
        "COMMON_HOSTNAME": names::server_hostname(site.settings, site.context.appserver_number),
        "COMMON_ENVIRONMENT": "opencraft",
        "COMMON_DEPLOYMENT": site.settings.internal_lms_domain,
        "COMMON_FALLBACK_DNS_SERVERS": ["8.8.8.8", "8.8.4.4"],
        "COMMON_ENABLE_BASIC_AUTH": true,
        "COMMON_HTPASSWD_USER": site.auth.user,
        "COMMON_HTPASSWD_PASS": site.auth.password,
        "COMMON_OAUTH_BASE_URL": "{{ EDXAPP_LMS_ROOT_URL }}",
        "COMMON_JWT_SECRET_KEY": "{{ EDXAPP_JWT_SECRET_KEY }}",
        "COMMON_JWT_AUDIENCE": "lms-key",
        "COMMON_SECURITY_UPDATES": true,
        "SECURITY_UNATTENDED_UPGRADES": true,
        "SECURITY_UPGRADE_ON_ANSIBLE": true,
        "SECURITY_UPDATE_ALL_PACKAGES": false,
        "COMMON_ENABLE_NEWRELIC": false,
        "COMMON_ENABLE_NEWRELIC_APP": !license.is_empty(),
        "NEWRELIC_LICENSE_KEY": license,
        "SANDBOX_ENABLE_RABBITMQ": false,
        "SANDBOX_ENABLE_DISCOVERY": false,
        "SANDBOX_ENABLE_ECOMMERCE": false,
        "SANDBOX_ENABLE_ANALYTICS_API": false,
        "SANDBOX_ENABLE_INSIGHTS": false,
        "worker_django_enable_heartbeats": site.context.site_wide.enable_celery_heartbeats,
        "CERTS_QUEUE_POLL_FREQUENCY": 60,
    })
}

fn compose_web(site: &Site<'_>) -> Value {
    json!({
        "EDXAPP_PLATFORM_NAME": site.settings.name,
        "EDXAPP_SITE_NAME": site.lms,
        "EDXAPP_LMS_SITE_NAME": site.lms,
        "EDXAPP_LMS_BASE": site.lms,
        "EDXAPP_LMS_BASE_SCHEME": "https",
        "EDXAPP_LMS_NGINX_PORT": 80,
        "EDXAPP_LMS_SSL_NGINX_PORT": 443,
        "EDXAPP_LMS_PREVIEW_NGINX_PORT": 80,
        "EDXAPP_PREVIEW_LMS_BASE": site.preview,
        "EDXAPP_CMS_SITE_NAME": site.studio,
        "EDXAPP_CMS_BASE": site.studio,
        "EDXAPP_CMS_NGINX_PORT": 80,
        "EDXAPP_CMS_SSL_NGINX_PORT": 443,
        "CMS_HOSTNAME": nginx_hostname(site, Service::Studio),
        "EDXAPP_LOGIN_REDIRECT_WHITELIST": [site.studio],
        "NGINX_SET_X_FORWARDED_HEADERS": false,
        "NGINX_ENABLE_SSL": false,
        "NGINX_REDIRECT_TO_HTTPS": false,
    })
}

fn compose_platform(site: &Site<'_>) -> Value {
    json!({
        "EDXAPP_LMS_ENV_EXTRA": {
            "ADDL_INSTALLED_APPS": ["openedx.core.djangoapps.heartbeat"],
            "HEARTBEAT_EXTENDED_CHECKS": ["lms.lib.comment_client.utils.check_forum_heartbeat"],
        },
        "EDXAPP_ENV_EXTRA": { "LANGUAGE_CODE": "en" },
        "EDXAPP_LANG": "en_US.UTF-8",
        "EDXAPP_TIME_ZONE": "UTC",
        "EDXAPP_OAUTH_ENFORCE_SECURE": false,
        "EDXAPP_YOUTUBE_API_KEY": null,
        "EDXAPP_ANALYTICS_DASHBOARD_URL": "",
        "EDXAPP_CLEARSESSIONS_CRON_ENABLED": true,
        "EDXAPP_CLEARSESSIONS_CRON_HOURS": site.context.clearsessions_cron.hour,
        "EDXAPP_CLEARSESSIONS_CRON_MINUTES": site.context.clearsessions_cron.minute,
        "EDXAPP_ENABLE_COMPREHENSIVE_THEMING": true,
        "EDXAPP_COMPREHENSIVE_THEME_DIRS": ["/edx/var/edxapp/themes"],
        "EDXAPP_WORKERS": { "lms": 3, "cms": 2 },
        "EDXAPP_LMS_MAX_REQ": 5000,
        "EDXAPP_CMS_MAX_REQ": 1000,
        "EDXAPP_WORKER_DEFAULT_STOPWAITSECS": 1200,
        "FORUM_RACK_ENV": "production",
        "FORUM_SINATRA_ENV": "production",
    })
}

fn compose_features(site: &Site<'_>) -> Value {
    json!({ "EDXAPP_FEATURES": {
        "ALLOW_ALL_ADVANCED_COMPONENTS": true,
        "AUTH_USE_OPENID": false,
        "CERTIFICATES_ENABLED": true,
        "CERTIFICATES_HTML_VIEW": true,
        "CUSTOM_CERTIFICATE_TEMPLATES_ENABLED": true,
        "DISABLE_STUDIO_SSO_OVER_LMS": true,
        "ENABLE_ACCOUNT_DELETION": true,
        "ENABLE_COMBINED_LOGIN_REGISTRATION": true,
        "ENABLE_DISCUSSION_EMAIL_DIGEST": true,
        "ENABLE_DISCUSSION_HOME_PANEL": true,
        "ENABLE_DISCUSSION_SERVICE": true,
        "ENABLE_DJANGO_ADMIN_SITE": true,
        "ENABLE_GRADE_DOWNLOADS": true,
        "ENABLE_INSTRUCTOR_ANALYTICS": true,
        "ENABLE_INSTRUCTOR_EMAIL": true,
        "ENABLE_OAUTH2_PROVIDER": true,
        "ENABLE_PEARSON_HACK_TEST": false,
        "ENABLE_SYSADMIN_DASHBOARD": true,
        "ENABLE_THIRD_PARTY_AUTH": true,
        "ENABLE_XBLOCK_VIEW_ENDPOINT": true,
        "PREVENT_CONCURRENT_LOGINS": false,
        "PREVIEW_LMS_BASE": site.preview,
        "REQUIRE_COURSE_EMAIL_AUTH": false,
        "USE_MICROSITES": false,
    }})
}

fn compose_email(site: &Site<'_>) -> Value {
    json!({
        "EDXAPP_CONTACT_EMAIL": site.email,
        "EDXAPP_TECH_SUPPORT_EMAIL": site.email,
        "EDXAPP_BUGS_EMAIL": site.email,
        "EDXAPP_FEEDBACK_SUBMISSION_EMAIL": site.email,
        "EDXAPP_DEFAULT_FROM_EMAIL": site.email,
        "EDXAPP_DEFAULT_FEEDBACK_EMAIL": site.email,
        "EDXAPP_SERVER_EMAIL": site.email,
        "EDXAPP_BULK_EMAIL_DEFAULT_FROM_EMAIL": site.email,
        "EDXAPP_EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EDXAPP_EMAIL_HOST": "localhost",
        "EDXAPP_EMAIL_PORT": 25,
        "EDXAPP_EMAIL_HOST_USER": "",
        "EDXAPP_EMAIL_HOST_PASSWORD": "",
        "EDXAPP_EMAIL_USE_TLS": false,
        "NOTIFIER_DIGEST_EMAIL_SENDER": site.email,
        "NOTIFIER_DIGEST_TASK_INTERVAL": "1440",
        "NOTIFIER_EMAIL_BACKEND": "smtp",
        "NOTIFIER_EMAIL_HOST": "localhost",
        "NOTIFIER_EMAIL_PORT": 25,
        "NOTIFIER_EMAIL_USER": "",
        "NOTIFIER_EMAIL_PASS": "",
        "NOTIFIER_EMAIL_USE_TLS": false,
        "NOTIFIER_LMS_URL_BASE": format!("https://{}", site.lms),
        "NOTIFIER_LOGO_IMAGE_URL": format!("https://{}/static/images/logo.png", site.lms),
        "NOTIFIER_POLLING_INTERVAL": 60,
    })
}

fn compose_relay(site: &Site<'_>) -> Value {
    let Some(relay) = &site.context.site_wide.smtp_relay else { return json!({}) };
    let sender = site.email.rsplit_once('@').map_or("", |(_, domain)| domain);
    json!({
        "POSTFIX_QUEUE_EXTERNAL_SMTP_HOST": relay.host,
        "POSTFIX_QUEUE_EXTERNAL_SMTP_PORT": relay.port.to_string(),
        "POSTFIX_QUEUE_EXTERNAL_SMTP_USER": relay.username,
        "POSTFIX_QUEUE_EXTERNAL_SMTP_PASSWORD": relay.password,
        "POSTFIX_QUEUE_HEADER_CHECKS": "/^From:(.*)$/   PREPEND Reply-To:$1",
        "POSTFIX_QUEUE_SENDER_CANONICAL_MAPS":
            format!("@{sender}  {}@{}", site.lms, relay.sender_domain),
    })
}

fn compose_versions(site: &Site<'_>) -> Value {
    let release = &site.settings.openedx_release;
    json!({
        "edx_ansible_source_repo": site.settings.configuration_source_repo_url,
        "configuration_version": site.settings.configuration_version,
        "edx_platform_repo": site.settings.edx_platform_repository_url,
        "edx_platform_version": site.settings.edx_platform_commit,
        "forum_version": release,
        "xqueue_version": release,
        "certs_version": release,
        "NOTIFIER_VERSION": release,
        "ANALYTICS_API_VERSION": release,
        "INSIGHTS_VERSION": release,
        "ECOMMERCE_VERSION": release,
        "DISCOVERY_VERSION": release,
    })
}

fn compose_discovery(site: &Site<'_>) -> Value {
    json!({
        "DISCOVERY_ELASTICSEARCH_URL": "http://localhost:9200",
        "DISCOVERY_URL_ROOT": format!("https://{}", site.discovery),
        "DISCOVERY_HOSTNAME": nginx_hostname(site, Service::Discovery),
        "DISCOVERY_NGINX_PORT": 80,
        "DISCOVERY_SSL_NGINX_PORT": 443,
    })
}

fn compose_ecommerce(site: &Site<'_>) -> Value {
    /// Accounts of payment providers have no default; people set them in their extra settings.
    const UNSET: &str = "SET-ME-PLEASE";
    const UNSET_URL: &str = "https://set-me-please";
    let lms = format!("https://{}", site.lms);
    let shop = format!("https://{}", site.ecommerce);
    let checkout = |page| format!("{{{{ ECOMMERCE_LMS_URL_ROOT }}}}/commerce/checkout/{page}/");
    json!({
        "ECOMMERCE_HOSTNAME": nginx_hostname(site, Service::Ecommerce),
        "ECOMMERCE_NGINX_PORT": 80,
        "ECOMMERCE_SSL_NGINX_PORT": 443,
        "ECOMMERCE_ECOMMERCE_URL_ROOT": shop,
        "EDXAPP_ECOMMERCE_PUBLIC_URL_ROOT": shop,
        "EDXAPP_ECOMMERCE_API_URL": format!("{shop}/api/v2"),
        "ECOMMERCE_SUPPORT_URL": lms,
        "ECOMMERCE_LMS_URL_ROOT": lms,
        "ECOMMERCE_COURSE_CATALOG_URL": format!("https://{}", site.discovery),
        "ECOMMERCE_OSCAR_FROM_EMAIL": site.email,
        "ECOMMERCE_PLATFORM_NAME": "\"{{ EDXAPP_PLATFORM_NAME }}\"",
        "ECOMMERCE_CYBERSOURCE_PROFILE_ID": UNSET,
        "ECOMMERCE_CYBERSOURCE_MERCHANT_ID": UNSET,
        "ECOMMERCE_CYBERSOURCE_ACCESS_KEY": UNSET,
        "ECOMMERCE_CYBERSOURCE_SECRET_KEY": UNSET,
        "ECOMMERCE_CYBERSOURCE_TRANSACTION_KEY": UNSET,
        "ECOMMERCE_CYBERSOURCE_PAYMENT_PAGE_URL": UNSET_URL,
        "ECOMMERCE_CYBERSOURCE_SOAP_API_URL": UNSET_URL,
        "ECOMMERCE_CYBERSOURCE_RECEIPT_PAGE_URL": checkout("receipt"),
        "ECOMMERCE_CYBERSOURCE_CANCEL_PAGE_URL": checkout("cancel"),
        "ECOMMERCE_PAYPAL_MODE": UNSET,
        "ECOMMERCE_PAYPAL_CLIENT_ID": UNSET,
        "ECOMMERCE_PAYPAL_CLIENT_SECRET": UNSET,
        "ECOMMERCE_PAYPAL_RECEIPT_URL": checkout("receipt"),
        "ECOMMERCE_PAYPAL_CANCEL_URL": checkout("cancel"),
        "ECOMMERCE_PAYPAL_ERROR_URL": checkout("error"),
    })
}

fn compose_retirement(site: &Site<'_>) -> Value {
    let stage = |name: &str, complete: &str, function: &str| {
        json!({
            "NAME": name, "NAME_COMPLETE": complete, "SERVICE": "LMS", "FUNCTION": function,
        })
    };
    json!({
        "RETIREMENT_SERVICE_SETUP": true,
        "RETIREMENT_SERVICE_ENABLE_CRON_JOB": true,
        "RETIREMENT_SERVICE_COOL_OFF_DAYS": 5,
        "RETIREMENT_SERVICE_CRON_JOB_HOURS": 0,
        "RETIREMENT_SERVICE_CRON_JOB_MINUTES": 0,
        "RETIREMENT_LMS_BASE_URL": format!("https://{}", site.lms),
        // The doubled word is what the playbooks read.
        "RETIREMENT_ECOMMERCE_BASE_BASE_URL": format!("https://{}", site.ecommerce),
        "RETIREMENT_CREDENTIALS_BASE_BASE_URL": "http://localhost:8150",
        "EDXAPP_RETIREMENT_STATES": [
            "PENDING", "RETIRING_ENROLLMENTS", "ENROLLMENTS_COMPLETE", "RETIRING_LMS_MISC",
            "LMS_MISC_COMPLETE", "RETIRING_LMS", "LMS_COMPLETE", "RETIRING_CREDENTIALS",
            "CREDENTIALS_COMPLETE", "ERRORED", "ABORTED", "COMPLETE",
        ],
        "RETIREMENT_SERVICE_PIPELINE_CONFIGURATION": [
            stage("RETIRING_ENROLLMENTS", "ENROLLMENTS_COMPLETE", "retirement_unenroll"),
            stage("RETIRING_LMS_MISC", "LMS_MISC_COMPLETE", "retirement_lms_retire_misc"),
            stage("RETIRING_LMS", "LMS_COMPLETE", "retirement_lms_retire"),
        ],
    })
}

/// People whose keys GitHub knows; the variable is left out where there are none (core §9).
fn compose_admins(site: &Site<'_>) -> Value {
    if site.context.ssh_admins.is_empty() {
        return json!({});
    }
    let people = site.context.ssh_admins.iter();
    let info: Vec<_> =
        people.map(|name| json!({ "name": name, "github": true, "type": "admin" })).collect();
    json!({ "COMMON_USER_INFO": info })
}

/// nginx takes a server name that begins with `~` as a pattern.
fn nginx_hostname(site: &Site<'_>, service: Service) -> String {
    format!("~{}", names::nginx_regex(site.settings, service))
}
