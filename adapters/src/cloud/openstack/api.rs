//! Calls of OpenStack's services: with a token that is renewed when it is refused, asked again where that is safe.
//!
//! `osauth` gets tokens, finds services in Keystone's catalog and their versions; requests are sent here,
//! since what is said of how long to wait, and whether a request has left at all, matters.

use super::access::OpenStackAccess;
use super::answers::{Answer, describe_answer, describe_login, refused};
use crate::http_answers::{first_cause, read_body};
use crate::http_service::tls;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use osauth::services::{COMPUTE, IMAGE, NETWORK};
use osauth::{ApiVersion, ErrorKind, Session};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Tries of one call after the first (core §2.3), of those that may be repeated.
const RETRIES_MAX: u32 = 10;
/// Pause before the second try; twice as long before each further one, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Pauses before a call with a new token, where one was refused: none, then a second. Whole seconds are what
/// Keystone revokes by, so that it revokes what it gave in that second, too.
const RENEWALS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(1)];
/// Nothing is tried again when a call has taken so long.
const RETRIES_TIME_MAX: Duration = Duration::from_secs(30);
/// A service that asks for so long at most is waited for; who called is told of a longer wait.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read; a longer one is none.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// The setting that has certificates.
const CA_FILE: &str = "cacert (OS_CACERT)";

/// One of OpenStack's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Nova.
    Compute,
    /// Glance.
    Image,
    /// Neutron.
    Network,
}

impl Service {
    /// What people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Compute => "Nova",
            Self::Image => "Glance",
            Self::Network => "Neutron",
        }
    }
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) service: Service,
    pub(super) method: Method,
    /// The path below the service's version, by its segments.
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(&'a str, String)>,
    pub(super) body: Option<Value>,
    /// Of Nova's microversions, those that do; the newest is asked for that both know.
    pub(super) versions: &'a [ApiVersion],
    /// Whether it changes something.
    pub(super) is_order: bool,
}

