//! From the configuration to what commands and steps go by.

use crate::config::{CloudConfig, Config, Secret};
use crate::logs::masking::Masker;
use crate::mails::MailSetting;
use crate::processes::world::{Deployment, Limits};
use ocim_adapters::mail::address_of;
use ocim_adapters::playbooks::Source;
use ocim_domain::configuration::{Filebeat, SiteWideSettings, SmtpRelay};
use ocim_domain::resources::ResourcePrefixes;
use ocim_domain::settings::{Defaults, StableDefaults, SwiftAccount};
use ocim_domain::timer::Job;
use std::sync::Arc;
use std::time::Duration;

/// What the settings of new instances default to.
#[must_use]
pub(super) fn instance_defaults(config: &Config) -> Defaults {
    Defaults {
        studio_domain_prefix: config.default_studio_domain_prefix.clone(),
        lms_preview_domain_prefix: config.default_lms_preview_domain_prefix.clone(),
        discovery_domain_prefix: config.default_discovery_domain_prefix.clone(),
        ecommerce_domain_prefix: config.default_ecommerce_domain_prefix.clone(),
        openedx_release: config.default_openedx_release.clone(),
        configuration_source_repo_url: config.default_configuration_repo_url.clone(),
        configuration_version: config.default_configuration_version.clone(),
        edx_platform_repository_url: Defaults::fork_url(&config.default_fork),
        openstack_server_flavor: config.openstack_sandbox_flavor.clone(),
        openstack_server_base_image: config.openstack_sandbox_base_image.clone(),
        openstack_server_ssh_keyname: config.openstack_sandbox_ssh_keyname.clone(),
        stable: StableDefaults {
            openedx_release: config.stable.openedx_release.clone(),
            edx_platform_repository_url: config.stable.edx_platform_repo_url.clone(),
            edx_platform_commit: config.stable.edx_platform_commit.clone(),
            configuration_source_repo_url: config.stable.configuration_repo_url.clone(),
            configuration_version: config.stable.configuration_version.clone(),
            openstack_server_flavor: config.stable.flavor.clone(),
        },
        storage_type: config.sites.storage_type.clone(),
        swift: SwiftAccount {
            user: config.sites.swift.user.clone(),
            password: config
                .sites
                .swift
                .password
                .as_ref()
                .map(Secret::expose)
                .unwrap_or_default()
                .to_owned(),
            tenant: config.sites.swift.tenant.clone(),
            auth_url: config.sites.swift.auth_url.clone(),
            region: config.sites.swift.region.clone(),
        },
        s3_region: config.sites.s3_region.clone(),
        ..Defaults::new(
            config.default_instance_base_domain.clone(),
            config.openstack_region.clone(),
        )
    }
}

/// The limits in force.
#[must_use]
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        shutdown_wait: config.shutdown_timeout,
        failed_server_kept: config.failed_server_kept,
        logs_kept: Duration::from_secs(u64::from(config.log_deletion_days) * 24 * 3600),
        line_timeout: config.ansible_line_timeout,
        playbook_timeout: config.ansible_global_timeout,
        launches_max_of: config
            .clouds
            .iter()
            .filter_map(|(region, cloud)| Some((region.clone(), cloud.launches_max()?)))
            .collect(),
        launches_max_default: config.workers.get(),
        bulk_launches_max: config.workers_low_priority.get(),
        ..Limits::default()
    }
}

/// What must never stand in a log, whoever prints it.
#[must_use]
pub(super) fn own_secrets(config: &Config, secret_key: &Secret) -> Vec<String> {
    let relay = config.instance_smtp_relay.as_ref().map(|relay| &relay.password);
    let urls = [config.database_url.as_ref(), config.event_store_url.as_ref()];
    let of_sites = [
        config.newrelic_license_key.as_ref(),
        config.sites.node_exporter_password.as_ref(),
        config.sites.consul_encrypt.as_ref(),
        config.sites.filebeat.key.as_ref(),
        config.sites.swift.password.as_ref(),
        config.sites.aws_secret_access_key.as_ref(),
        config.mail.host_password.as_ref(),
        config.new_relic.key.as_ref(),
        config.consul.token.as_ref(),
        relay,
    ];
    let given = urls.into_iter().chain(of_sites);
    let git = config.git_credentials.values().map(|credential| &credential.password);
    let all = given.flatten().chain([secret_key]).chain(git).chain(config.dns.secrets());
    let clouds = config.clouds.values().filter_map(CloudConfig::secret);
    let others = config.default_servers.passwords().chain(clouds).map(str::to_owned);
    all.map(|secret| secret.expose().to_owned()).chain(others).collect()
}

