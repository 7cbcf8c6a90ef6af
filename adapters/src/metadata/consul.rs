//! Consul's tree of keys and values, by version 1 of its HTTP API (infra §8.3).
//!
//! What changes of a site is written in one transaction, which also sees that nobody else wrote meanwhile,
//! and that nobody holds the lock that operators take by `consul lock` to keep writers out.

use super::MetadataStore;
use crate::http_service::{HttpService, Service};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::site_metadata::{SiteMetadata, VERSION, WrittenMetadata, read_version};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where an agent is on each machine that has one.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8500";
/// Where the sites' parts are: `{ocim}` and `{instance}` stand for `OCIM_ID` and the instance's id.
pub const DEFAULT_PREFIX: &str = "{ocim}/instances/{instance}/";

/// What stands for the instance's id, at the end of every prefix.
const INSTANCE: &str = "{instance}/";
/// The lock of all that write (infra §8.3).
const LOCK: &str = "lock/ocim/.lock";
/// When to come back where somebody holds it.
const LOCKED: Duration = Duration::from_secs(5);
/// Every answer about keys has the first, whether there are any or none; the second where a token may not
/// read some.
const INDEX: &str = "x-consul-index";
const FILTERED: &str = "x-consul-results-filtered-by-acls";
/// What a transaction is told that the token does not allow.
const DENIED: &str = "Permission denied";
/// Where keys are.
const KEYS: [&str; 2] = ["v1", "kv"];

/// What it is called in messages.
const SERVICE: Service = Service {
    refused: ErrorCode::MetadataRefused,
    url: "CONSUL_HTTP_ADDR",
    key: "CONSUL_HTTP_TOKEN",
    key_header: "x-consul-token",
    ca_file: "CONSUL_CACERT",
};

/// Where Consul is, and as whom it is asked.
pub struct ConsulAccess {
    /// Its URL, without a path.
    pub url: String,
    /// The token, where it wants one.
    pub token: Option<String>,
    /// A file of certificates (PEM) that are believed beside those that the computer believes.
    pub ca_file: Option<PathBuf>,
    /// Whether to see that it is the one that it says it is.
    pub verify: bool,
    /// The part of one site; see [`check_prefix`].
    pub prefix: String,
}

impl std::fmt::Debug for ConsulAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsulAccess").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whether it is a part of each site's own, below one that all sites share: what is removed with a site is
/// all that is below its part.
#[must_use]
pub fn check_prefix(prefix: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name =
        |name: &str| !name.is_empty() && !matches!(name, "." | "..") && name.chars().all(is_fit);
    let shared = prefix.strip_suffix(INSTANCE).and_then(|shared| shared.strip_suffix('/'));
    shared.is_some_and(|shared| shared.split('/').all(is_name))
}

/// The service.
#[derive(Debug)]
pub struct Consul {
    service: HttpService,
    /// What all sites' parts are below, with a slash at its end.
    root: String,
}

/// A key, and what it has.
#[derive(Deserialize)]
struct Pair {
    #[serde(rename = "Key")]
    key: String,
    /// In base64; none is none.
    #[serde(rename = "Value", default)]
    value: Option<String>,
    #[serde(rename = "ModifyIndex")]
    index: u64,
    /// Who holds it as a lock.
    #[serde(rename = "Session", default)]
    session: Option<String>,
}

/// What came of a transaction.
#[derive(Deserialize)]
struct Transacted {
    /// None where all of it was done.
    #[serde(rename = "Errors")]
    errors: Option<Vec<Refusal>>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "What", default)]
    what: String,
}

/// What a site's part has, by key, and when it was written last.
#[derive(Default)]
struct Part {
    values: BTreeMap<String, Vec<u8>>,
    indices: BTreeMap<String, u64>,
}

impl Consul {
    /// The service, which is not asked yet.
    ///
    /// # Errors
    /// Permanent when something of the access can't be, or the certificates can't be read.
    pub fn new(access: &ConsulAccess) -> Result<Self, PortError> {
        let ConsulAccess { url, token, ca_file, verify, prefix } = access;
        let root = prefix.strip_suffix(INSTANCE).filter(|_| check_prefix(prefix));
        let root = root.ok_or_else(|| {
            let text = format!("CONSUL_PREFIX must be like {DEFAULT_PREFIX}");
            PortError::permanent(ErrorCode::MetadataRefused, text)
        })?;
        let (token, ca_file) = (token.as_deref(), ca_file.as_deref());
        let service = HttpService::new(SERVICE, url, token, ca_file, *verify)?;
        Ok(Self { service, root: root.to_owned() })
    }

    /// Asks for a key, or for all below it; `None` where there is none.
    async fn read<T: for<'a> Deserialize<'a>>(
        &self,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, PortError> {
        let query: Vec<_> =
            query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let answer = self.service.ask(Method::GET, &path_of(key), &query, None).await?;
        let (status, headers, body) = answer;
        match status {
            StatusCode::NOT_FOUND => self.check_origin(&headers).map(|()| None),
            status if status.is_success() => {
                self.check_origin(&headers)?;
                self.service.read(&body).map(Some)
            }
            status => Err(self.service.describe(status, &headers, &body)),
        }
    }

    /// Refuses what is no answer about keys, or not about all of them: "none" would be taken at its word.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), PortError> {
        let place = self.service.place();
        if !headers.contains_key(INDEX) {
            let text = format!("who answers at {place} is no Consul: see CONSUL_HTTP_ADDR");
            return Err(PortError::transient(text));
        }
        if headers.contains_key(FILTERED) {
            let root = &self.root;
            let text = format!("{place} does not let CONSUL_HTTP_TOKEN read all keys below {root}");
            return Err(PortError::permanent(ErrorCode::MetadataRefused, text));
        }
        Ok(())
    }

