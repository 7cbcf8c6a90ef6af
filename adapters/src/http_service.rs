//! A service that is spoken to in JSON over HTTP, and what its answers mean: whom is believed, how long is waited, how much is read.

use crate::http_answers::{first_cause, read_body};
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Wait before the next question where the service asks for one, but not for how long; and the longest.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_MAX: Duration = Duration::from_secs(300);
/// How much of an answer is read; a longer one is none.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of an answer is told to people.
const TOLD_CHARACTERS_MAX: usize = 300;

/// Who is asked, and what is told of it. Settings are named by their variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// What is wrong where it refuses something.
    pub(crate) refused: ErrorCode,
    /// The setting that has its URL.
    pub(crate) url: &'static str,
    /// The setting that has the key.
    pub(crate) key: &'static str,
    /// The header that the key is sent in.
    pub(crate) key_header: &'static str,
    /// The setting that has the certificates.
    pub(crate) ca_file: &'static str,
}

/// What was answered.
pub(crate) type Answered = (StatusCode, HeaderMap, Vec<u8>);

/// The service at one place.
pub(crate) struct HttpService {
    service: Service,
    client: Client,
    url: Url,
    place: String,
}

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpService").field("place", &self.place).finish_non_exhaustive()
    }
}

impl HttpService {
    /// The service below that URL, which is not asked yet. Beside whom this computer believes it believes the
    /// certificates of the file; whoever does not `verify` believes anybody.
    ///
    /// # Errors
    /// Permanent when the URL or the key can't be one, or the certificates can't be read.
    pub(crate) fn new(
        service: Service,
        url: &str,
        key: Option<&str>,
        ca_file: Option<&Path>,
        verify: bool,
    ) -> Result<Self, PortError> {
        let wrong = |what: String| PortError::permanent(service.refused, what);
        let url = Url::parse(url).map_err(|_| wrong(format!("{} is no URL", service.url)))?;
        let place = url.host_str().ok_or_else(|| wrong(format!("{} has no host", service.url)))?;
        let place = place.to_owned();
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let text = "the key has characters that no header can have";
            let mut key = HeaderValue::from_str(key).map_err(|_| wrong(text.to_owned()))?;
            key.set_sensitive(true);
            headers.insert(HeaderName::from_static(service.key_header), key);
        }
        let builder = match verify {
            true => Client::builder().use_preconfigured_tls(tls(ca_file, service.ca_file)?),
            false => Client::builder().danger_accept_invalid_certs(true),
        };
        let client = builder
            .default_headers(headers)
            // Elsewhere nobody is to learn the key.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| PortError::permanent(ErrorCode::Defect, first_cause(&error)))?;
        Ok(Self { service, client, url, place })
    }

    /// The host name of the service.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Asks, and gives what is answered in time, whatever that is. The path is told by its segments, which
    /// lead nowhere else.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Answered, PortError> {
        self.ask_with(method, path, query, HeaderMap::new(), body).await
    }

    /// As [`HttpService::ask`], with further headers.
    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        headers: HeaderMap,
        body: Option<Value>,
    ) -> Result<Answered, PortError> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| PortError::permanent(ErrorCode::Defect, "the URL can have no path"))?
            .pop_if_empty()
            .extend(path);
        let is_order = !method.is_safe();
        let mut request = self.client.request(method, url).headers(headers);
        if !query.is_empty() {
            request = request.query(query);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let failed = |error: reqwest::Error| {
            let message = format!("{} does not answer: {}", self.place, first_cause(&error));
            // What was not sent has changed nothing.
            let class =
                if is_order && !error.is_connect() { Class::Ambiguous } else { Class::Transient };
            PortError::new(class, message)
        };
        let mut answer = request.send().await.map_err(failed)?;
        let body = read_body(&mut answer, ANSWER_BYTES_MAX).await.map_err(failed)?;
        if body.len() == ANSWER_BYTES_MAX {
            let message = format!("{} answers more than can be read", self.place);
            return Err(PortError::permanent(self.service.refused, message));
        }
        let headers = std::mem::take(answer.headers_mut());
        Ok((answer.status(), headers, body))
    }

    /// What an answer means that is no success.
    pub(crate) fn describe(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> PortError {
        let said: String = decode_output(body).chars().take(TOLD_CHARACTERS_MAX).collect();
        let message = format!("{} answers {status}: {said}", self.place);
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                PortError::new(Class::RateLimited(wait_of(headers)), message)
            }
            StatusCode::REQUEST_TIMEOUT => PortError::transient(message),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => PortError::permanent(
                self.service.refused,
                format!("{message}; {} is refused", self.service.key),
            ),
            status if status.is_client_error() => {
                PortError::permanent(self.service.refused, message)
            }
            _ => PortError::transient(message),
        }
    }

    /// What an answer tells.
    pub(crate) fn read<T: for<'a> Deserialize<'a>>(&self, body: &[u8]) -> Result<T, PortError> {
        serde_json::from_slice(body).map_err(|error| {
            PortError::transient(format!("{} answers what is no answer: {error}", self.place))
        })
    }
}

/// Believes whom this computer believes, and those of the file, which that setting names.
pub(crate) fn tls(ca_file: Option<&Path>, setting: &str) -> Result<ClientConfig, PortError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |error: &dyn std::fmt::Display| {
            let message = format!("{setting} can't be read: {error}");
            PortError::permanent(ErrorCode::Defect, message)
        };
        for certificate in
            CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?
        {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| {
        PortError::permanent(ErrorCode::Defect, ocim_domain::error_chain::chain(&error))
    })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// How long the service asks to be left alone.
pub(crate) fn wait_of(headers: &HeaderMap) -> Duration {
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = after.and_then(|text| text.parse().ok());
    seconds.map_or(PATIENCE, Duration::from_secs).min(PATIENCE_MAX)
}
