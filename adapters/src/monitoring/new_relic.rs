//! New Relic Synthetics, by version 1 of its REST API (infra §8.1).
//!
//! The only version whose monitors write mail by themselves. An account may ask three times a second, so
//! that questions are put one after the other, with a pause between them.

use super::{Monitor, Monitoring};
use crate::cloud::is_simulated;
use crate::http_service::{Answered, HttpService, Service, wait_of};
use async_trait::async_trait;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Where the API of accounts in the United States is.
pub const DEFAULT_URL: &str = "https://synthetics.newrelic.com/synthetics/api/v1";

/// Pause between two questions: the account has three a second.
const PAUSE: Duration = Duration::from_millis(400);
/// Monitors asked for at a time. The manual of this version has no word of pages: who gives all at once is
/// taken at that.
const PAGE: usize = 100;
/// Longest id that is kept (infra §8.1).
const ID_CHARACTERS_MAX: usize = 256;
/// From where pages are asked.
const LOCATION_ASKED: &str = "AWS_US_EAST_1";
/// How often, in minutes.
const FREQUENCY: u32 = 5;
/// What it is called in messages.
const SERVICE: Service = Service {
    refused: ErrorCode::MonitoringRefused,
    url: "OCIM_NEWRELIC_URL",
    key: "NEWRELIC_ADMIN_USER_API_KEY",
    key_header: "x-api-key",
    ca_file: "OCIM_NEWRELIC_CA_FILE",
};
/// What one is that asks and writes, and one that only asks. Others do neither.
const ENABLED: &str = "ENABLED";
const MUTED: &str = "MUTED";

/// Where the service is, and as whom it is asked.
pub struct NewRelicAccess {
    /// The API, up to and with its version.
    pub url: String,
    /// The key of an administrator.
    pub key: String,
    /// A file of certificates (PEM) that are believed beside those that the computer believes.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for NewRelicAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewRelicAccess").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The service.
#[derive(Debug)]
pub struct NewRelic {
    service: HttpService,
    next: Mutex<Instant>,
}

/// What is read of a monitor.
#[derive(Debug, Clone, Deserialize)]
struct MonitorBody {
    id: String,
    name: String,
    /// Those that run scripts have none.
    #[serde(default)]
    uri: String,
    status: String,
}

#[derive(Deserialize)]
struct Page {
    monitors: Vec<MonitorBody>,
}

#[derive(Deserialize)]
struct Notifications {
    #[serde(default)]
    emails: Vec<String>,
}

impl MonitorBody {
    fn shown(self) -> Monitor {
        let is_muted = self.status == MUTED;
        Monitor { id: self.id, name: self.name, url: self.uri, is_muted }
    }
}

impl NewRelic {
    /// The service, which is not asked yet.
    ///
    /// # Errors
    /// Permanent when the URL or the key can't be one, or the certificates can't be read.
    pub fn new(access: &NewRelicAccess) -> Result<Self, PortError> {
        let (key, ca_file) = (Some(access.key.as_str()), access.ca_file.as_deref());
        let service = HttpService::new(SERVICE, &access.url, key, ca_file, true)?;
        Ok(Self { service, next: Mutex::new(Instant::now()) })
    }

    /// Asks in its turn, and gives what is answered in time, whatever that is.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Answered, PortError> {
        self.wait_for_turn().await;
        let (status, headers, body) = self.service.ask(method, path, query, body).await?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            // Nobody else asks before that.
            *self.next.lock().await = Instant::now() + wait_of(&headers);
        }
        Ok((status, headers, body))
    }

    /// As [`NewRelic::ask`]; what is no success is an error, but for what is not there.
    async fn ask_for(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Option<(HeaderMap, Vec<u8>)>, PortError> {
        let (status, headers, body) = self.ask(method, path, query, body).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some((headers, body))),
            status => Err(self.service.describe(status, &headers, &body)),
        }
    }

    /// Waits until the next question may be put.
    async fn wait_for_turn(&self) {
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + PAUSE;
    }

    /// A monitor, read as that type; `None` where there is none.
    async fn read_as<T: for<'a> Deserialize<'a>>(&self, id: &str) -> Result<Option<T>, PortError> {
        let found = self.ask_for(Method::GET, &["monitors", id], &[], None).await?;
        found.map(|(_, body)| self.service.read(&body)).transpose()
    }

    fn no_monitors(&self) -> PortError {
        let text = format!(
            "{} has no monitors at all: OCIM_NEWRELIC_URL leads elsewhere",
            self.service.place()
        );
        PortError::permanent(ErrorCode::MonitoringRefused, text)
    }

    fn gone(&self, id: &str) -> PortError {
        PortError::new(Class::Conflict, format!("{} has no monitor {id}", self.service.place()))
    }
}