    async fn read_part(&self, part: &str) -> Result<Part, PortError> {
        let query = [("recurse", "true"), ("consistent", "true")];
        let pairs: Option<Vec<Pair>> = self.read(part, &query).await?;
        let mut found = Part::default();
        for Pair { key, value, index, .. } in pairs.into_iter().flatten() {
            let Some(name) = key.strip_prefix(part) else { continue };
            let value = BASE64_STANDARD.decode(value.unwrap_or_default()).map_err(|_| {
                PortError::transient(format!("{}: the value of {key} is none", self.place()))
            })?;
            found.values.insert(name.to_owned(), value);
            found.indices.insert(name.to_owned(), index);
        }
        Ok(found)
    }

    /// What a transaction begins with: nobody holds the lock, and nobody takes it meanwhile.
    async fn check_lock(&self) -> Result<Value, PortError> {
        let found: Option<Vec<Pair>> = self.read(LOCK, &[("consistent", "true")]).await?;
        Ok(match found.into_iter().flatten().next() {
            Some(Pair { session: Some(session), .. }) if !session.is_empty() => {
                let message = format!("{}: somebody holds the lock {LOCK}", self.place());
                return Err(PortError::postponed(LOCKED, message));
            }
            Some(Pair { index, .. }) => {
                json!({ "KV": { "Verb": "check-index", "Key": LOCK, "Index": index } })
            }
            None => json!({ "KV": { "Verb": "check-not-exists", "Key": LOCK } }),
        })
    }

    /// Does all of it or nothing.
    async fn transact(&self, operations: Vec<Value>) -> Result<(), PortError> {
        let body = Some(Value::Array(operations));
        let (status, headers, body) =
            self.service.ask(Method::PUT, &["v1", "txn"], &[], body).await?;
        if !status.is_success() && status != StatusCode::CONFLICT {
            // What it says may repeat what was written, which is nobody else's business.
            let said = "it does not take a transaction";
            return Err(self.service.describe(status, &headers, said.as_bytes()));
        }
        let Transacted { errors } = self.service.read(&body)?;
        let errors = errors.unwrap_or_default();
        if errors.iter().any(|error| error.what.contains(DENIED)) {
            let text = format!(
                "{} does not let CONSUL_HTTP_TOKEN write all keys below {} and {LOCK}",
                self.place(),
                self.root
            );
            return Err(PortError::permanent(ErrorCode::MetadataRefused, text));
        }
        if status.is_success() && errors.is_empty() {
            return Ok(());
        }
        let message = format!("{}: somebody else wrote at the same time", self.place());
        Err(PortError::transient(message).blamed_on(Blame::Caller))
    }
}

/// The path of a key, by its segments.
fn path_of(key: &str) -> Vec<&str> {
    KEYS.into_iter().chain(key.split('/')).collect()
}

#[async_trait]
impl MetadataStore for Consul {
    fn place(&self) -> String {
        self.service.place().to_owned()
    }

    async fn write_site(
        &self,
        id: &str,
        site: &SiteMetadata,
    ) -> Result<WrittenMetadata, PortError> {
        let part = format!("{}{id}/", self.root);
        let found = self.read_part(&part).await?;
        let Some(changes) = site.changes(&found.values) else {
            let version = read_version(&found.values).unwrap_or_default();
            return Ok(WrittenMetadata { version, is_changed: false });
        };
        let version = changes[VERSION].parse().unwrap_or_default();
        let writes = changes.into_iter().map(|(key, value)| {
            let index = found.indices.get(key).copied().unwrap_or_default();
            let (key, value) = (format!("{part}{key}"), BASE64_STANDARD.encode(value));
            json!({ "KV": { "Verb": "cas", "Key": key, "Value": value, "Index": index } })
        });
        let operations = std::iter::once(self.check_lock().await?).chain(writes).collect();
        self.transact(operations).await?;
        Ok(WrittenMetadata { version, is_changed: true })
    }

    async fn remove_site(&self, id: &str) -> Result<WrittenMetadata, PortError> {
        let part = format!("{}{id}/", self.root);
        let found: Option<Vec<String>> =
            self.read(&part, &[("keys", "true"), ("consistent", "true")]).await?;
        let is_changed = found.is_some_and(|keys| !keys.is_empty());
        // Also where nothing is seen: a token that may read nothing is not told so, but is refused this.
        let remove = json!({ "KV": { "Verb": "delete-tree", "Key": part } });
        self.transact(vec![self.check_lock().await?, remove]).await?;
        Ok(WrittenMetadata { version: 0, is_changed })
    }

    async fn list_sites(&self) -> Result<Vec<String>, PortError> {
        let query = [("keys", "true"), ("separator", "/"), ("consistent", "true")];
        let parts: Option<Vec<String>> = self.read(&self.root, &query).await?;
        let id = |part: &String| Some(part.strip_prefix(&self.root)?.strip_suffix('/')?.to_owned());
        Ok(parts.into_iter().flatten().filter_map(|part| id(&part)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::check_prefix;

    #[test]
    fn a_prefix_is_a_part_of_each_sites_own_below_one_of_all() {
        for fit in ["ocim/instances/{instance}/", "a/{instance}/", "a.b/c_d/e-f/{instance}/"] {
            assert!(check_prefix(fit), "{fit}");
        }
        for unfit in [
            "",
            "/",
            "{instance}/",
            "/{instance}/",
            "a/{instance}",
            "a{instance}/",
            "a//{instance}/",
            "/a/{instance}/",
            "a/../{instance}/",
            "{ocim}/{instance}/",
            "a/{instance}/b/",
            "ä/{instance}/",
        ] {
            assert!(!check_prefix(unfit), "{unfit}");
        }
    }
}
