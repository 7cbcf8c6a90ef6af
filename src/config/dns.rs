//! Where the sites' names are in the DNS, and who may write them there.

use super::reader::Reader;
use super::{Secret, urls};
use ocim_adapters::dns::gandi::{DEFAULT_URL, GandiAccess, GandiKey};
use ocim_adapters::dns::rfc2136::{ALGORITHMS, Rfc2136Access, is_key, is_server};
use ocim_domain::hosts::host_key;
use std::path::PathBuf;

/// Who writes the sites' names into the DNS: a server, or Gandi. Nobody: Ocim lists the records to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// `OCIM_DNS_SERVER`: a DNS server that takes dynamic updates (RFC 2136) and has the sites' zones: a
    /// host, with a port or without. None.
    pub server: Option<String>,
    /// `OCIM_DNS_ZONES`: its zones that names are written into, parted by commas. None.
    pub zones: Vec<String>,
    /// `OCIM_DNS_KEY_NAME`: the name of the key (TSIG) that updates are signed with. None.
    pub key_name: Option<String>,
    /// `OCIM_DNS_KEY_ALGORITHM`: its algorithm: `hmac-sha256`, `hmac-sha384`, `hmac-sha512` or `hmac-sha1`.
    /// `hmac-sha256`.
    pub key_algorithm: String,
    /// `OCIM_DNS_KEY_SECRET`: the key itself, in base64, as `tsig-keygen` prints it. None.
    pub key_secret: Option<Secret>,
    /// `OCIM_GANDI_TOKEN`: a personal access token of Gandi that may manage the sites' domains; goes before
    /// `GANDI_API_KEY`. None.
    pub gandi_token: Option<Secret>,
    /// `GANDI_API_KEY`: a key of Gandi, of the kind that tokens follow. None.
    pub gandi_api_key: Option<Secret>,
    /// `OCIM_GANDI_URL`: version 5 of Gandi's LiveDNS API. `https://api.gandi.net/v5/livedns`.
    pub gandi_url: String,
    /// `OCIM_GANDI_CA_FILE`: certificates (PEM) that are believed beside those that the computer believes,
    /// absolute. None.
    pub gandi_ca_file: Option<PathBuf>,
}

impl DnsConfig {
    /// The server that has the zones, if it is one.
    #[must_use]
    pub fn server_access(&self) -> Option<Rfc2136Access> {
        Some(Rfc2136Access {
            server: self.server.clone()?,
            zones: self.zones.clone(),
            key_name: self.key_name.clone()?,
            algorithm: self.key_algorithm.clone(),
            secret: self.key_secret.as_ref()?.expose().to_owned(),
        })
    }

    /// Gandi, if it has them.
    #[must_use]
    pub fn gandi_access(&self) -> Option<GandiAccess> {
        let key = match (&self.gandi_token, &self.gandi_api_key) {
            (Some(token), _) => GandiKey::Token(token.expose().to_owned()),
            (None, Some(key)) => GandiKey::ApiKey(key.expose().to_owned()),
            (None, None) => return None,
        };
        Some(GandiAccess { url: self.gandi_url.clone(), key, ca_file: self.gandi_ca_file.clone() })
    }

    /// What nobody else is to see.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.key_secret, &self.gandi_token, &self.gandi_api_key].into_iter().flatten()
    }
}

pub(super) fn read_dns(r: &mut Reader<'_>) -> DnsConfig {
    let config = DnsConfig {
        server: r.optional("OCIM_DNS_SERVER").map(str::to_owned),
        zones: r.list("OCIM_DNS_ZONES").iter().map(|zone| read_zone(zone)).collect(),
        key_name: r.optional("OCIM_DNS_KEY_NAME").map(str::to_owned),
        key_algorithm: r.text("OCIM_DNS_KEY_ALGORITHM", ALGORITHMS[0], 20).to_lowercase(),
        key_secret: r.secret("OCIM_DNS_KEY_SECRET"),
        gandi_token: r.secret("OCIM_GANDI_TOKEN"),
        gandi_api_key: r.secret("GANDI_API_KEY"),
        gandi_url: r.text("OCIM_GANDI_URL", DEFAULT_URL, 500),
        gandi_ca_file: r.path("OCIM_GANDI_CA_FILE"),
    };
    check_server(r, &config);
    for (name, secret) in
        [("OCIM_GANDI_TOKEN", &config.gandi_token), ("GANDI_API_KEY", &config.gandi_api_key)]
    {
        if secret.as_ref().is_some_and(|it| it.expose().chars().any(|c| !c.is_ascii_graphic())) {
            r.refuse(name, "takes letters, digits and signs alone");
        }
        if secret.is_some() && config.server.is_some() {
            r.refuse(name, "and OCIM_DNS_SERVER are two: the sites' names are at one of them");
        }
    }
    if !urls::is_web_url(&config.gandi_url, &["https"]) && !urls::is_local(&config.gandi_url) {
        r.refuse("OCIM_GANDI_URL", format!("must be a URL like {DEFAULT_URL}, by https"));
    }
    config
}

/// In lower-case A-labels, without dots around it.
fn read_zone(text: &str) -> String {
    host_key(text.trim_matches('.'))
}

/// What belongs to a server is set together or not at all.
fn check_server(r: &mut Reader<'_>, config: &DnsConfig) {
    let parts = [
        ("OCIM_DNS_ZONES", !config.zones.is_empty()),
        ("OCIM_DNS_KEY_NAME", config.key_name.is_some()),
        ("OCIM_DNS_KEY_SECRET", config.key_secret.is_some()),
    ];
    for (name, is_set) in parts {
        match (&config.server, is_set) {
            (Some(_), false) => r.refuse(name, "must be set where OCIM_DNS_SERVER is"),
            (None, true) => r.refuse(name, "says nothing without OCIM_DNS_SERVER"),
            _ => {}
        }
    }
    if config.server.as_deref().is_some_and(|server| !is_server(server)) {
        r.refuse(
            "OCIM_DNS_SERVER",
            "must be a host, with a port or without, like ns1.example.com or 192.0.2.1:5353",
        );
    }
    let is_name = |name: &String| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        name.split('.').all(|label| (1..=63).contains(&label.len()) && label.chars().all(fits))
    };
    if !config.zones.iter().all(is_name) {
        r.refuse("OCIM_DNS_ZONES", "takes names of zones like example.com, parted by commas");
    }
    if config.key_name.as_ref().is_some_and(|name| !is_name(&read_zone(name))) {
        r.refuse("OCIM_DNS_KEY_NAME", "must be a name of letters, digits, hyphens and dots");
    }
    if !ALGORITHMS.contains(&config.key_algorithm.as_str()) {
        r.refuse("OCIM_DNS_KEY_ALGORITHM", format!("must be one of {}", ALGORITHMS.join(", ")));
    }
    if config.key_secret.as_ref().is_some_and(|secret| !is_key(secret.expose())) {
        r.refuse("OCIM_DNS_KEY_SECRET", "must be in base64, as `tsig-keygen` prints it");
    }
}
