//! Sites as their visitors see them. Real: [`http`]. Tests: [`fake`].

pub mod fake;
pub mod http;

use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::SocketAddr;
use std::time::Duration;

/// What a site answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteAnswer {
    /// HTTP status.
    pub status: u16,
    /// The first 64 KiB of the body.
    pub body: String,
    /// The `X-Ocim-Appserver` header, if the site sends it.
    pub appserver: Option<String>,
    /// The `Location` header, if the site sends the visitor elsewhere.
    pub location: Option<String>,
    /// `backend/server`: by which a balancer of ours passed the request on, without a server where it
    /// answered by itself; absent where none was in between. No site can say it in its place.
    pub route: Option<String>,
}

/// Asks sites over HTTP as a visitor would.
#[async_trait]
pub trait SiteProbe: Send + Sync + std::fmt::Debug {
    /// One request without redirects; transient when nobody answers within `timeout`.
    async fn request_site(
        &self,
        method: &str,
        to: SocketAddr,
        host: &str,
        path: &str,
        timeout: Duration,
    ) -> Result<SiteAnswer, PortError>;
}