/// Whether it can be an id, and leads nowhere else in a path.
fn is_id(text: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= ID_CHARACTERS_MAX && text.chars().all(is_fit)
}

#[async_trait]
impl Monitoring for NewRelic {
    fn place(&self) -> String {
        self.service.place().to_owned()
    }

    fn may_watch(&self, address: IpAddr) -> bool {
        !address.is_loopback() && !is_simulated(address)
    }

    async fn find_monitors(&self, names: &[String]) -> Result<Vec<Monitor>, PortError> {
        let mut found: Vec<Monitor> = vec![];
        let mut seen = BTreeSet::new();
        loop {
            let query = [("limit", PAGE.to_string()), ("offset", seen.len().to_string())];
            let answer = self.ask_for(Method::GET, &["monitors"], &query, None).await?;
            let (_, body) = answer.ok_or_else(|| self.no_monitors())?;
            let Page { monitors } = self.service.read(&body)?;
            let count = monitors.len();
            let before = seen.len();
            for monitor in monitors {
                if seen.insert(monitor.id.clone()) && names.contains(&monitor.name) {
                    found.push(monitor.shown());
                }
            }
            if count != PAGE {
                return Ok(found);
            }
            if seen.len() == before {
                let text = format!(
                    "{} lists no more than its first {PAGE} monitors",
                    self.service.place()
                );
                return Err(PortError::permanent(ErrorCode::MonitoringRefused, text));
            }
        }
    }

    async fn create_monitor(
        &self,
        name: &str,
        url: &str,
        is_muted: bool,
    ) -> Result<String, PortError> {
        let body = json!({
            "name": name,
            "uri": url,
            "type": "SIMPLE",
            "frequency": FREQUENCY,
            "locations": [LOCATION_ASKED],
            "status": if is_muted { MUTED } else { ENABLED },
        });
        let made = self.ask_for(Method::POST, &["monitors"], &[], Some(body)).await?;
        let (headers, _) = made.ok_or_else(|| self.no_monitors())?;
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let id = location.and_then(|location| location.trim_end_matches('/').rsplit('/').next());
        id.filter(|id| is_id(id)).map(str::to_owned).ok_or_else(|| {
            // It may be there: whoever looks finds it by its name.
            let message =
                format!("{} does not say what it calls the new monitor", self.service.place());
            PortError::new(Class::Ambiguous, message)
        })
    }

    async fn read_monitor(&self, id: &str) -> Result<Option<Monitor>, PortError> {
        Ok(self.read_as::<MonitorBody>(id).await?.map(MonitorBody::shown))
    }

    async fn mute_monitor(&self, id: &str, is_muted: bool) -> Result<(), PortError> {
        // A change says all again that there is.
        let mut whole: Value = self.read_as(id).await?.ok_or_else(|| self.gone(id))?;
        let (from, to) = if is_muted { (ENABLED, MUTED) } else { (MUTED, ENABLED) };
        let members = whole.as_object_mut().filter(|members| members.contains_key("status"));
        let members = members.ok_or_else(|| {
            PortError::transient(format!("{} answers what is no monitor", self.service.place()))
        })?;
        if members["status"] != from {
            return Ok(());
        }
        members.insert("status".to_owned(), to.into());
        for made_there in ["id", "userId", "apiVersion", "createdAt", "modifiedAt"] {
            members.remove(made_there);
        }
        let done = self.ask_for(Method::PUT, &["monitors", id], &[], Some(whole)).await?;
        done.map(|_| ()).ok_or_else(|| self.gone(id))
    }

    async fn remove_monitor(&self, id: &str) -> Result<(), PortError> {
        self.ask_for(Method::DELETE, &["monitors", id], &[], None).await.map(|_| ())
    }

    async fn list_recipients(&self, id: &str) -> Result<Option<Vec<String>>, PortError> {
        let path = ["monitors", id, "notifications"];
        let found = self.ask_for(Method::GET, &path, &[], None).await?;
        let found = found.map(|(_, body)| self.service.read::<Notifications>(&body)).transpose()?;
        Ok(found.map(|found| found.emails))
    }

    async fn add_recipients(&self, id: &str, addresses: &[String]) -> Result<(), PortError> {
        let body = json!({ "count": addresses.len(), "emails": addresses });
        let path = ["monitors", id, "notifications"];
        let (status, headers, _) = self.ask(Method::POST, &path, &[], Some(body)).await?;
        match status {
            StatusCode::NOT_FOUND => Err(self.gone(id)),
            status if status.is_success() => Ok(()),
            // What it says may quote the addresses, which are nobody else's business.
            status => Err(self.service.describe(status, &headers, b"it does not take an address")),
        }
    }
}
