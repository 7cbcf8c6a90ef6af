//! The table of an instance's settings, with the original's names, limits and defaults (spec core §1.2).

use super::check::Violation;
use super::declare::{Origin, Setting, declare_settings};
use super::kinds::{
    Boolean, DerivedText, Kind, OptionalText, ProtectedList, ProtectedText, Selector, Text,
    TextList,
};
use super::rules::TextRule::{
    Domain, Email, ExtraSettings, Line, MasterSecret, Playbook, Reference, RepositoryUrl,
};
use serde_json::json;

/// Why an internal domain stays.
const RESERVED: &str = "can't change: the name is reserved for the instance, and its databases are \
                        called after it; use the external domain for another name";

declare_settings! {
    /// Everything about one site that an Appserver freezes, without servers and accounts.
    settings InstanceSettings;

    /// What people may say about an instance. What is left out keeps its default, or its value.
    input SettingsInput {
        /// Short for an `internal_lms_domain` below the base domain, of one label or more; at creation
        /// only.
        sub_domain: Option<String>,
    }

    /// The settings that a change sets, with their new values; the others stay.
    changes SettingsChanges;

    /// Every setting, in order.
    table SETTINGS;

    // Its subject owns what is protected.
    subject secret_key_b64encoded;

    people {
        /// Display name.
        name: Text(Line(250)) { default: |_| "Instance".to_owned(), example: "University" }

        /// The site's LMS: its own name, unique among those of all instances.
        internal_lms_domain: DerivedText(Domain) {
            fixed: RESERVED,
            default: |origin| origin.lms_domain.to_owned(),
            from: "`sub_domain` below `DEFAULT_INSTANCE_BASE_DOMAIN`; one of the two must be given",
            example: "campus.example.org",
        }

        /// Preview of courses that are not published.
        internal_lms_preview_domain: DerivedText(Domain) {
            fixed: RESERVED,
            default: |origin| origin.below(&origin.ours.lms_preview_domain_prefix),
            from: "`DEFAULT_LMS_PREVIEW_DOMAIN_PREFIX` before `internal_lms_domain`",
            example: "drafts.campus.example.org",
        }

        /// Studio, where courses are written.
        internal_studio_domain: DerivedText(Domain) {
            fixed: RESERVED,
            default: |origin| origin.below(&origin.ours.studio_domain_prefix),
            from: "`DEFAULT_STUDIO_DOMAIN_PREFIX` before `internal_lms_domain`",
            example: "authors.campus.example.org",
        }

        /// Discovery, the catalogue of courses.
        internal_discovery_domain: DerivedText(Domain) {
            fixed: RESERVED,
            default: |origin| origin.below(&origin.ours.discovery_domain_prefix),
            from: "`DEFAULT_DISCOVERY_DOMAIN_PREFIX` before `internal_lms_domain`",
            example: "catalogue.campus.example.org",
        }

        /// Ecommerce, the shop.
        internal_ecommerce_domain: DerivedText(Domain) {
            fixed: RESERVED,
            default: |origin| origin.below(&origin.ours.ecommerce_domain_prefix),
            from: "`DEFAULT_ECOMMERCE_DOMAIN_PREFIX` before `internal_lms_domain`",
            example: "shop.campus.example.org",
        }

        /// The customer's own name for the LMS, which visitors see in place of ours.
        external_lms_domain: OptionalText(Domain) {
            default: |_| "".into(),
            example: "courses.university.example",
        }

        /// The customer's own name for the preview.
        external_lms_preview_domain: OptionalText(Domain) {
            default: |_| "".into(),
            example: "preview.university.example",
        }

        /// The customer's own name for Studio.
        external_studio_domain: OptionalText(Domain) {
            default: |_| "".into(),
            example: "studio.university.example",
        }

        /// The customer's own name for Discovery.
        external_discovery_domain: OptionalText(Domain) {
            default: |_| "".into(),
            example: "discovery.university.example",
        }

        /// The customer's own name for Ecommerce.
        external_ecommerce_domain: OptionalText(Domain) {
            default: |_| "".into(),
            example: "shop.university.example",
        }

        /// Adds `studio-`, `preview-`, `discovery-` and `ecommerce-` before `internal_lms_domain` as
        /// names that redirect.
        enable_prefix_domains_redirect: Boolean { default: |_| false, example: true }

        /// Contact and From address of the site.
        email: ProtectedText(Email) {
            default: |origin| origin.ours.email.clone(),
            example: "courses@university.example",
        }

        /// Release that most components are taken at.
        openedx_release: Text(Reference(128)) {
            default: |origin| origin.ours.openedx_release.clone(),
            from: "`DEFAULT_OPENEDX_RELEASE`",
            example: "open-release/hawthorn.1",
        }

        /// Where the main playbook comes from. It is shown and logged.
        configuration_source_repo_url: Text(RepositoryUrl) {
            default: |origin| origin.ours.configuration_source_repo_url.clone(),
            from: "`DEFAULT_CONFIGURATION_REPO_URL`",
            example: "https://git.example.org/configuration.git",
        }

        /// Version of the main playbook's repository.
        configuration_version: Text(Reference(50)) {
            default: |origin| origin.ours.configuration_version.clone(),
            from: "`DEFAULT_CONFIGURATION_VERSION`",
            example: "open-release/hawthorn.1",
        }

        /// Path of the main playbook; blank has it chosen by `openedx_release`.
        configuration_playbook_name: OptionalText(Playbook) {
            default: |_| "".into(),
            from: "`openedx_release`",
            example: "university/site.yml",
        }

        /// Variables that go on top of all computed ones; may hold passwords. Shown to all who may
        /// change it.
        configuration_extra_settings: ProtectedText(ExtraSettings) {
            default: |_| String::new(),
            example: "EDXAPP_LANGUAGE_CODE: de",
        }

        /// Repository of edx-platform. It is shown and logged.
        edx_platform_repository_url: Text(RepositoryUrl) {
            default: |origin| origin.ours.edx_platform_repository_url.clone(),
            from: "`DEFAULT_FORK`",
            example: "https://git.example.org/edx-platform.git",
        }

        /// Version of edx-platform; blank has it be `openedx_release`.
        edx_platform_commit: OptionalText(Reference(256)) {
            default: |_| "".into(),
            from: "`openedx_release`",
            example: "0a1b2c3",
        }

        /// Region of new machines; names a configured cloud.
        openstack_region: Text(Line(16)) {
            default: |origin| origin.ours.openstack_region.clone(),
            from: "`OPENSTACK_REGION`",
            example: "RegionTwo",
        }

        /// Selector of the flavor of new machines.
        openstack_server_flavor: Selector {
            default: |origin| origin.ours.openstack_server_flavor.clone(),
            from: "`OPENSTACK_SANDBOX_FLAVOR`",
            example: json!({ "name": "vps-ssd-2" }),
        }

        /// Selector of the image of new machines.
        openstack_server_base_image: Selector {
            default: |origin| origin.ours.openstack_server_base_image.clone(),
            from: "`OPENSTACK_SANDBOX_BASE_IMAGE`",
            example: json!({ "name": "Ubuntu 18.04" }),
        }

        /// Key pair put on new machines; none where blank.
        openstack_server_ssh_keyname: OptionalText(Line(256)) {
            default: |origin| origin.ours.openstack_server_ssh_keyname.as_str().into(),
            from: "`OPENSTACK_SANDBOX_SSH_KEYNAME`",
            example: "university",
        }

        /// Further security groups of new machines, which must exist.
        additional_security_groups: TextList(Line(200)) {
            default: |_| vec![],
            example: ["university"],
        }

        /// Further recipients of alerts.
        additional_monitoring_emails: ProtectedList(Email) {
            default: |_| vec![],
            example: ["operations@university.example"],
        }

        /// Whether the simple theme is deployed.
        deploy_simpletheme: Boolean { default: |_| false, example: true }
    }

    ocim {
        /// The master secret that all derived keys come from (core §5.8).
        secret_key_b64encoded: ProtectedText(MasterSecret) {
            default: |origin| origin.secret_key.to_owned(),
            example: "T3BlbkNyYWZ0",
        }
    }
}
