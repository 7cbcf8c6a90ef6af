//! How the exporter of spans speaks HTTP: by the client library that all of Ocim uses.

use async_trait::async_trait;
use ocim_adapters::http_answers::read_body;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::time::Duration;

/// Longest answer of a collector that is read, in bytes; it says no more than what it has not taken.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A client with a deadline for each request. Its errors show no URL: that may hold a password.
#[derive(Debug)]
pub(super) struct Client(reqwest::Client);

impl Client {
    /// A client whose requests end after `timeout`.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        reqwest::Client::builder().timeout(timeout).build().map(Self)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let mut answer = self.0.execute(request.try_into()?).await?;
        let body = read_body(&mut answer, ANSWER_BYTES_MAX).await?;
        let mut whole = Response::new(Bytes::from(body));
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.send(request).await.map_err(|error| error.without_url().into())
    }
}
