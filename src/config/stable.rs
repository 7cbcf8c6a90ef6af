//! What production instances are made with.

use super::reader::Reader;
use serde_json::{Value, json};

/// Defaults of production instances.
#[derive(Debug, Clone, PartialEq)]
pub struct StableConfig {
    /// `OPENEDX_RELEASE_STABLE_REF`: branch or tag of Open edX, at most 128 characters.
    /// `open-release/hawthorn.1`.
    pub openedx_release: String,
    /// `STABLE_EDX_PLATFORM_REPO_URL`: repository of edx-platform, at most 256 characters. That of
    /// `DEFAULT_FORK`.
    pub edx_platform_repo_url: String,
    /// `STABLE_EDX_PLATFORM_COMMIT`: its branch, tag or commit, at most 256 characters.
    /// `OPENEDX_RELEASE_STABLE_REF`'s value.
    pub edx_platform_commit: String,
    /// `STABLE_CONFIGURATION_REPO_URL`: the main playbook's repository, at most 256 characters.
    /// `DEFAULT_CONFIGURATION_REPO_URL`'s value.
    pub configuration_repo_url: String,
    /// `STABLE_CONFIGURATION_VERSION`: its branch, tag or commit, at most 50 characters.
    /// `opencraft-release/hawthorn.1`.
    pub configuration_version: String,
    /// `OPENSTACK_PRODUCTION_INSTANCE_FLAVOR`: JSON selector of the flavor. `{"ram": 8192, "disk": 80}`.
    pub flavor: Value,
}

pub(super) fn read_stable(
    r: &mut Reader<'_>,
    platform_url: &str,
    configuration_url: &str,
) -> StableConfig {
    let release = r.text("OPENEDX_RELEASE_STABLE_REF", "open-release/hawthorn.1", 128);
    StableConfig {
        edx_platform_repo_url: r.text_or_other("STABLE_EDX_PLATFORM_REPO_URL", platform_url, 256),
        edx_platform_commit: r.text_or_other("STABLE_EDX_PLATFORM_COMMIT", &release, 256),
        openedx_release: release,
        configuration_repo_url: r.text_or_other(
            "STABLE_CONFIGURATION_REPO_URL",
            configuration_url,
            256,
        ),
        configuration_version: r.text(
            "STABLE_CONFIGURATION_VERSION",
            "opencraft-release/hawthorn.1",
            50,
        ),
        flavor: r
            .selector("OPENSTACK_PRODUCTION_INSTANCE_FLAVOR", json!({"ram": 8192, "disk": 80})),
    }
}
