//! Where others read what a site is, and who serves it. Real: [`consul`]. Tests: [`fake`], [`simulated`].

pub mod consul;
pub mod fake;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::site_metadata::{SiteMetadata, WrittenMetadata};

/// A tree of keys, with a part for each site.
#[async_trait]
pub trait MetadataStore: Send + Sync + std::fmt::Debug {
    /// The host name of the service.
    fn place(&self) -> String;

    /// Has the site's part tell that: all of it at once, with the next version where it told anything else.
    async fn write_site(&self, id: &str, site: &SiteMetadata)
    -> Result<WrittenMetadata, PortError>;

    /// Takes away all that the site's part has. Absent is success.
    async fn remove_site(&self, id: &str) -> Result<WrittenMetadata, PortError>;

    /// The ids that have a part, whoever made it.
    async fn list_sites(&self) -> Result<Vec<String>, PortError>;
}

impl Answer for WrittenMetadata {}

guarded! { MetadataStore {
    place() -> String;
} {
    write_site(id: &str, site: &SiteMetadata) -> WrittenMetadata, orders Asked::Own;
    remove_site(id: &str) -> WrittenMetadata, orders Asked::Own;
    list_sites() -> Vec<String>, asks Asked::Own;
}}
