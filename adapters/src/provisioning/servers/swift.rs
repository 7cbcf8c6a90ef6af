//! Containers in Swift (infra §5.2), by Keystone's API of version 3 and Swift's own.

use super::{OneServer, among, hide, misplaced, refused};
use crate::http_service::{HttpService, Service as Asked};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::provisioning::{Item, ItemId, Service, SwiftAccount};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use std::net::IpAddr;
use std::path::Path;

const ASKED: Asked = Asked {
    refused: ErrorCode::SharedServerRefused,
    url: "swift_openstack_auth_url",
    key: "the account in `swift_openstack_*`",
    key_header: "x-auth-token",
    ca_file: "OCIM_SHARED_SERVERS_CA_FILE",
};
/// Where Keystone gives out tokens, and what auth URLs end with that lead to one version of it.
const TOKENS: [&str; 3] = ["v3", "auth", "tokens"];
const VERSIONS: [&str; 3] = ["/v2.0", "/v3", "/v2"];
const TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
/// Who may read a container's objects: everybody, by their addresses alone.
const READ_ACL: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-container-read"), HeaderValue::from_static(".r:*"));
/// Every answer of Swift has it.
const TRANSACTION: &str = "x-trans-id";
/// The domain of accounts and projects of the original, which knew of none.
const DOMAIN: &str = "default";
/// Objects that are removed by one call, and how many of them at a time.
const PAGE: usize = 1000;
const AT_A_TIME: usize = 8;

/// One account.
pub(super) struct SwiftStore<'a> {
    pub(super) account: &'a SwiftAccount,
    pub(super) ca_file: Option<&'a Path>,
}

/// A service that is logged in to, or the one that is asked for that.
struct Opened {
    service: HttpService,
    /// What is told of its answers without them, whoever has put them there.
    secrets: Vec<String>,
}

impl Opened {
    fn hide(&self, text: &str) -> String {
        hide(text, self.secrets.iter().map(String::as_str))
    }

    /// As [`HttpService::describe`].
    fn describe(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PortError {
        self.service.describe(status, headers, self.hide(&decode_output(body)).as_bytes())
    }

    /// As [`HttpService::read`].
    fn read<T: for<'a> Deserialize<'a>>(&self, body: &[u8]) -> Result<T, PortError> {
        let hidden = |error: PortError| PortError { message: self.hide(&error.message), ..error };
        self.service.read(body).map_err(hidden)
    }
}

#[derive(Deserialize)]
struct Login {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    catalog: Vec<Offer>,
}

/// A service, and where it is.
#[derive(Deserialize)]
struct Offer {
    r#type: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    url: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
}

/// An object of a container, or what several names begin with, which is never asked for; or a container.
#[derive(Deserialize)]
struct Listed {
    name: String,
}

impl SwiftStore<'_> {
    fn name(&self) -> String {
        Service::Swift(self.account.clone()).to_string()
    }

    /// What is at that URL, which is not asked yet.
    fn reach(&self, url: &str, token: Option<&str>) -> Result<Opened, PortError> {
        if !is_confidential(url) {
            let message = format!(
                "{}: passwords and tokens are sent over https, over http only to this computer, and \
                 not to {url}",
                self.name()
            );
            return Err(PortError::permanent(ErrorCode::SharedServerRefused, message));
        }
        let password = &self.account.password;
        // Also as it stands in the request, which may be sent back.
        let in_json = json!(password).to_string();
        let secrets = [token.unwrap_or_default(), in_json.trim_matches('"'), password];
        let secrets = secrets.map(str::to_owned).to_vec();
        let service = HttpService::new(ASKED, url, token, self.ca_file, true)?;
        Ok(Opened { service, secrets })
    }

