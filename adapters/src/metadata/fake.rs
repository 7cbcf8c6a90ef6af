//! Sites' metadata in memory.

use super::MetadataStore;
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::site_metadata::{SiteMetadata, WrittenMetadata, read_version};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What each site's part has, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeParts(pub(crate) BTreeMap<String, BTreeMap<String, Vec<u8>>>);

impl FakeParts {
    pub(super) fn write(&mut self, id: &str, site: &SiteMetadata) -> WrittenMetadata {
        let part = self.0.entry(id.to_owned()).or_default();
        let changes = site.changes(part);
        let is_changed = changes.is_some();
        let changes = changes.into_iter().flatten();
        part.extend(changes.map(|(key, value)| (key.to_owned(), value.into_bytes())));
        WrittenMetadata { version: read_version(part).unwrap_or_default(), is_changed }
    }

    pub(super) fn remove(&mut self, id: &str) -> WrittenMetadata {
        WrittenMetadata { version: 0, is_changed: self.0.remove(id).is_some() }
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// The service.
#[derive(Debug, Default)]
pub struct FakeMetadata {
    /// What is to fail, by the names of the port's calls.
    pub faults: Faults,
    parts: Mutex<FakeParts>,
}

impl FakeMetadata {
    /// What a site's part has, by key; nothing where it has none.
    #[must_use]
    pub fn part(&self, id: &str) -> BTreeMap<String, Vec<u8>> {
        self.lock().0.get(id).cloned().unwrap_or_default()
    }

    /// Changes all parts, as somebody may do at the service.
    pub fn change(&self, change: impl FnOnce(&mut BTreeMap<String, BTreeMap<String, Vec<u8>>>)) {
        change(&mut self.lock().0);
    }

    /// The parts as they are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), parts: Mutex::new(self.lock().clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, FakeParts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetadataStore for FakeMetadata {
    fn place(&self) -> String {
        "metadata.example.net".to_owned()
    }

    async fn write_site(
        &self,
        id: &str,
        site: &SiteMetadata,
    ) -> Result<WrittenMetadata, PortError> {
        self.faults.before("write_site").await?;
        let written = self.lock().write(id, site);
        self.faults.after("write_site")?;
        Ok(written)
    }

    async fn remove_site(&self, id: &str) -> Result<WrittenMetadata, PortError> {
        self.faults.before("remove_site").await?;
        let removed = self.lock().remove(id);
        self.faults.after("remove_site")?;
        Ok(removed)
    }

    async fn list_sites(&self) -> Result<Vec<String>, PortError> {
        self.faults.before("list_sites").await?;
        let ids = self.lock().ids();
        self.faults.after("list_sites")?;
        Ok(ids)
    }
}
