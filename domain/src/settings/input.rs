//! From what people send to settings: defaults fill what is missing, rules refuse what can't be.

use super::InstanceSettings;
use super::check::{Violation, check_settings};
use crate::hosts::check_domain;
use crate::names::{Service, internal_domain, internal_field};
use crate::protected::Protected;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::fmt;

/// What an instance gets where people say nothing: Ocim's own settings of these names.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// `DEFAULT_INSTANCE_BASE_DOMAIN`: what a sub-domain is put before.
    pub base_domain: String,
    /// `DEFAULT_LMS_PREVIEW_DOMAIN_PREFIX`.
    pub lms_preview_domain_prefix: String,
    /// `DEFAULT_STUDIO_DOMAIN_PREFIX`.
    pub studio_domain_prefix: String,
    /// `DEFAULT_DISCOVERY_DOMAIN_PREFIX`.
    pub discovery_domain_prefix: String,
    /// `DEFAULT_ECOMMERCE_DOMAIN_PREFIX`.
    pub ecommerce_domain_prefix: String,
    /// Contact address of a site that names none.
    pub email: String,
    /// `DEFAULT_OPENEDX_RELEASE`.
    pub openedx_release: String,
    /// `DEFAULT_CONFIGURATION_REPO_URL`.
    pub configuration_source_repo_url: String,
    /// `DEFAULT_CONFIGURATION_VERSION`.
    pub configuration_version: String,
    /// `DEFAULT_EDX_PLATFORM_REPO_URL`, else made from `DEFAULT_FORK` by [`Defaults::fork_url`].
    pub edx_platform_repository_url: String,
    /// `OPENSTACK_REGION`.
    pub openstack_region: String,
    /// `OPENSTACK_SANDBOX_FLAVOR`.
    pub openstack_server_flavor: Value,
    /// `OPENSTACK_SANDBOX_BASE_IMAGE`.
    pub openstack_server_base_image: Value,
    /// `OPENSTACK_SANDBOX_SSH_KEYNAME`; blank for none.
    pub openstack_server_ssh_keyname: String,
}

impl Defaults {
    /// The original's defaults, and the two that have none.
    #[must_use]
    pub fn new(base_domain: impl Into<String>, openstack_region: impl Into<String>) -> Self {
        Self {
            base_domain: base_domain.into(),
            lms_preview_domain_prefix: "preview.".to_owned(),
            studio_domain_prefix: "studio.".to_owned(),
            discovery_domain_prefix: "discovery.".to_owned(),
            ecommerce_domain_prefix: "ecommerce.".to_owned(),
            email: "contact@example.com".to_owned(),
            openedx_release: "master".to_owned(),
            configuration_source_repo_url: "https://github.com/edx/configuration.git".to_owned(),
            configuration_version: "master".to_owned(),
            edx_platform_repository_url: Self::fork_url("edx/edx-platform"),
            openstack_region: openstack_region.into(),
            openstack_server_flavor: json!({ "ram": 4096, "disk": 40 }),
            openstack_server_base_image: json!({ "name": "Ubuntu 16.04" }),
            openstack_server_ssh_keyname: "opencraft".to_owned(),
        }
    }

    /// Where a fork on GitHub, `<owner>/<repository>`, is cloned from.
    #[must_use]
    pub fn fork_url(fork: &str) -> String {
        format!("https://github.com/{fork}.git")
    }
}

/// The playbook that goes with a release where people name none (core §5.6).
#[must_use]
pub fn default_playbook_name(openedx_release: &str) -> &'static str {
    if ["ginkgo", "hawthorn"].iter().any(|old| openedx_release.contains(old)) {
        "playbooks/edx_sandbox.yml"
    } else {
        "playbooks/openedx_native.yml"
    }
}

/// What people may say about an instance. What is left out keeps its default, or its value.
///
/// The fields mean what those of [`InstanceSettings`] mean.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsInput {
    /// Short for an `internal_lms_domain` below the base domain, of one label or more; at creation
    /// only.
    pub sub_domain: Option<String>,
    pub name: Option<String>,
    pub internal_lms_domain: Option<String>,
    pub internal_lms_preview_domain: Option<String>,
    pub internal_studio_domain: Option<String>,
    pub internal_discovery_domain: Option<String>,
    pub internal_ecommerce_domain: Option<String>,
    pub external_lms_domain: Option<String>,
    pub external_lms_preview_domain: Option<String>,
    pub external_studio_domain: Option<String>,
    pub external_discovery_domain: Option<String>,
    pub external_ecommerce_domain: Option<String>,
    pub enable_prefix_domains_redirect: Option<bool>,
    pub email: Option<String>,
    pub openedx_release: Option<String>,
    pub configuration_source_repo_url: Option<String>,
    pub configuration_version: Option<String>,
    pub configuration_playbook_name: Option<String>,
    pub configuration_extra_settings: Option<String>,
    pub edx_platform_repository_url: Option<String>,
    pub edx_platform_commit: Option<String>,
    pub openstack_region: Option<String>,
    pub openstack_server_flavor: Option<Value>,
    pub openstack_server_base_image: Option<Value>,
    #[serde(deserialize_with = "null_is_blank")]
    pub openstack_server_ssh_keyname: Option<String>,
    pub additional_security_groups: Option<Vec<String>>,
    pub additional_monitoring_emails: Option<Vec<String>>,
    pub deploy_simpletheme: Option<bool>,
}

