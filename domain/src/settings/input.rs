//! From what people send to settings: defaults fill what is missing, rules refuse what can't be.

use super::check::{Violation, check_settings};
use super::declare::Origin;
use super::factory::{Purpose, StableDefaults, defaults_for, production_extra_settings};
use super::table::{InstanceSettings, SettingsInput};
use crate::hosts::check_domain;
use derive_where::derive_where;
use serde_json::{Value, json};
use std::fmt;

/// The secrets of a new instance for which people give none.
#[derive(Clone, Default)]
#[derive_where(Debug)]
pub struct NewSecrets {
    /// Base64 of 36 random bytes.
    #[derive_where(skip(Debug))]
    pub master: String,
    /// An RSA private key of 2048 bits in PEM (PKCS #1).
    #[derive_where(skip(Debug))]
    pub signing_key: String,
}

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
    /// Version of edx-platform; blank has it be the release.
    pub edx_platform_commit: String,
    /// Variables that go on top of all computed ones.
    pub configuration_extra_settings: String,
    /// What production instances have instead.
    pub stable: StableDefaults,
    /// `OPENSTACK_REGION`.
    pub openstack_region: String,
    /// `OPENSTACK_SANDBOX_FLAVOR`.
    pub openstack_server_flavor: Value,
    /// `OPENSTACK_SANDBOX_BASE_IMAGE`.
    pub openstack_server_base_image: Value,
    /// `OPENSTACK_SANDBOX_SSH_KEYNAME`; blank for none.
    pub openstack_server_ssh_keyname: String,
    /// `INSTANCE_STORAGE_TYPE`.
    pub storage_type: String,
    /// `SWIFT_OPENSTACK_*`: the account that keeps sites' uploads.
    pub swift: SwiftAccount,
    /// `AWS_S3_DEFAULT_REGION`; blank for the oldest one.
    pub s3_region: String,
}

/// An account of object storage.
#[derive(Clone, Default, PartialEq, Eq)]
#[derive_where(Debug)]
pub struct SwiftAccount {
    /// `SWIFT_OPENSTACK_USER`.
    pub user: String,
    /// `SWIFT_OPENSTACK_PASSWORD`.
    #[derive_where(skip(Debug))]
    pub password: String,
    /// `SWIFT_OPENSTACK_TENANT`.
    pub tenant: String,
    /// `SWIFT_OPENSTACK_AUTH_URL`.
    pub auth_url: String,
    /// `SWIFT_OPENSTACK_REGION`.
    pub region: String,
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
            edx_platform_commit: String::new(),
            configuration_extra_settings: String::new(),
            stable: StableDefaults {
                openedx_release: "open-release/hawthorn.1".to_owned(),
                edx_platform_repository_url: Self::fork_url("edx/edx-platform"),
                edx_platform_commit: "open-release/hawthorn.1".to_owned(),
                configuration_source_repo_url: "https://github.com/edx/configuration.git"
                    .to_owned(),
                configuration_version: "opencraft-release/hawthorn.1".to_owned(),
                openstack_server_flavor: json!({ "ram": 8192, "disk": 80 }),
            },
            openstack_region: openstack_region.into(),
            openstack_server_flavor: json!({ "ram": 4096, "disk": 40 }),
            openstack_server_base_image: json!({ "name": "Ubuntu 16.04" }),
            openstack_server_ssh_keyname: "opencraft".to_owned(),
            storage_type: "swift".to_owned(),
            swift: SwiftAccount::default(),
            s3_region: String::new(),
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
    secrets: &NewSecrets,
) -> Result<InstanceSettings, Vec<Violation>> {
    let mut violations = vec![];
    let purpose = Purpose::of(input.purpose.as_deref().unwrap_or_default());
    let (input, ours) = (over_factory(input, purpose), defaults_for(purpose, defaults));
    let lms = choose_lms_domain(&input, &ours, &mut violations);
    let origin = Origin { ours: &ours, lms_domain: &lms, secrets, subject };
    let mut settings = InstanceSettings::of_origin(&origin);
    let stays = PasswordOfSwift::of(&settings, &input);
    settings.apply(input);
    violations.extend(stays.check(&settings));
    fill_blanks(&mut settings);
    violations.extend(check_settings(&settings));
    // A refused sub-domain leaves the LMS domain blank: one complaint is enough.
    if violations.iter().any(|violation| violation.field == "sub_domain") {
        violations.retain(|violation| violation.field != "internal_lms_domain");
    }
    if violations.is_empty() { Ok(settings) } else { Err(violations) }
}

/// What keeps the password of Swift from being sent anywhere but where it was meant for.
struct PasswordOfSwift {
    auth_url: String,
    is_given: bool,
}

impl PasswordOfSwift {
    fn of(before: &InstanceSettings, input: &SettingsInput) -> Self {
        let auth_url = before.swift_openstack_auth_url.clone();
        Self { auth_url, is_given: input.swift_openstack_password.is_some() }
    }

    fn check(&self, settings: &InstanceSettings) -> Option<Violation> {
        let url = &settings.swift_openstack_auth_url;
        let is_elsewhere = *url != self.auth_url && !url.is_empty();
        let is_blank = settings.swift_openstack_password.open().is_none_or(str::is_empty);
        let rule = "must be given where `swift_openstack_auth_url` changes: another place gets none that it \
                    was not given";
        (is_elsewhere && !self.is_given && !is_blank)
            .then(|| Violation::new("swift_openstack_password", rule))
    }
}

/// What people have said, with their extra settings over those of the purpose.
fn over_factory(mut input: SettingsInput, purpose: Purpose) -> SettingsInput {
    if let (Purpose::Production, Some(given)) = (purpose, &mut input.configuration_extra_settings)
        // What can't be read is told as it was given.
        && let Ok(both) = production_extra_settings(given)
    {
        *given = both;
    }
    input
}

/// The settings after a change. What is left out stays; a playbook name or platform commit set to
/// blank is chosen by the release again.
///
/// # Errors
/// Every rule that is broken, all at once. Once the instance `was_launched`, internal domains and secrets
/// are fixed: databases are called after them, and keys derived from them.
pub fn change_settings(
    current: &InstanceSettings,
    input: SettingsInput,
    was_launched: bool,
) -> Result<InstanceSettings, Vec<Violation>> {
    let mut violations = vec![];
    if input.sub_domain.is_some() {
        violations.push(Violation::new("sub_domain", "can be given at creation only"));
    }
    let mut settings = current.clone();
    let stays = PasswordOfSwift::of(&settings, &input);
    settings.apply(input);
    violations.extend(stays.check(&settings));
    fill_blanks(&mut settings);
    if was_launched {
        violations.extend(current.check_fixed(&settings));
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

/// What is blank and chosen by the release is chosen (core §1.2).
fn fill_blanks(settings: &mut InstanceSettings) {
    if settings.configuration_playbook_name.is_empty() {
        settings.configuration_playbook_name =
            default_playbook_name(&settings.openedx_release).to_owned();
    }
    if settings.edx_platform_commit.is_empty() {
        settings.edx_platform_commit.clone_from(&settings.openedx_release);
    }
}

impl Origin<'_> {
    /// A domain below that of the LMS. Nothing is derived from a wrong one, so that people hear of it
    /// once.
    pub(super) fn below(&self, prefix: &str) -> String {
        let lms = self.lms_domain;
        if check_domain(lms).is_ok() { format!("{prefix}{lms}") } else { String::new() }
    }
}