/// What deployments are made with. `own_secrets` never stand in a log.
#[must_use]
pub(super) fn deployment(config: &Config, own_secrets: Vec<String>) -> Deployment {
    Deployment {
        site_wide: site_wide(config),
        security_group: config.openedx_appserver_security_group_name.clone(),
        common_playbook: common_playbook(config),
        fragment_prefix: config.load_balancer_fragment_name_prefix.clone(),
        preliminary_page_ip: config.preliminary_page_server_ip.map(|ip| ip.to_string()),
        resource_prefixes: ResourcePrefixes {
            bucket: config.s3_bucket_prefix.clone(),
            iam_user: config.iam_user_prefix.clone(),
        },
        alert_addresses: config.mail.admins.iter().filter_map(|it| address_of(it)).collect(),
        mail: MailSetting {
            from: config.mail.server_email.clone(),
            admins: config.mail.hearers().to_vec(),
            subject_prefix: config.mail.subject_prefix.clone(),
        },
        own_masker: Arc::new(Masker::new(own_secrets.iter().cloned())),
        own_secrets,
    }
}

/// What the variables of all sites take from the configuration.
fn site_wide(config: &Config) -> SiteWideSettings {
    let open = |secret: &Option<Secret>| secret.as_ref().map(|it| it.expose().to_owned());
    let relay = config.instance_smtp_relay.as_ref().map(|relay| SmtpRelay {
        host: relay.host.clone(),
        port: relay.port,
        username: relay.username.clone(),
        password: relay.password.expose().to_owned(),
        sender_domain: relay.sender_domain.clone(),
    });
    SiteWideSettings {
        newrelic_license_key: open(&config.newrelic_license_key).unwrap_or_default(),
        smtp_relay: relay,
        enable_celery_heartbeats: config.edx_workers_enable_celery_heartbeats,
        node_exporter_password: open(&config.sites.node_exporter_password),
        consul_encrypt: open(&config.sites.consul_encrypt).unwrap_or_default(),
        consul_servers: config.sites.consul_servers.clone(),
        filebeat: Filebeat {
            logstash_hosts: config.sites.filebeat.logstash_hosts.clone(),
            ca_cert: config.sites.filebeat.ca_cert.clone(),
            cert: config.sites.filebeat.cert.clone(),
            key: open(&config.sites.filebeat.key).unwrap_or_default(),
            common_fields: config.sites.filebeat.common_prospector_fields.clone(),
        },
        theme_repository: config.sites.theme_repository.clone(),
        theme_version: config.sites.theme_version.clone(),
    }
}

fn common_playbook(config: &Config) -> Option<(Source, String, String)> {
    let repository = config.ansible_appserver_repo.trim();
    if repository.is_empty() {
        return None;
    }
    let source = match repository.strip_prefix("bundled:") {
        Some(name) => Source::Bundled(name.to_owned()),
        None => Source::Git {
            repository: repository.to_owned(),
            version: config.ansible_appserver_version.clone(),
        },
    };
    let playbook = config.ansible_appserver_playbook.clone();
    Some((source, playbook, config.ansible_appserver_requirements_path.clone()))
}

/// What comes every day.
pub(super) fn jobs(config: &Config) -> Vec<Job> {
    let is_done = |job: &Job| config.consul.enabled || !job.tells_others();
    Job::ALL.into_iter().filter(is_done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn no_log_shows_as_whom_clouds_are_asked() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("clouds.yaml");
        let clouds = "clouds: {ovh: {auth: {auth_url: 'https://a.example.com', \
                      application_credential_id: i, application_credential_secret: of-the-file}}}\n";
        std::fs::write(&file, clouds).unwrap();
        let pairs = [
            (
                "OCIM_CLOUDS",
                r#"{"north": {"kind": "openstack", "cloud": "ovh"}, "south": {"kind": "openstack"}}"#,
            ),
            ("OPENSTACK_REGION", "south"),
            ("OS_CLIENT_CONFIG_FILE", file.to_str().unwrap()),
            ("OS_AUTH_URL", "https://b.example.com"),
            ("OS_USERNAME", "u"),
            ("OS_PASSWORD", "of-the-environment"),
            ("OS_PROJECT_NAME", "p"),
        ];
        let variables: BTreeMap<String, String> =
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let config = Config::load_for(&variables, true).unwrap();
        let secrets = own_secrets(&config, &Secret::new("of-all-keys"));
        for secret in ["of-all-keys", "of-the-file", "of-the-environment"] {
            assert!(secrets.iter().any(|it| it == secret), "{secret}");
        }
    }
}
