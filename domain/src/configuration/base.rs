//! The lowest layer: what every Open edX site of ours starts from (core §5.2).

use super::ConfigurationError;
use super::layer::{Composed, Layer, Site, Source, setting, variables};
use crate::names::Service;
use serde_json::{Value, json};

/// The base layer.
///
/// # Errors
/// When the master secret or the e-mail address can't be read.
pub(super) fn base_layer(site: &Site<'_>) -> Composed {
    const SECTIONS: [fn(&Site<'_>) -> Composed; 11] = [
        compose_system,
        compose_web,
        compose_platform,
        compose_features,
        compose_email,
        compose_relay,
        compose_versions,
        compose_discovery,
        compose_ecommerce,
        compose_retirement,
        compose_admins,
    ];
    let mut layer = Layer::new();
    for compose in SECTIONS {
        layer.extend(compose(site)?);
    }
    Ok(layer)
}

fn compose_system(site: &Site<'_>) -> Composed {
    let site_wide = &site.context.site_wide;
    let license = || site.configured("NEWRELIC_LICENSE_KEY", &site_wide.newrelic_license_key);
    Ok(variables!(site => {
        "COMMON_HOSTNAME" => site.own_host(),
        "COMMON_ENVIRONMENT" => "opencraft",
        "COMMON_DEPLOYMENT" => setting!(site, internal_lms_domain),
        "COMMON_FALLBACK_DNS_SERVERS" => ["8.8.8.8", "8.8.4.4"],
        "COMMON_ENABLE_BASIC_AUTH" => true,
        "COMMON_HTPASSWD_USER" => site.http_auth()?.user,
        "COMMON_HTPASSWD_PASS" => site.http_auth()?.password,
        "COMMON_OAUTH_BASE_URL" => "{{ EDXAPP_LMS_ROOT_URL }}",
        "COMMON_JWT_SECRET_KEY" => "{{ EDXAPP_JWT_SECRET_KEY }}",
        "COMMON_JWT_AUDIENCE" => "lms-key",
        "COMMON_SECURITY_UPDATES" => true,
        "SECURITY_UNATTENDED_UPGRADES" => true,
        "SECURITY_UPGRADE_ON_ANSIBLE" => true,
        "SECURITY_UPDATE_ALL_PACKAGES" => false,
        "COMMON_ENABLE_NEWRELIC" => false,
        "COMMON_ENABLE_NEWRELIC_APP" => !license().is_empty(),
        "NEWRELIC_LICENSE_KEY" => license(),
        "SANDBOX_ENABLE_RABBITMQ" => false,
        "SANDBOX_ENABLE_DISCOVERY" => false,
        "SANDBOX_ENABLE_ECOMMERCE" => false,
        "SANDBOX_ENABLE_ANALYTICS_API" => false,
        "SANDBOX_ENABLE_INSIGHTS" => false,
        "worker_django_enable_heartbeats" =>
            site.configured("EDX_WORKERS_ENABLE_CELERY_HEARTBEATS", site_wide.enable_celery_heartbeats),
        "CERTS_QUEUE_POLL_FREQUENCY" => 60,
    }))
}

fn compose_web(site: &Site<'_>) -> Composed {
    Ok(variables!(site => {
        "EDXAPP_PLATFORM_NAME" => setting!(site, name),
        "EDXAPP_SITE_NAME" => site.host(Service::Lms),
        "EDXAPP_LMS_SITE_NAME" => site.host(Service::Lms),
        "EDXAPP_LMS_BASE" => site.host(Service::Lms),
        "EDXAPP_LMS_BASE_SCHEME" => "https",
        "EDXAPP_LMS_NGINX_PORT" => 80,
        "EDXAPP_LMS_SSL_NGINX_PORT" => 443,
        "EDXAPP_LMS_PREVIEW_NGINX_PORT" => 80,
        "EDXAPP_PREVIEW_LMS_BASE" => site.host(Service::LmsPreview),
        "EDXAPP_CMS_SITE_NAME" => site.host(Service::Studio),
        "EDXAPP_CMS_BASE" => site.host(Service::Studio),
        "EDXAPP_CMS_NGINX_PORT" => 80,
        "EDXAPP_CMS_SSL_NGINX_PORT" => 443,
        "CMS_HOSTNAME" => site.nginx_host(Service::Studio),
        "EDXAPP_LOGIN_REDIRECT_WHITELIST" => [site.host(Service::Studio)],
        "NGINX_SET_X_FORWARDED_HEADERS" => false,
        "NGINX_ENABLE_SSL" => false,
        "NGINX_REDIRECT_TO_HTTPS" => false,
    }))
}

fn compose_platform(site: &Site<'_>) -> Composed {
    let cron = site.context.clearsessions_cron;
    Ok(variables!(site => {
        "EDXAPP_LMS_ENV_EXTRA" => json!({
            "ADDL_INSTALLED_APPS": ["openedx.core.djangoapps.heartbeat"],
            "HEARTBEAT_EXTENDED_CHECKS": ["lms.lib.comment_client.utils.check_forum_heartbeat"],
        }),
        "EDXAPP_ENV_EXTRA" => json!({ "LANGUAGE_CODE": "en" }),
        "EDXAPP_LANG" => "en_US.UTF-8",
        "EDXAPP_TIME_ZONE" => "UTC",
        "EDXAPP_OAUTH_ENFORCE_SECURE" => false,
        "EDXAPP_YOUTUBE_API_KEY" => Value::Null,
        "EDXAPP_ANALYTICS_DASHBOARD_URL" => "",
        "EDXAPP_CLEARSESSIONS_CRON_ENABLED" => true,
        "EDXAPP_CLEARSESSIONS_CRON_HOURS" => site.made_of(Source::Chance, cron.hour),
        "EDXAPP_CLEARSESSIONS_CRON_MINUTES" => site.made_of(Source::Chance, cron.minute),
        "EDXAPP_ENABLE_COMPREHENSIVE_THEMING" => true,
        "EDXAPP_COMPREHENSIVE_THEME_DIRS" => ["/edx/var/edxapp/themes"],
        "EDXAPP_WORKERS" => json!({ "lms": 3, "cms": 2 }),
        "EDXAPP_LMS_MAX_REQ" => 5000,
        "EDXAPP_CMS_MAX_REQ" => 1000,
        "EDXAPP_WORKER_DEFAULT_STOPWAITSECS" => 1200,
        "FORUM_RACK_ENV" => "production",
        "FORUM_SINATRA_ENV" => "production",
    }))
}

fn compose_features(site: &Site<'_>) -> Composed {
    Ok(variables!(site => { "EDXAPP_FEATURES" => json!({
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
        "PREVIEW_LMS_BASE": site.host(Service::LmsPreview),
        "REQUIRE_COURSE_EMAIL_AUTH": false,
        "USE_MICROSITES": false,
    })}))
}

fn compose_email(site: &Site<'_>) -> Composed {
    Ok(variables!(site => {
        "EDXAPP_CONTACT_EMAIL" => site.email()?,
        "EDXAPP_TECH_SUPPORT_EMAIL" => site.email()?,
        "EDXAPP_BUGS_EMAIL" => site.email()?,
        "EDXAPP_FEEDBACK_SUBMISSION_EMAIL" => site.email()?,
        "EDXAPP_DEFAULT_FROM_EMAIL" => site.email()?,
        "EDXAPP_DEFAULT_FEEDBACK_EMAIL" => site.email()?,
        "EDXAPP_SERVER_EMAIL" => site.email()?,
        "EDXAPP_BULK_EMAIL_DEFAULT_FROM_EMAIL" => site.email()?,
        "EDXAPP_EMAIL_BACKEND" => "django.core.mail.backends.smtp.EmailBackend",
        "EDXAPP_EMAIL_HOST" => "localhost",
        "EDXAPP_EMAIL_PORT" => 25,
        "EDXAPP_EMAIL_HOST_USER" => "",
        "EDXAPP_EMAIL_HOST_PASSWORD" => "",
        "EDXAPP_EMAIL_USE_TLS" => false,
        "NOTIFIER_DIGEST_EMAIL_SENDER" => site.email()?,
        "NOTIFIER_DIGEST_TASK_INTERVAL" => "1440",
        "NOTIFIER_EMAIL_BACKEND" => "smtp",
        "NOTIFIER_EMAIL_HOST" => "localhost",
        "NOTIFIER_EMAIL_PORT" => 25,
        "NOTIFIER_EMAIL_USER" => "",
        "NOTIFIER_EMAIL_PASS" => "",
        "NOTIFIER_EMAIL_USE_TLS" => false,
        "NOTIFIER_LMS_URL_BASE" => site.url(Service::Lms),
        "NOTIFIER_LOGO_IMAGE_URL" => format!("{}/static/images/logo.png", site.url(Service::Lms)),
        "NOTIFIER_POLLING_INTERVAL" => 60,
    }))
}

fn compose_relay(site: &Site<'_>) -> Composed {
    let Some(relay) = &site.context.site_wide.smtp_relay else { return Ok(Layer::new()) };
    let sender = || -> Result<&str, ConfigurationError> {
        Ok(site.email()?.rsplit_once('@').map_or("", |(_, domain)| domain))
    };
    Ok(variables!(site => {
        "POSTFIX_QUEUE_EXTERNAL_SMTP_HOST" => site.configured("INSTANCE_SMTP_RELAY_HOST", &relay.host),
        "POSTFIX_QUEUE_EXTERNAL_SMTP_PORT" =>
            site.configured("INSTANCE_SMTP_RELAY_PORT", relay.port.to_string()),
        "POSTFIX_QUEUE_EXTERNAL_SMTP_USER" => site.configured("INSTANCE_SMTP_RELAY_USERNAME", &relay.username),
        "POSTFIX_QUEUE_EXTERNAL_SMTP_PASSWORD" =>
            site.configured("INSTANCE_SMTP_RELAY_PASSWORD", &relay.password),
        "POSTFIX_QUEUE_HEADER_CHECKS" => "/^From:(.*)$/   PREPEND Reply-To:$1",
        "POSTFIX_QUEUE_SENDER_CANONICAL_MAPS" => format!(
            "@{}  {}@{}",
            sender()?,
            site.host(Service::Lms),
            site.configured("INSTANCE_SMTP_RELAY_SENDER_DOMAIN", &relay.sender_domain)
        ),
    }))
}

fn compose_versions(site: &Site<'_>) -> Composed {
    let release = || setting!(site, openedx_release);
    Ok(variables!(site => {
        "edx_ansible_source_repo" => setting!(site, configuration_source_repo_url),
        "configuration_version" => setting!(site, configuration_version),
        "edx_platform_repo" => setting!(site, edx_platform_repository_url),
        "edx_platform_version" => setting!(site, edx_platform_commit),
        "forum_version" => release(),
        "xqueue_version" => release(),
        "certs_version" => release(),
        "NOTIFIER_VERSION" => release(),
        "ANALYTICS_API_VERSION" => release(),
        "INSIGHTS_VERSION" => release(),
        "ECOMMERCE_VERSION" => release(),
        "DISCOVERY_VERSION" => release(),
    }))
}

fn compose_discovery(site: &Site<'_>) -> Composed {
    Ok(variables!(site => {
        "DISCOVERY_ELASTICSEARCH_URL" => "http://localhost:9200",
        "DISCOVERY_URL_ROOT" => site.url(Service::Discovery),
        "DISCOVERY_HOSTNAME" => site.nginx_host(Service::Discovery),
        "DISCOVERY_NGINX_PORT" => 80,
        "DISCOVERY_SSL_NGINX_PORT" => 443,
    }))
}

fn compose_ecommerce(site: &Site<'_>) -> Composed {
    /// Accounts of payment providers have no default; people set them in their extra settings.
    const UNSET: &str = "SET-ME-PLEASE";
    const UNSET_URL: &str = "https://set-me-please";
    let checkout = |page| format!("{{{{ ECOMMERCE_LMS_URL_ROOT }}}}/commerce/checkout/{page}/");
    Ok(variables!(site => {
        "ECOMMERCE_HOSTNAME" => site.nginx_host(Service::Ecommerce),
        "ECOMMERCE_NGINX_PORT" => 80,
        "ECOMMERCE_SSL_NGINX_PORT" => 443,
        "ECOMMERCE_ECOMMERCE_URL_ROOT" => site.url(Service::Ecommerce),
        "EDXAPP_ECOMMERCE_PUBLIC_URL_ROOT" => site.url(Service::Ecommerce),
        "EDXAPP_ECOMMERCE_API_URL" => format!("{}/api/v2", site.url(Service::Ecommerce)),
        "ECOMMERCE_SUPPORT_URL" => site.url(Service::Lms),
        "ECOMMERCE_LMS_URL_ROOT" => site.url(Service::Lms),
        "ECOMMERCE_COURSE_CATALOG_URL" => site.url(Service::Discovery),
        "ECOMMERCE_OSCAR_FROM_EMAIL" => site.email()?,
        "ECOMMERCE_PLATFORM_NAME" => "\"{{ EDXAPP_PLATFORM_NAME }}\"",
        "ECOMMERCE_CYBERSOURCE_PROFILE_ID" => UNSET,
        "ECOMMERCE_CYBERSOURCE_MERCHANT_ID" => UNSET,
        "ECOMMERCE_CYBERSOURCE_ACCESS_KEY" => UNSET,
        "ECOMMERCE_CYBERSOURCE_SECRET_KEY" => UNSET,
        "ECOMMERCE_CYBERSOURCE_TRANSACTION_KEY" => UNSET,
        "ECOMMERCE_CYBERSOURCE_PAYMENT_PAGE_URL" => UNSET_URL,
        "ECOMMERCE_CYBERSOURCE_SOAP_API_URL" => UNSET_URL,
        "ECOMMERCE_CYBERSOURCE_RECEIPT_PAGE_URL" => checkout("receipt"),
        "ECOMMERCE_CYBERSOURCE_CANCEL_PAGE_URL" => checkout("cancel"),
        "ECOMMERCE_PAYPAL_MODE" => UNSET,
        "ECOMMERCE_PAYPAL_CLIENT_ID" => UNSET,
        "ECOMMERCE_PAYPAL_CLIENT_SECRET" => UNSET,
        "ECOMMERCE_PAYPAL_RECEIPT_URL" => checkout("receipt"),
        "ECOMMERCE_PAYPAL_CANCEL_URL" => checkout("cancel"),
        "ECOMMERCE_PAYPAL_ERROR_URL" => checkout("error"),
    }))
}

fn compose_retirement(site: &Site<'_>) -> Composed {
    let stage = |name: &str, complete: &str, function: &str| {
        json!({
            "NAME": name, "NAME_COMPLETE": complete, "SERVICE": "LMS", "FUNCTION": function,
        })
    };
    Ok(variables!(site => {
        "RETIREMENT_SERVICE_SETUP" => true,
        "RETIREMENT_SERVICE_ENABLE_CRON_JOB" => true,
        "RETIREMENT_SERVICE_COOL_OFF_DAYS" => 5,
        "RETIREMENT_SERVICE_CRON_JOB_HOURS" => 0,
        "RETIREMENT_SERVICE_CRON_JOB_MINUTES" => 0,
        "RETIREMENT_LMS_BASE_URL" => site.url(Service::Lms),
        // The doubled word is what the playbooks read.
        "RETIREMENT_ECOMMERCE_BASE_BASE_URL" => site.url(Service::Ecommerce),
        "RETIREMENT_CREDENTIALS_BASE_BASE_URL" => "http://localhost:8150",
        "EDXAPP_RETIREMENT_STATES" => [
            "PENDING", "RETIRING_ENROLLMENTS", "ENROLLMENTS_COMPLETE", "RETIRING_LMS_MISC",
            "LMS_MISC_COMPLETE", "RETIRING_LMS", "LMS_COMPLETE", "RETIRING_CREDENTIALS",
            "CREDENTIALS_COMPLETE", "ERRORED", "ABORTED", "COMPLETE",
        ],
        "RETIREMENT_SERVICE_PIPELINE_CONFIGURATION" => [
            stage("RETIRING_ENROLLMENTS", "ENROLLMENTS_COMPLETE", "retirement_unenroll"),
            stage("RETIRING_LMS_MISC", "LMS_MISC_COMPLETE", "retirement_lms_retire_misc"),
            stage("RETIRING_LMS", "LMS_COMPLETE", "retirement_lms_retire"),
        ],
    }))
}

/// People whose keys GitHub knows; the variable is left out where there are none (core §9).
fn compose_admins(site: &Site<'_>) -> Composed {
    let person = |name| json!({ "name": name, "github": true, "type": "admin" });
    let people: Vec<_> = site.settings.ssh_users.iter().map(person).collect();
    if people.is_empty() {
        return Ok(Layer::new());
    }
    Ok(variables!(site => { "COMMON_USER_INFO" => site.set("ssh_users", people) }))
}
