//! Virtual hosts and users on a RabbitMQ server, by its management API (infra §4.2).

use super::{OneServer, among, misplaced, refused};
use crate::http_service::{HttpService, Service as Asked};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Server, Service};
use ocim_domain::saga::ErrorCode;
use ocim_domain::shared_server::Rabbitmq;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

const ASKED: Asked = Asked {
    refused: ErrorCode::SharedServerRefused,
    url: "the URL of the RabbitMQ server's API",
    key: "the account of the RabbitMQ server",
    key_header: "authorization",
    ca_file: "OCIM_SHARED_SERVERS_CA_FILE",
};
/// What a user may do in its virtual host: everything.
const EVERYTHING: &str = ".*";
/// The tag of those who may do all of this.
const ADMINISTRATOR: &str = "administrator";
/// How the API says that there is no such thing; whoever else answers at its place says it otherwise.
const NOT_FOUND: &str = "Object Not Found";

/// One server.
pub(super) struct RabbitmqServer<'a> {
    pub(super) server: &'a Server<Rabbitmq>,
    pub(super) ca_file: Option<&'a Path>,
}

/// Who is logged in.
#[derive(Deserialize)]
struct WhoAmI {
    /// A list; a text with commas in older versions.
    tags: Value,
}

/// A virtual host, or a user.
#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
}

impl RabbitmqServer<'_> {
    fn name(&self) -> String {
        Service::Rabbitmq(self.server.clone()).to_string()
    }

    fn open(&self) -> Result<HttpService, PortError> {
        let Server { address, username, password } = self.server;
        let login = BASE64_STANDARD.encode(format!("{username}:{password}"));
        let login = format!("Basic {login}");
        HttpService::new(ASKED, &address.api_url, Some(&login), self.ca_file, true)
    }

    /// Asks below `api`; gives the body, or nothing where there is no such thing. The path is told by its
    /// segments, of which each is encoded: the slash of a virtual host is `%2F`.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Option<Vec<u8>>, PortError> {
        let service = self.open()?;
        let path: Vec<_> = ["api"].into_iter().chain(path.iter().copied()).collect();
        let (status, headers, answer) = service.ask(method, &path, &[], body).await?;
        if status.is_success() {
            return Ok(Some(answer));
        }
        let said = serde_json::from_slice::<Refusal>(&answer);
        if status == StatusCode::NOT_FOUND {
            return match said {
                Ok(Refusal { error }) if error == NOT_FOUND => Ok(None),
                _ => {
                    let text = format!("who answers at {} is no RabbitMQ", service.place());
                    Err(PortError::transient(text))
                }
            };
        }
        Err(service.describe(status, &headers, &answer))
    }

    /// As [`RabbitmqServer::ask`], of what must be there.
    async fn order(&self, path: &[&str], body: Value) -> Result<(), PortError> {
        match self.ask(Method::PUT, path, Some(body)).await? {
            Some(_) => Ok(()),
            None => {
                Err(PortError::transient(format!("the {} does not know {path:?}", self.name())))
            }
        }
    }

    /// The names of all that are in a list of the API.
    async fn names(&self, list: &str) -> Result<Vec<String>, PortError> {
        let answer = self.ask(Method::GET, &[list], None).await?.unwrap_or_default();
        let listed: Vec<Named> = self.open()?.read(&answer)?;
        Ok(listed.into_iter().map(|it| it.name).collect())
    }

    fn path_of<'b>(&self, id: &'b ItemId) -> Result<[&'b str; 2], PortError> {
        match id.kind {
            Kind::RabbitmqVhost => Ok(["vhosts", &id.name]),
            Kind::RabbitmqUser => Ok(["users", &id.name]),
            _ => Err(misplaced(&self.name(), id)),
        }
    }
}

#[async_trait]
impl OneServer for RabbitmqServer<'_> {
    /// Users have no tags: those let people into the management API. In the original each had its own
    /// name for one.
    async fn ensure(&self, items: &[Item]) -> Result<(), PortError> {
        for item in items {
            match item {
                Item::RabbitmqVhost(name) => self.order(&["vhosts", name], json!({})).await?,
                Item::RabbitmqUser { user, password, vhost } => {
                    let login = json!({ "password": password, "tags": "" });
                    self.order(&["users", user], login).await?;
                    let all = EVERYTHING;
                    let rights = json!({ "configure": all, "write": all, "read": all });
                    self.order(&["permissions", vhost, user], rights).await?;
                }
                other => return Err(misplaced(&self.name(), &other.id())),
            }
        }
        Ok(())
    }

    async fn find(&self, id: &ItemId) -> Result<bool, PortError> {
        let found = self.ask(Method::GET, &self.path_of(id)?, None).await?;
        Ok(found.is_some())
    }

    async fn remove(&self, id: &ItemId) -> Result<(), PortError> {
        self.ask(Method::DELETE, &self.path_of(id)?, None).await.map(drop)
    }

    async fn find_among(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, PortError> {
        let (vhosts, users) = (self.names("vhosts").await?, self.names("users").await?);
        Ok(among(ids, &[(Kind::RabbitmqVhost, vhosts), (Kind::RabbitmqUser, users)]))
    }

    async fn check(&self) -> Result<(), PortError> {
        let answer = self.ask(Method::GET, &["whoami"], None).await?.unwrap_or_default();
        let WhoAmI { tags } = self.open()?.read(&answer)?;
        let is_it = |tag: &str| tag.trim() == ADMINISTRATOR;
        let may_administer = match &tags {
            Value::String(tags) => tags.split(',').any(is_it),
            Value::Array(tags) => tags.iter().filter_map(Value::as_str).any(is_it),
            _ => false,
        };
        if may_administer {
            return Ok(());
        }
        let said = format!(
            "the user `{}` has not the tag `{ADMINISTRATOR}`, which one needs to make others",
            self.server.username
        );
        Err(refused(&self.name(), &said, &[]))
    }
}
