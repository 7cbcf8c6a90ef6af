//! What OpenStack's answers mean: which are refusals, which pass, and for how long one is asked to wait.

use super::api::Call;
use crate::http_service::wait_of;
use chrono::{DateTime, Utc};
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use osauth::ErrorKind;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How much of an answer is told to people.
const TOLD_CHARACTERS_MAX: usize = 300;

/// An answer of one of the services.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The host that answered.
    pub(super) place: String,
}

impl Answer {
    /// What stands for the answer of a service that refused the token when it was asked for its version.
    pub(super) fn refused_token() -> Self {
        let (headers, body, place) = (HeaderMap::new(), vec![], String::new());
        Self { status: StatusCode::UNAUTHORIZED, headers, body, place }
    }

    /// How long it asks to be left alone, where it is asked too much.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => Some(wait_of(&self.headers)),
            // Nova's word for it before there was the other one; it is one for quotas, too.
            StatusCode::PAYLOAD_TOO_LARGE if !self.tells_of_quota() => Some(wait_of(&self.headers)),
            StatusCode::SERVICE_UNAVAILABLE if self.headers.contains_key(RETRY_AFTER) => {
                Some(wait_of(&self.headers))
            }
            _ => None,
        }
    }

    /// What it has.
    pub(super) fn read<T: for<'a> Deserialize<'a>>(&self) -> Result<T, PortError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            PortError::transient(format!("{} answers what is no answer: {error}", self.place))
        })
    }

    /// When it was given, by the clock over there.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
    }

    fn tells_of_quota(&self) -> bool {
        let said = self.said().to_lowercase();
        said.contains("quota") && said.contains("exceeded")
    }

    /// What it says for people: each service wraps it in a name of its own.
    fn said(&self) -> String {
        let parsed = serde_json::from_slice::<Value>(&self.body).ok();
        let message = parsed.as_ref().and_then(|body| {
            let inner = body.as_object()?.values().next()?;
            let message = inner.get("message").or_else(|| body.get("message"))?;
            message.as_str().map(str::to_owned)
        });
        let said = message.unwrap_or_else(|| decode_output(&self.body));
        let said: String = said.trim().chars().take(TOLD_CHARACTERS_MAX).collect();
        if said.is_empty() { "nothing more".to_owned() } else { said }
    }
}

/// What OpenStack can't be asked for as things are there, or as we are configured.
pub(super) fn refused(why: impl Into<String>) -> PortError {
    PortError::permanent(ErrorCode::CloudRefused, why)
}

/// What an answer means that is no success.
pub(super) fn describe_answer(call: &Call<'_>, answer: &Answer) -> PortError {
    let Answer { status, place, .. } = answer;
    let said = answer.said();
    let message = format!("{} of {place} answers {status}: {said}", call.service.name());
    if answer.tells_of_quota() && status.is_client_error() {
        let advice = "have the project's quota raised, or remove what is not needed";
        let error = PortError::new(Class::Conflict, format!("{message}: {advice}"));
        return PortError { code: Some(ErrorCode::QuotaExceeded), ..error };
    }
    // An order that a failing service has answered may have been carried out, whatever it asks for.
    let is_open = call.is_order && status.is_server_error();
    if let Some(wait) = answer.wait()
        && !is_open
    {
        return PortError::new(Class::RateLimited(wait), message);
    }
    match *status {
        StatusCode::UNAUTHORIZED => refused(format!(
            "{} refuses a token that Keystone has just given: look at the region's credentials",
            call.service.name()
        )),
        StatusCode::FORBIDDEN => {
            refused(format!("{message}: the region's credentials do not allow this"))
        }
        StatusCode::CONFLICT => PortError::new(Class::Conflict, message),
        StatusCode::REQUEST_TIMEOUT => PortError::transient(message),
        StatusCode::NOT_IMPLEMENTED => refused(message),
        status if status.is_client_error() => refused(message),
        // It may have done it, or half of it.
        _ if call.is_order => PortError::new(Class::Ambiguous, message),
        _ => PortError::transient(message),
    }
}

/// What it means that there is no token, or no such service, and whether that may pass by itself.
pub(super) fn describe_login(keystone: &str, error: &osauth::Error) -> (PortError, bool) {
    let wrong =
        |advice: &str| (refused(format!("Keystone of {keystone}: {error}: {advice}")), false);
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::AccessDenied => {
            wrong("look at the region's credentials")
        }
        ErrorKind::EndpointNotFound => {
            wrong("look at the region's name, the catalog has no such service there")
        }
        ErrorKind::ResourceNotFound
        | ErrorKind::InvalidConfig
        | ErrorKind::IncompatibleApiVersion => wrong("look at Keystone's URL (auth_url)"),
        // Among them a refusal for asking too much: `osauth` does not tell it from others.
        _ => {
            let message = format!("Keystone of {keystone} gives no token: {error}");
            (PortError::transient(message), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::Service;
    use super::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    #[test]
    fn patience_is_asked_for_by_who_did_nothing_and_an_order_that_failed_may_have_been_done() {
        let class = |call: &Call<'_>, status| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("3"))]);
            let answer = Answer { status, headers, body: vec![], place: "a".to_owned() };
            describe_answer(call, &answer).class
        };
        let path = ["servers"];
        let question = Call::get(Service::Compute, &path);
        let order = Call::post(Service::Compute, &path, json!({}));
        let patience = Class::RateLimited(Duration::from_secs(3));
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::PAYLOAD_TOO_LARGE] {
            assert_eq!(class(&question, status), patience);
            assert_eq!(class(&order, status), patience);
        }
        assert_eq!(class(&question, StatusCode::SERVICE_UNAVAILABLE), patience);
        assert_eq!(class(&order, StatusCode::SERVICE_UNAVAILABLE), Class::Ambiguous);
    }
}
