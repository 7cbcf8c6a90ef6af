//! The settings of an Instance: what people may change, with the original's names, limits and defaults.

mod check;
mod input;

pub use check::Violation;
pub use input::{Defaults, SettingsInput, change_settings, create_settings, default_playbook_name};

use crate::protected::Protected;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything about one site that an Appserver freezes (spec core §1.2), without servers and accounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceSettings {
    /// Display name, 1–250 characters.
    pub name: String,
    /// The site's own name, unique among all names of all instances and fixed at creation, like
    /// the four that follow.
    pub internal_lms_domain: String,
    /// `DEFAULT_LMS_PREVIEW_DOMAIN_PREFIX` + LMS where none is given.
    pub internal_lms_preview_domain: String,
    /// `DEFAULT_STUDIO_DOMAIN_PREFIX` + LMS where none is given.
    pub internal_studio_domain: String,
    /// `DEFAULT_DISCOVERY_DOMAIN_PREFIX` + LMS where none is given.
    pub internal_discovery_domain: String,
    /// `DEFAULT_ECOMMERCE_DOMAIN_PREFIX` + LMS where none is given.
    pub internal_ecommerce_domain: String,
    /// The customer's own name for the site; blank where there is none.
    pub external_lms_domain: String,
    /// The customer's name for previews; blank where there is none.
    pub external_lms_preview_domain: String,
    /// The customer's name for Studio; blank where there is none.
    pub external_studio_domain: String,
    /// The customer's name for the catalogue; blank where there is none.
    pub external_discovery_domain: String,
    /// The customer's name for the shop; blank where there is none.
    pub external_ecommerce_domain: String,
    /// Adds `studio-`, `preview-`, `discovery-`, `ecommerce-` + internal LMS as redirecting names.
    pub enable_prefix_domains_redirect: bool,
    /// Contact and From address of the site. Personal.
    pub email: Protected,
    /// Release that most components are taken at, ≤ 128 characters.
    pub openedx_release: String,
    /// Where the main playbook comes from, a URL or path git can clone, ≤ 256 characters.
    pub configuration_source_repo_url: String,
    /// Branch, tag or commit of it, ≤ 50 characters.
    pub configuration_version: String,
    /// Path of the main playbook inside the repository; by release where none is given (core §5.6).
    pub configuration_playbook_name: String,
    /// A YAML mapping that goes on top of all computed variables. May hold passwords.
    pub configuration_extra_settings: Protected,
    /// edx-platform's repository, ≤ 256 characters.
    pub edx_platform_repository_url: String,
    /// Branch, tag or commit of edx-platform; the release where none is given.
    pub edx_platform_commit: String,
    /// Region new servers are made in, ≤ 16 characters; names a configured cloud.
    pub openstack_region: String,
    /// Selector of the flavor, e.g. `{"ram": 4096, "disk": 40}`.
    pub openstack_server_flavor: Value,
    /// Selector of the image, e.g. `{"name": "Ubuntu 16.04"}`.
    pub openstack_server_base_image: Value,
    /// Key pair put on the server; none where blank.
    pub openstack_server_ssh_keyname: String,
    /// Further security groups, which must exist, each ≤ 200 characters.
    pub additional_security_groups: Vec<String>,
    /// Further alert recipients. Personal.
    pub additional_monitoring_emails: Vec<Protected>,
    /// Whether the simple theme is deployed.
    pub deploy_simpletheme: bool,
    /// The master secret all derived keys come from: 48 base64 characters (core §5.8).
    pub secret_key_b64encoded: Protected,
}

impl InstanceSettings {
    /// The names of the fields whose values differ, in the order of the struct.
    #[must_use]
    pub fn differing_fields(&self, other: &Self) -> Vec<String> {
        let (Ok(Value::Object(mine)), Ok(Value::Object(theirs))) =
            (serde_json::to_value(self), serde_json::to_value(other))
        else {
            return vec![];
        };
        mine.iter()
            .filter(|(field, value)| theirs.get(*field) != Some(*value))
            .map(|(field, _)| field.clone())
            .collect()
    }
}
