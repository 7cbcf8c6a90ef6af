//! What sites have on the servers of a simulated region.

use super::Provisioning;
use super::fake::{Held, among};
use crate::simulated::SimulatedRegion;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Ran, Script, Service};

impl SimulatedRegion {
    /// What all servers have.
    #[must_use]
    pub fn provisioned(&self) -> Held {
        self.lock().provisioned.clone()
    }
}

/// What decides about a call: the thing and where it is.
fn key_of(service: &Service, id: &ItemId) -> String {
    format!("{service}/{}/{}", id.kind.as_str(), id.name)
}

#[async_trait]
impl Provisioning for SimulatedRegion {
    /// Whoever asks may die with one half done.
    async fn ensure(&self, service: &Service, items: &[Item]) -> Result<(), PortError> {
        let Some(first) = items.first() else { return Ok(()) };
        let key = key_of(service, &first.id());
        let call = self.act(&key, "ensure").await?;
        let (half, rest) = items.split_at(items.len() / 2);
        let hold = |items: &[Item]| {
            let held = items.iter().map(|item| ((service.to_string(), item.id()), item.clone()));
            self.lock().provisioned.extend(held);
        };
        hold(half);
        if !half.is_empty() {
            self.crashes.pass(&key, "ensure half").await;
        }
        hold(rest);
        call.end().await
    }

    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError> {
        self.act(&key_of(service, id), "find").await?.end().await?;
        Ok(self.lock().provisioned.contains_key(&(service.to_string(), id.clone())))
    }

    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError> {
        let call = self.act(&key_of(service, id), "remove").await?;
        self.lock().provisioned.remove(&(service.to_string(), id.clone()));
        call.end().await
    }

    async fn find_among(
        &self,
        service: &Service,
        ids: &[ItemId],
    ) -> Result<Vec<ItemId>, PortError> {
        self.act(&service.to_string(), "find_among").await?.end().await?;
        Ok(among(&self.lock().provisioned, service, ids))
    }

    async fn check(&self, service: &Service) -> Result<(), PortError> {
        self.act(&service.to_string(), "check").await?.end().await
    }

    async fn run_script(&self, service: &Service, script: &Script) -> Result<Ran, PortError> {
        let call = self.act(&format!("{service}/script/{}", script.key), "run_script").await?;
        let is_first = self.lock().scripts.insert((service.to_string(), script.key));
        call.end().await?;
        Ok(if is_first { Ran::Now } else { Ran::Before })
    }
}