/// `null` says that there is to be none, as a blank text does.
fn null_is_blank<'de, D: Deserializer<'de>>(given: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(given).map(|text| Some(text.unwrap_or_default()))
}

impl fmt::Debug for SettingsInput {
    /// Names only: e-mail addresses are personal, and extra settings may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsInput")
            .field("sub_domain", &self.sub_domain)
            .field("name", &self.name)
            .field("internal_lms_domain", &self.internal_lms_domain)
            .finish_non_exhaustive()
    }
}

/// The settings of a new instance. `subject` (the text form of its id) owns its secrets.
///
/// # Errors
/// Every rule that is broken, all at once.
pub fn create_settings(
    input: SettingsInput,
    defaults: &Defaults,
    subject: &str,
    secret_key_b64encoded: String,
) -> Result<InstanceSettings, Vec<Violation>> {
    let mut violations = vec![];
    let lms = choose_lms_domain(&input, defaults, &mut violations);
    let settings = apply(input, default_settings(lms, defaults, subject, secret_key_b64encoded));
    violations.extend(check_settings(&settings));
    // A refused sub-domain leaves the LMS domain blank: one complaint is enough.
    if violations.iter().any(|violation| violation.field == "sub_domain") {
        violations.retain(|violation| violation.field != "internal_lms_domain");
    }
    if violations.is_empty() { Ok(settings) } else { Err(violations) }
}

/// The settings after a change. What is left out stays; a playbook name or platform commit set to
/// blank is chosen by the release again.
///
/// # Errors
/// Every rule that is broken, all at once. Internal domains are fixed at creation, because they
/// are reserved for the instance and name its databases.
pub fn change_settings(
    current: &InstanceSettings,
    input: SettingsInput,
) -> Result<InstanceSettings, Vec<Violation>> {
    let mut violations = vec![];
    if input.sub_domain.is_some() {
        violations.push(Violation::new("sub_domain", "can be given at creation only"));
    }
    let settings = apply(input, current.clone());
    for service in Service::ALL {
        if internal_domain(current, service) != internal_domain(&settings, service) {
            let rule = "can't change: the name is reserved for the instance, and its databases \
                        are called after it; use the external domain for another name";
            violations.push(Violation::new(internal_field(service), rule));
        }
    }
    violations.extend(check_settings(&settings));
    if violations.is_empty() { Ok(settings) } else { Err(violations) }
}

/// The LMS domain asked for; blank, with the reason among the violations, where there is none.
fn choose_lms_domain(
    input: &SettingsInput,
    defaults: &Defaults,
    violations: &mut Vec<Violation>,
) -> String {
    match (&input.internal_lms_domain, &input.sub_domain) {
        (Some(domain), None) => domain.clone(),
        (Some(domain), Some(_)) => {
            let rule = "must be left out where `internal_lms_domain` is given";
            violations.push(Violation::new("sub_domain", rule));
            domain.clone()
        }
        (None, Some(sub_domain)) => {
            let domain = format!("{sub_domain}.{}", defaults.base_domain);
            match check_domain(&domain) {
                Ok(()) => domain,
                Err(rule) => {
                    let rule =
                        format!("makes a domain of `{}`, which {rule}", domain.escape_debug());
                    violations.push(Violation::new("sub_domain", rule));
                    String::new()
                }
            }
        }
        (None, None) => String::new(),
    }
}