    /// Logs in, and gives the account's own place.
    async fn open(&self) -> Result<Opened, PortError> {
        let SwiftAccount { user, password, tenant, auth_url, region } = self.account;
        let url = auth_url.trim_end_matches('/');
        let url = VERSIONS.iter().find_map(|version| url.strip_suffix(version)).unwrap_or(url);
        let keystone = self.reach(url, None)?;
        let domain = json!({ "id": DOMAIN });
        let user = json!({ "name": user, "domain": domain, "password": password });
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "name": tenant, "domain": domain } },
        } });
        let asked = keystone.service.ask(Method::POST, &TOKENS, &[], Some(body)).await;
        // A token that nobody got has changed nothing.
        let (status, headers, answer) = asked.map_err(|error| match error.class {
            Class::Ambiguous => PortError { class: Class::Transient, ..error },
            _ => error,
        })?;
        if !status.is_success() {
            return Err(keystone.describe(status, &headers, &answer));
        }
        let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
        let token = token.ok_or_else(|| {
            let place = keystone.service.place();
            PortError::transient(format!("who answers at {place} is no Keystone"))
        })?;
        let Login { token: Token { catalog } } = keystone.read(&answer)?;
        let is_there = |it: &Endpoint| {
            let regions = [it.region.as_deref(), it.region_id.as_deref()];
            it.interface == "public" && (region.is_empty() || regions.contains(&Some(region)))
        };
        let mut offers = catalog.into_iter().filter(|offer| offer.r#type == "object-store");
        let place = offers.find_map(|offer| offer.endpoints.into_iter().find(is_there));
        let place = place.ok_or_else(|| {
            let said = format!("it has no object store in the region `{region}`");
            refused(&self.name(), &said, &[])
        })?;
        self.reach(&place.url, Some(token))
    }

    /// Whether there is what was asked for; the answer is Swift's own.
    async fn ask(
        &self,
        swift: &Opened,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        extra: HeaderMap,
    ) -> Result<Option<Vec<u8>>, PortError> {
        let asked = swift.service.ask_with(method, path, query, extra, None);
        let (status, headers, answer) = asked.await?;
        if status.is_success() {
            return Ok(Some(answer));
        }
        if !headers.contains_key(TRANSACTION) {
            let text = format!("who answers at {} is no Swift: {status}", swift.service.place());
            return Err(PortError::transient(text));
        }
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(swift.describe(status, &headers, &answer)),
        }
    }

    async fn ensure_container(&self, swift: &Opened, container: &str) -> Result<(), PortError> {
        for method in [Method::POST, Method::PUT] {
            let rights = HeaderMap::from_iter([READ_ACL]);
            if self.ask(swift, method, &[container], &[], rights).await?.is_some() {
                return Ok(());
            }
        }
        Err(PortError::transient(format!("{} has not made {container}", self.name())))
    }

    async fn remove_object(
        &self,
        swift: &Opened,
        container: &str,
        name: String,
    ) -> Result<(), PortError> {
        if !can_be_named(&name) {
            let name = name.escape_debug();
            let said = format!("no URL leads to its object `{name}` in {container}");
            return Err(refused(&self.name(), &said, &[]));
        }
        self.ask(swift, Method::DELETE, &[container, &name], &[], HeaderMap::new()).await.map(drop)
    }

    fn container<'b>(&self, id: &'b ItemId) -> Result<&'b str, PortError> {
        match id.kind {
            Kind::SwiftContainer => Ok(&id.name),
            _ => Err(misplaced(&self.name(), id)),
        }
    }
}

#[async_trait]
impl OneServer for SwiftStore<'_> {
    /// One that is there gets its rights again.
    async fn ensure(&self, items: &[Item]) -> Result<(), PortError> {
        let swift = self.open().await?;
        for item in items {
            let id = item.id();
            self.ensure_container(&swift, self.container(&id)?).await?;
        }
        Ok(())
    }

    async fn find(&self, id: &ItemId) -> Result<bool, PortError> {
        let container = self.container(id)?;
        let swift = self.open().await?;
        let none = HeaderMap::new();
        Ok(self.ask(&swift, Method::HEAD, &[container], &[], none).await?.is_some())
    }

    /// Removes a page of objects, or the container once it has none: whoever looks whether it is gone
    /// asks again.
    async fn remove(&self, id: &ItemId) -> Result<(), PortError> {
        let container = self.container(id)?;
        let swift = self.open().await?;
        let query = [("format", "json".to_owned()), ("limit", PAGE.to_string())];
        let none = HeaderMap::new;
        let listed = self.ask(&swift, Method::GET, &[container], &query, none()).await?;
        let Some(listed) = listed else { return Ok(()) };
        let objects: Vec<Listed> = swift.read(&listed)?;
        if objects.is_empty() {
            return self.ask(&swift, Method::DELETE, &[container], &[], none()).await.map(drop);
        }
        stream::iter(objects)
            .map(|object| self.remove_object(&swift, container, object.name))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn find_among(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, PortError> {
        let swift = self.open().await?;
        let mut names: Vec<String> = vec![];
        loop {
            let marker = names.last().cloned().unwrap_or_default();
            let query =
                [("format", "json".to_owned()), ("limit", PAGE.to_string()), ("marker", marker)];
            let listed = self.ask(&swift, Method::GET, &[], &query, HeaderMap::new()).await?;
            let listed: Vec<Listed> = swift.read(&listed.unwrap_or_else(|| b"[]".to_vec()))?;
            if listed.is_empty() {
                return Ok(among(ids, &[(Kind::SwiftContainer, names)]));
            }
            names.extend(listed.into_iter().map(|it| it.name));
        }
    }

    async fn check(&self) -> Result<(), PortError> {
        let swift = self.open().await?;
        self.ask(&swift, Method::HEAD, &[], &[], HeaderMap::new()).await.map(drop)
    }
}

/// Whether nobody else learns what is sent there: it is encrypted, or does not leave this computer.
fn is_confidential(url: &str) -> bool {
    // What is no URL is told of by whoever opens it.
    let Ok(url) = Url::parse(url) else { return true };
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    url.scheme() == "https" || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Whether a URL can have the name as its last segment. Dots, and none, lead to the container itself; line
/// breaks and tabs are left out of URLs, so that another object would be meant.
fn can_be_named(object: &str) -> bool {
    !matches!(object, "" | "." | "..") && !object.contains(['\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_by_a_url_or_not_at_all() {
        for name in ["a", "...", "a/../b", " ", "%2e", "a\\b", "ü"] {
            assert!(can_be_named(name), "{name:?}");
        }
        for name in ["", ".", "..", "a\nb", ".\n.", "\t", "\r."] {
            assert!(!can_be_named(name), "{name:?}");
        }
    }

    #[test]
    fn secrets_go_in_clear_to_this_computer_alone() {
        for url in ["https://a.example.com", "http://127.0.0.1:5000/v3", "http://[::1]", "none"] {
            assert!(is_confidential(url), "{url}");
        }
        for url in ["http://a.example.com", "http://192.0.2.7:5000", "http://localhost.example.com"]
        {
            assert!(!is_confidential(url), "{url}");
        }
    }
}
