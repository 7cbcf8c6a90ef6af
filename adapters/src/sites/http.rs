//! Asks sites over HTTP as a visitor would: a new connection each time, no redirects, no proxies.

use crate::http_answers::{first_cause, read_body};
use crate::sites::{SiteAnswer, SiteProbe};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use reqwest::{Client, Method, Response, Url, header, redirect};
use std::net::SocketAddr;
use std::time::Duration;

/// How much of a body is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Which appserver answered.
const APPSERVER_HEADER: &str = "X-Ocim-Appserver";
/// Whoever sends it is told by our balancers by which way the answer came.
const ROUTE_HEADER: &str = "X-Ocim-Route";

/// A [`SiteProbe`] over real HTTP.
#[derive(Debug, Clone)]
pub struct HttpSiteProbe(Client);

impl HttpSiteProbe {
    /// A probe.
    ///
    /// # Errors
    /// Permanent, when the HTTP client cannot be made.
    pub fn new() -> Result<Self, PortError> {
        Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .map(Self)
            .map_err(|error| {
                PortError::permanent(
                    ErrorCode::Defect,
                    format!("cannot make an HTTP client: {error}"),
                )
            })
    }
}

#[async_trait]
impl SiteProbe for HttpSiteProbe {
    async fn request_site(
        &self,
        method: &str,
        to: SocketAddr,
        host: &str,
        path: &str,
        timeout: Duration,
    ) -> Result<SiteAnswer, PortError> {
        let wrong = |what: &str| {
            PortError::permanent(ErrorCode::InvalidAddress, format!("`{what}` cannot be asked for"))
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong(method))?;
        // Anything else could turn the address into somebody else's.
        if !path.starts_with('/') {
            return Err(wrong(path));
        }
        let url = Url::parse(&format!("http://{to}{path}")).map_err(|_| wrong(path))?;
        let host_value = header::HeaderValue::from_str(host).map_err(|_| wrong(host))?;
        let request = self.0.request(method, url).header(header::HOST, host_value);
        let request = request.header(ROUTE_HEADER, "?");
        // The timeout of the client's own covers the body, too.
        let failed = |error: reqwest::Error| {
            let what = if error.is_timeout() {
                format!("did not answer within {} ms", timeout.as_millis())
            } else {
                format!("does not answer: {}", first_cause(&error))
            };
            PortError::transient(format!("{host} at {to} {what}"))
        };
        let response = request.timeout(timeout).send().await.map_err(failed)?;
        read_answer(response).await.map_err(failed)
    }
}

async fn read_answer(mut response: Response) -> reqwest::Result<SiteAnswer> {
    let status = response.status().as_u16();
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let (appserver, location) = (text(APPSERVER_HEADER), text(header::LOCATION.as_str()));
    let route = text(ROUTE_HEADER);
    let body = read_body(&mut response, BODY_BYTES_MAX).await?;
    let body = decode_output(&body);
    Ok(SiteAnswer { status, body, appserver, location, route })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::port_error::Class;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Answers one connection with `reply` and returns what was asked.
    async fn answer_once(listener: TcpListener, reply: String) -> String {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await.unwrap());
        }
        // The probe may hang up before it has read all of a long body.
        let _ = connection.write_all(reply.as_bytes()).await;
        String::from_utf8(request).unwrap()
    }

    async fn ask(reply: &str) -> (Result<SiteAnswer, PortError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let server = tokio::spawn(answer_once(listener, reply.to_owned()));
        let probe = HttpSiteProbe::new().unwrap();
        let answer = probe.request_site("GET", to, "lms.example.com", "/heartbeat?x=1", PATIENCE);
        (answer.await, server.await.unwrap())
    }

    #[tokio::test]
    async fn it_names_the_host_and_reads_which_appserver_answered_and_by_which_way() {
        let head = "HTTP/1.1 200 OK\r\nx-ocim-appserver: 2\r\nx-ocim-route: be-1/app-2\r\n";
        let (answer, request) = ask(&format!("{head}content-length: 2\r\n\r\nhi")).await;
        let expected = SiteAnswer {
            status: 200,
            body: "hi".into(),
            appserver: Some("2".to_owned()),
            location: None,
            route: Some("be-1/app-2".to_owned()),
        };
        assert_eq!(answer.unwrap(), expected);
        assert!(request.to_lowercase().contains("x-ocim-route: "), "it is asked for: {request}");
        assert!(request.starts_with("GET /heartbeat?x=1 HTTP/1.1\r\n"), "{request}");
        assert_eq!(request.to_lowercase().matches("host: ").count(), 1, "{request}");
        assert!(request.contains("lms.example.com"), "{request}");
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let (answer, _) =
            ask("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.location.as_deref()), (302, Some("/x")));
    }

    #[tokio::test]
    async fn a_long_body_is_cut() {
        let body = "x".repeat(1_000_000);
        let (answer, _) =
            ask(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        assert_eq!(answer.unwrap().body.len(), BODY_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_path_cannot_lead_elsewhere() {
        let probe = HttpSiteProbe::new().unwrap();
        let to = "127.0.0.1:9".parse().unwrap();
        let error = probe.request_site("GET", to, "example.com", "@127.0.0.2/", PATIENCE).await;
        assert_eq!(error.unwrap_err().class, Class::Permanent);
    }

    #[tokio::test]
    async fn silence_and_refusal_are_transient() {
        let probe = HttpSiteProbe::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let timeout = Duration::from_millis(50);
        let silent = probe.request_site("GET", to, "example.com", "/", timeout).await.unwrap_err();
        assert_eq!(silent.class, Class::Transient);
        assert!(silent.message.contains("within 50 ms"), "{silent}");
        drop(listener);
        let refused = probe.request_site("GET", to, "example.com", "/", PATIENCE).await;
        assert_eq!(refused.unwrap_err().class, Class::Transient);
    }
}
