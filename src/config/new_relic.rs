//! New Relic, which watches sites from outside.

use super::reader::Reader;
use super::{Secret, urls};
use ocim_adapters::monitoring::new_relic::DEFAULT_URL;
use std::path::PathBuf;

/// Who watches sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRelicConfig {
    /// `NEWRELIC_ADMIN_USER_API_KEY`: the key of an administrator, with which sites are watched while they
    /// serve. None: nobody watches them.
    pub key: Option<Secret>,
    /// `OCIM_NEWRELIC_URL`: version 1 of the Synthetics API; another one for accounts in Europe.
    /// `https://synthetics.newrelic.com/synthetics/api/v1`.
    pub url: String,
    /// `OCIM_NEWRELIC_CA_FILE`: certificates (PEM) that are believed beside those that the computer
    /// believes, absolute. None.
    pub ca_file: Option<PathBuf>,
}

pub(super) fn read_new_relic(r: &mut Reader<'_>) -> NewRelicConfig {
    let key = r.secret("NEWRELIC_ADMIN_USER_API_KEY");
    if key.as_ref().is_some_and(|key| key.expose().chars().any(|c| !c.is_ascii_graphic())) {
        r.refuse("NEWRELIC_ADMIN_USER_API_KEY", "takes letters, digits and signs alone");
    }
    let url = r.text("OCIM_NEWRELIC_URL", DEFAULT_URL, 500);
    if !urls::is_web_url(&url, &["https"]) && !urls::is_local(&url) {
        r.refuse("OCIM_NEWRELIC_URL", format!("must be a URL like {DEFAULT_URL}, by https"));
    }
    NewRelicConfig { key, url, ca_file: r.path("OCIM_NEWRELIC_CA_FILE") }
}