impl<'a> Call<'a> {
    fn new(service: Service, method: Method, path: &[&'a str]) -> Self {
        let (is_order, path) = (method != Method::GET, path.to_vec());
        Self { service, method, path, query: vec![], body: None, versions: &[], is_order }
    }

    /// A question.
    pub(super) fn get(service: Service, path: &[&'a str]) -> Self {
        Self::new(service, Method::GET, path)
    }

    /// An order that does something each time.
    pub(super) fn post(service: Service, path: &[&'a str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(service, Method::POST, path) }
    }

    /// A question that is put as an order would be.
    pub(super) fn question(service: Service, path: &[&'a str], body: Value) -> Self {
        Self { is_order: false, ..Self::post(service, path, body) }
    }

    /// An order that something be as it says.
    pub(super) fn put(service: Service, path: &[&'a str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(service, Method::PUT, path) }
    }

    /// An order that something be gone.
    pub(super) fn delete(service: Service, path: &[&'a str]) -> Self {
        Self::new(service, Method::DELETE, path)
    }

    pub(super) fn with_query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn with_versions(self, versions: &'a [ApiVersion]) -> Self {
        Self { versions, ..self }
    }

    /// Whether asking twice is as good as asking once.
    fn is_repeatable(&self) -> bool {
        !self.is_order || self.method != Method::POST
    }
}

/// How one try ended.
enum Tried {
    Answered(Answer),
    /// No token was got, or the service is in no catalog; whether it may be at the next try.
    NoSession(PortError, bool),
    /// Nothing has left.
    Unsent(PortError),
    /// It may have arrived.
    Lost(PortError),
}

/// The services of one OpenStack.
pub(super) struct Api {
    access: OpenStackAccess,
    client: Client,
    /// Keystone's host, as people are told.
    keystone: String,
    /// Longest wait for an answer.
    timeout: Duration,
    /// The token with its catalog, once there is one.
    session: Mutex<Option<Arc<Session>>>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Api {
    /// The services, which are not asked yet. None is waited for longer than `timeout`.
    pub(super) fn new(access: OpenStackAccess, timeout: Duration) -> Result<Self, PortError> {
        let url = Url::parse(&access.auth_url);
        let url = url.map_err(|_| refused("Keystone's URL (auth_url) is no URL"))?;
        let keystone = url.host_str().unwrap_or_default().to_owned();
        let builder = match access.verify {
            true => {
                Client::builder().use_preconfigured_tls(tls(access.ca_file.as_deref(), CA_FILE)?)
            }
            false => Client::builder().danger_accept_invalid_certs(true),
        };
        let client = builder
            // Elsewhere nobody is to learn the token.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .build()
            .map_err(|error| PortError::permanent(ErrorCode::Defect, first_cause(&error)))?;
        Ok(Self { access, client, keystone, timeout, session: Mutex::new(None) })
    }

    /// Keystone's host.
    pub(super) fn keystone(&self) -> &str {
        &self.keystone
    }

    /// What a call is answered, if that is success.
    pub(super) async fn fetch(&self, call: Call<'_>) -> Result<Answer, PortError> {
        let answer = self.ask(&call).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(describe_answer(&call, &answer)),
        }
    }

    /// As [`Api::fetch`]; `None` where what it is about is not there.
    pub(super) async fn find(&self, call: Call<'_>) -> Result<Option<Answer>, PortError> {
        let answer = self.ask(&call).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => Ok(Some(answer)),
            _ => Err(describe_answer(&call, &answer)),
        }
    }

    /// What a call is answered, whatever that is.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<Answer, PortError> {
        let begun = Instant::now();
        let mut renewals = RENEWALS.iter();
        let mut pause = PAUSES.0;
        for retry in 0.. {
            let session = self.log_in().await;
            let tried = match &session {
                Ok(session) => self.try_once(session, call).await,
                Err((error, may_pass)) => Tried::NoSession(error.clone(), *may_pass),
            };
            let may_repeat = retry < RETRIES_MAX && begun.elapsed() < RETRIES_TIME_MAX;
            let mut wait = pause;
            match tried {
                // It was revoked, or somebody's clock is wrong.
                Tried::Answered(answer) if answer.status == StatusCode::UNAUTHORIZED => {
                    if let Ok(session) = &session {
                        self.forget(session).await;
                    }
                    let Some(pause) = renewals.next() else { return Ok(answer) };
                    sleep(*pause).await;
                    continue;
                }
                Tried::Answered(answer) => {
                    // Who is asked too much has done nothing; whoever fails may have done it before.
                    let is_safe = call.is_repeatable() || !answer.status.is_server_error();
                    match answer.wait() {
                        Some(asked) if may_repeat && is_safe && asked <= WAIT_MAX => {
                            wait = asked.max(pause);
                        }
                        None if answer.status.is_server_error() && is_safe && may_repeat => {}
                        _ => return Ok(answer),
                    }
                }
                Tried::NoSession(_, true) | Tried::Unsent(_) if may_repeat => {}
                Tried::Lost(_) if may_repeat && call.is_repeatable() => {}
                Tried::NoSession(error, _) | Tried::Unsent(error) | Tried::Lost(error) => {
                    return Err(error);
                }
            }
            tracing::debug!(service = call.service.name(), retry, "asking OpenStack again");
            sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        Err(PortError::permanent(ErrorCode::Defect, "a call of OpenStack never ended"))
    }

    /// The session, with a token; whether it may be had later, where there is none.
    async fn log_in(&self) -> Result<Arc<Session>, (PortError, bool)> {
        // One asks for all. Who has waited for that as long as for an answer has not got any.
        let Ok(mut kept) = tokio::time::timeout(self.timeout, self.session.lock()).await else {
            let message = format!("Keystone of {} gives no token in time", self.keystone);
            return Err((PortError::transient(message), false));
        };
        if let Some(session) = &*kept {
            return Ok(Arc::clone(session));
        }
        match self.access.log_in(self.client.clone()).await {
            Ok(session) => Ok(Arc::clone(kept.insert(Arc::new(session)))),
            Err(error) => {
                let (error, may_pass) = describe_login(&self.keystone, &error);
                if may_pass && let Some(cause) = self.find_cause().await {
                    let text = format!("Keystone of {} does not answer: {cause}", self.keystone);
                    return Err((PortError::transient(text), may_pass));
                }
                Err((error, may_pass))
            }
        }
    }

    /// Why Keystone can't be reached, if it can't: `osauth` keeps the outermost words alone.
    async fn find_cause(&self) -> Option<String> {
        let asked = self.client.get(self.access.keystone_url()).send().await;
        asked.err().map(|error| first_cause(&error))
    }

    /// Has the next call get another token. `osauth` would keep one that has not expired by its own date.
    async fn forget(&self, stale: &Arc<Session>) {
        let mut kept = self.session.lock().await;
        if kept.as_ref().is_some_and(|session| Arc::ptr_eq(session, stale)) {
            *kept = None;
        }
    }

    async fn try_once(&self, session: &Session, call: &Call<'_>) -> Tried {
        let prepared = match self.prepare(session, call).await {
            Ok(prepared) => prepared,
            Err(error) if error.kind() == ErrorKind::AuthenticationFailed => {
                return Tried::Answered(Answer::refused_token());
            }
            Err(error) => {
                let (error, may_pass) = describe_login(&self.keystone, &error);
                return Tried::NoSession(error, may_pass);
            }
        };
        let failed = |error: reqwest::Error| {
            let place = self.keystone.as_str();
            let name = call.service.name();
            let message = format!("{name} of {place} does not answer: {}", first_cause(&error));
            if error.is_connect() {
                return Tried::Unsent(PortError::transient(message));
            }
            let class = if call.is_order { Class::Ambiguous } else { Class::Transient };
            Tried::Lost(PortError::new(class, message))
        };
        let mut response = match prepared.send().await {
            Ok(response) => response,
            Err(error) => return failed(error),
        };
        let body = match read_body(&mut response, ANSWER_BYTES_MAX).await {
            Ok(body) => body,
            Err(error) => return failed(error),
        };
        let place = response.url().host_str().unwrap_or_default().to_owned();
        let headers = std::mem::take(response.headers_mut());
        Tried::Answered(Answer { status: response.status(), headers, body, place })
    }

    /// The request, with a token and the version that both sides know.
    async fn prepare(
        &self,
        session: &Session,
        call: &Call<'_>,
    ) -> Result<reqwest::RequestBuilder, osauth::Error> {
        let path = &call.path;
        let url = match call.service {
            Service::Compute => session.get_endpoint(COMPUTE, path).await?,
            Service::Image => session.get_endpoint(IMAGE, path).await?,
            Service::Network => session.get_endpoint(NETWORK, path).await?,
        };
        let mut request = self.client.request(call.method.clone(), url);
        if !call.versions.is_empty() {
            let known = session.pick_api_version(COMPUTE, call.versions.iter().copied()).await?;
            if let Some(version) = known {
                // Both forms: Nova learned the second one with 2.27.
                request = request
                    .header("x-openstack-nova-api-version", version.to_string())
                    .header("openstack-api-version", format!("compute {version}"));
            }
        }
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        session.auth_type().authenticate(&self.client, request).await
    }
}
