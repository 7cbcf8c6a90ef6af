//! Consul, where others read what sites are.

use super::reader::Reader;
use super::{Secret, urls};
use ocim_adapters::metadata::consul::{DEFAULT_ADDRESS, DEFAULT_PREFIX, check_prefix};
use std::path::PathBuf;

/// Where others read what sites are, and who serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulConfig {
    /// `CONSUL_ENABLED`: whether Consul is told of each site. `false`.
    pub enabled: bool,
    /// `OCIM_ID`: tells this Ocim from others at the same Consul: `{ocim}` of the prefix. `ocim`.
    pub ocim_id: String,
    /// `CONSUL_PREFIX`: below what a site's keys are; it ends in `/{instance}/`, which stands for the
    /// instance's id. `{ocim}/instances/{instance}/`.
    pub prefix: String,
    /// `CONSUL_HTTP_ADDR`: where it is: a host and a port, or a URL; from another computer by https.
    /// `127.0.0.1:8500`.
    pub address: String,
    /// `CONSUL_HTTP_TOKEN`: the token, where it wants one. None.
    pub token: Option<Secret>,
    /// `CONSUL_HTTP_SSL`: whether it is spoken to by https, where its address does not say. `false`.
    pub ssl: bool,
    /// `CONSUL_HTTP_SSL_VERIFY`: whether to see that it is the one that it says it is. `true`.
    pub verify: bool,
    /// `CONSUL_CACERT`: certificates (PEM) that are believed beside those that the computer believes,
    /// absolute. None.
    pub ca_file: Option<PathBuf>,
}

impl ConsulConfig {
    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self.address.split_once("://") {
            Some(_) => self.address.clone(),
            None if self.ssl => format!("https://{}", self.address),
            None => format!("http://{}", self.address),
        }
    }

    /// What is unwise about it.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        (self.enabled && !self.verify).then(|| {
            "CONSUL_HTTP_SSL_VERIFY is off: whoever answers there hears the token, and what opens sites"
                .to_owned()
        })
    }

    /// Below what the keys of each site are; `{instance}` stands for its id.
    #[must_use]
    pub fn own_prefix(&self) -> String {
        self.prefix.replace("{ocim}", &self.ocim_id)
    }
}

pub(super) fn read_consul(r: &mut Reader<'_>) -> ConsulConfig {
    let config = ConsulConfig {
        enabled: r.boolean("CONSUL_ENABLED", false),
        ocim_id: r.text("OCIM_ID", "ocim", 100),
        prefix: r.text("CONSUL_PREFIX", DEFAULT_PREFIX, 300),
        address: r.text("CONSUL_HTTP_ADDR", DEFAULT_ADDRESS, 500),
        token: r.secret("CONSUL_HTTP_TOKEN"),
        ssl: r.boolean("CONSUL_HTTP_SSL", false),
        verify: r.boolean("CONSUL_HTTP_SSL_VERIFY", true),
        ca_file: r.path("CONSUL_CACERT"),
    };
    if !config.enabled {
        return config;
    }
    if !check_prefix(&config.own_prefix()) {
        let text = format!(
            "must be like {DEFAULT_PREFIX}: names of letters, digits, `-`, `_` and `.`, and a slash after \
             each, the first of them not the instance's; what is below it goes with the instance"
        );
        r.refuse("CONSUL_PREFIX", text);
    }
    let url = config.url();
    let is_told_in_clear = !urls::is_web_url(&url, &["https"]) && !urls::is_local(&url);
    if is_told_in_clear || url.contains('@') {
        r.refuse(
            "CONSUL_HTTP_ADDR",
            "must be a host and a port, without a login; on another computer by https (CONSUL_HTTP_SSL): what is told opens sites",
        );
    }
    if config.token.as_ref().is_some_and(|it| it.expose().chars().any(|c| !c.is_ascii_graphic())) {
        r.refuse("CONSUL_HTTP_TOKEN", "takes letters, digits and signs alone");
    }
    config
}
