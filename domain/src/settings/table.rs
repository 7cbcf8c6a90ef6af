//! The table of an instance's settings, with the original's names, limits and defaults (spec core §1.2).

use super::check::Violation;
use super::declare::{Origin, Setting, declare_settings};
use super::factory::PURPOSES;
use super::kinds::{
    Boolean, DerivedText, HiddenText, Kind, OptionalHiddenText, OptionalText, ProtectedList,
    ProtectedText, Selector, Text, TextList,
};
use super::lms_users::LmsUsers;
use super::rules::TextRule::{
    Color, Domain, Email, ExtraSettings, GithubName, Line, MasterSecret, OneOf, Playbook,
    Reference, RepositoryUrl, SigningKey, WebUrl,
};
use super::storage::STORAGE_TYPES;
use crate::configuration::signing_key;
use serde_json::json;

/// Why a secret stays.
const DERIVED_FROM: &str =
    "can't change once the instance was launched: its keys are derived from it";
/// Why an internal domain stays.
const RESERVED: &str = "can't change once the instance was launched: its databases are called after \
                        it; use the external domain for another name";

declare_settings! {
    /// Everything about one site that an Appserver freezes, without what shared servers it was given.
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

        /// What it is for: `sandbox` or `production`, which has stable releases and larger machines by
        /// default, and is deleted only when somebody is sure.
        purpose: Text(OneOf(&PURPOSES)) { default: |_| "sandbox".to_owned(), example: "production" }

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
            default: |origin| origin.ours.configuration_extra_settings.clone(),
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
            default: |origin| origin.ours.edx_platform_commit.as_str().into(),
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

        /// People whom each deployment makes staff and superusers of the LMS. Their password hashes
        /// are shown as `***`, which leaves them as they are.
        lms_users: LmsUsers {
            default: |_| vec![],
            example: [json!({
                "username": "ada",
                "email": "ada@university.example",
                "password_hash": "pbkdf2_sha256$30000$c2FsdHNhbHQ$aGFzaGhhc2g=",
            })],
        }

        /// GitHub names of people who may log in to the site's machines as administrators, by the keys
        /// that they have there.
        ssh_users: TextList(GithubName) { default: |_| vec![], example: ["octocat"] }

        /// Where uploads, grades and logs are kept: `swift`, `s3`, or `filesystem`, which is the
        /// appserver's own machine, so that they go with it.
        storage_type: Text(OneOf(&STORAGE_TYPES)) {
            default: |origin| origin.ours.storage_type.clone(),
            from: "`INSTANCE_STORAGE_TYPE`",
            example: "s3",
        }

        /// Swift: the account.
        swift_openstack_user: OptionalText(Line(32)) {
            default: |origin| origin.ours.swift.user.as_str().into(),
            from: "`SWIFT_OPENSTACK_USER`",
            example: "university",
        }

        /// Swift: its password.
        swift_openstack_password: OptionalHiddenText(Line(64)) {
            default: |origin| origin.ours.swift.password.as_str().into(),
            from: "`SWIFT_OPENSTACK_PASSWORD`",
            example: "a long password",
        }

        /// Swift: its project.
        swift_openstack_tenant: OptionalText(Line(32)) {
            default: |origin| origin.ours.swift.tenant.as_str().into(),
            from: "`SWIFT_OPENSTACK_TENANT`",
            example: "university",
        }

        /// Swift: where one logs in.
        swift_openstack_auth_url: OptionalText(WebUrl) {
            default: |origin| origin.ours.swift.auth_url.as_str().into(),
            from: "`SWIFT_OPENSTACK_AUTH_URL`",
            example: "https://cloud.example.com:5000/v2.0",
        }

        /// Swift: the region.
        swift_openstack_region: OptionalText(Line(16)) {
            default: |origin| origin.ours.swift.region.as_str().into(),
            from: "`SWIFT_OPENSTACK_REGION`",
            example: "RegionTwo",
        }

        /// S3: the account's access key; blank has an account made.
        s3_access_key: OptionalText(Line(50)) {
            default: |_| "".into(),
            example: "AKIAIOSFODNN7EXAMPLE",
        }

        /// S3: its secret key.
        s3_secret_access_key: OptionalHiddenText(Line(50)) {
            default: |_| "".into(),
            example: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        }

        /// S3: the bucket; blank has one made.
        s3_bucket_name: OptionalText(Line(50)) {
            default: |_| "".into(),
            example: "university-uploads",
        }

        /// S3: the region; blank for `us-east-1`.
        s3_region: OptionalText(Line(50)) {
            default: |origin| origin.ours.s3_region.as_str().into(),
            from: "`AWS_S3_DEFAULT_REGION`",
            example: "eu-west-1",
        }

        /// Whether the simple theme is deployed, with what is said of it below; not, where nothing is.
        deploy_simpletheme: Boolean { default: |_| false, example: true }

        /// Theme: colour of buttons; blank for the usual blue.
        theme_main_color: OptionalText(Color) { default: |_| "".into(), example: "#126f9a" }

        /// Theme: colour of links; blank for the usual blue.
        theme_link_color: OptionalText(Color) { default: |_| "".into(), example: "#126f9a" }

        /// Theme: background of the header; blank for white. Its font is black or white, whichever can
        /// be read.
        theme_header_bg_color: OptionalText(Color) { default: |_| "".into(), example: "#ffffff" }

        /// Theme: background of the footer; blank for white.
        theme_footer_bg_color: OptionalText(Color) { default: |_| "".into(), example: "#ffffff" }

        /// Theme: where the logo is fetched from; blank for none.
        theme_logo_url: OptionalText(WebUrl) {
            default: |_| "".into(),
            example: "https://university.example/logo.png",
        }

        /// Theme: where the favicon is fetched from; blank for none.
        theme_favicon_url: OptionalText(WebUrl) {
            default: |_| "".into(),
            example: "https://university.example/favicon.ico",
        }

        /// The master secret that all derived keys come from, base64; made at random unless it is given,
        /// e.g. that of a site which moves here.
        secret_key_b64encoded: HiddenText(MasterSecret) {
            fixed: DERIVED_FROM,
            default: |origin| origin.secrets.master.clone(),
            from: "random bytes",
            example: "T3BlbkNyYWZ0",
        }

        /// The key that the site signs its tokens with, an RSA private key in PEM (`RSA PRIVATE KEY`);
        /// made at random unless it is given.
        secret_key_rsa_private: HiddenText(SigningKey) {
            fixed: DERIVED_FROM,
            default: |origin| origin.secrets.signing_key.clone(),
            from: "random bytes",
            example: signing_key::EXAMPLE,
        }
    }
}