/// Settings where people said nothing but the LMS domain.
fn default_settings(
    lms: String,
    defaults: &Defaults,
    subject: &str,
    secret_key_b64encoded: String,
) -> InstanceSettings {
    // Nothing is derived from a wrong domain, so that people hear of it once.
    let below = |prefix: &str| {
        if check_domain(&lms).is_ok() { format!("{prefix}{lms}") } else { String::new() }
    };
    InstanceSettings {
        name: "Instance".to_owned(),
        internal_lms_preview_domain: below(&defaults.lms_preview_domain_prefix),
        internal_studio_domain: below(&defaults.studio_domain_prefix),
        internal_discovery_domain: below(&defaults.discovery_domain_prefix),
        internal_ecommerce_domain: below(&defaults.ecommerce_domain_prefix),
        internal_lms_domain: lms,
        external_lms_domain: String::new(),
        external_lms_preview_domain: String::new(),
        external_studio_domain: String::new(),
        external_discovery_domain: String::new(),
        external_ecommerce_domain: String::new(),
        enable_prefix_domains_redirect: false,
        email: Protected::new(subject, defaults.email.clone()),
        openedx_release: defaults.openedx_release.clone(),
        configuration_source_repo_url: defaults.configuration_source_repo_url.clone(),
        configuration_version: defaults.configuration_version.clone(),
        configuration_playbook_name: String::new(),
        configuration_extra_settings: Protected::new(subject, ""),
        edx_platform_repository_url: defaults.edx_platform_repository_url.clone(),
        edx_platform_commit: String::new(),
        openstack_region: defaults.openstack_region.clone(),
        openstack_server_flavor: defaults.openstack_server_flavor.clone(),
        openstack_server_base_image: defaults.openstack_server_base_image.clone(),
        openstack_server_ssh_keyname: defaults.openstack_server_ssh_keyname.clone(),
        additional_security_groups: vec![],
        additional_monitoring_emails: vec![],
        deploy_simpletheme: false,
        secret_key_b64encoded: Protected::new(subject, secret_key_b64encoded),
    }
}

/// `settings` with everything that the input says, and blanks filled as core §1.2 fills them.
fn apply(input: SettingsInput, mut settings: InstanceSettings) -> InstanceSettings {
    apply_domains(&input, &mut settings);
    let subject = settings.secret_key_b64encoded.subject().to_owned();
    let protect = |text: String| Protected::new(subject.clone(), text);
    let protect_all = |texts: Vec<String>| texts.into_iter().map(protect).collect();
    let to = &mut settings;
    set(&mut to.name, input.name);
    set(&mut to.email, input.email.map(protect));
    set(&mut to.openedx_release, input.openedx_release);
    set(&mut to.configuration_source_repo_url, input.configuration_source_repo_url);
    set(&mut to.configuration_version, input.configuration_version);
    set(&mut to.configuration_playbook_name, input.configuration_playbook_name);
    set(&mut to.configuration_extra_settings, input.configuration_extra_settings.map(protect));
    set(&mut to.edx_platform_repository_url, input.edx_platform_repository_url);
    set(&mut to.edx_platform_commit, input.edx_platform_commit);
    set(&mut to.openstack_region, input.openstack_region);
    set(&mut to.openstack_server_flavor, input.openstack_server_flavor);
    set(&mut to.openstack_server_base_image, input.openstack_server_base_image);
    set(&mut to.openstack_server_ssh_keyname, input.openstack_server_ssh_keyname);
    set(&mut to.additional_security_groups, input.additional_security_groups);
    set(&mut to.additional_monitoring_emails, input.additional_monitoring_emails.map(protect_all));
    set(&mut to.deploy_simpletheme, input.deploy_simpletheme);
    if settings.configuration_playbook_name.is_empty() {
        settings.configuration_playbook_name =
            default_playbook_name(&settings.openedx_release).to_owned();
    }
    if settings.edx_platform_commit.is_empty() {
        settings.edx_platform_commit.clone_from(&settings.openedx_release);
    }
    settings
}

/// An internal domain that is given blank is derived like one that is not given.
fn apply_domains(input: &SettingsInput, to: &mut InstanceSettings) {
    let not_blank = |given: &Option<String>| given.clone().filter(|domain| !domain.is_empty());
    set(&mut to.internal_lms_domain, not_blank(&input.internal_lms_domain));
    set(&mut to.internal_lms_preview_domain, not_blank(&input.internal_lms_preview_domain));
    set(&mut to.internal_studio_domain, not_blank(&input.internal_studio_domain));
    set(&mut to.internal_discovery_domain, not_blank(&input.internal_discovery_domain));
    set(&mut to.internal_ecommerce_domain, not_blank(&input.internal_ecommerce_domain));
    set(&mut to.external_lms_domain, input.external_lms_domain.clone());
    set(&mut to.external_lms_preview_domain, input.external_lms_preview_domain.clone());
    set(&mut to.external_studio_domain, input.external_studio_domain.clone());
    set(&mut to.external_discovery_domain, input.external_discovery_domain.clone());
    set(&mut to.external_ecommerce_domain, input.external_ecommerce_domain.clone());
    set(&mut to.enable_prefix_domains_redirect, input.enable_prefix_domains_redirect);
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}
