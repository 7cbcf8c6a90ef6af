//! The metadata of sites in a simulated region.

use super::MetadataStore;
use crate::simulated::SimulatedRegion;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::site_metadata::{SiteMetadata, WrittenMetadata};
use std::collections::BTreeMap;

impl SimulatedRegion {
    /// What a site's part has, by key; nothing where it has none.
    #[must_use]
    pub fn metadata_of(&self, id: &str) -> BTreeMap<String, Vec<u8>> {
        self.lock().metadata.0.get(id).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl MetadataStore for SimulatedRegion {
    fn place(&self) -> String {
        "metadata.invalid".to_owned()
    }

    async fn write_site(
        &self,
        id: &str,
        site: &SiteMetadata,
    ) -> Result<WrittenMetadata, PortError> {
        let call = self.act(id, "write_site").await?;
        let written = self.lock().metadata.write(id, site);
        call.end().await?;
        Ok(written)
    }

    async fn remove_site(&self, id: &str) -> Result<WrittenMetadata, PortError> {
        let call = self.act(id, "remove_site").await?;
        let removed = self.lock().metadata.remove(id);
        call.end().await?;
        Ok(removed)
    }

    async fn list_sites(&self) -> Result<Vec<String>, PortError> {
        self.act("", "list_sites").await?.end().await?;
        Ok(self.lock().metadata.ids())
    }
}
