//! Commands on load balancers: register, and choose one for an instance.

use super::error::AppError;
use super::{App, Caller, Done};
use crate::store::Filter;
use ocim_domain::event::Position;
use ocim_domain::ids::{LoadBalancerId, NAMESPACE};
use ocim_domain::load_balancer::{Command, LoadBalancer, Registration};
use uuid::Uuid;

/// Events read at a time when balancers are looked for.
const PAGE: usize = 1000;

impl App {
    /// Makes a balancer known, or brings what is known of it up to date. Its id follows from its
    /// domain, so registering twice finds the first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn register_load_balancer(
        &self,
        by: &Caller,
        registration: Registration,
    ) -> Result<Done<LoadBalancerId>, AppError> {
        let id = load_balancer_id(&registration.domain);
        let command = Command::Register(registration);
        let executed =
            self.journal.execute::<LoadBalancer>(&id.stream(), &by.metadata(), command).await?;
        Ok(Done { value: id, position: executed.position })
    }

    /// Every balancer that is known, with what is known of it, in order of registration.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_registered_balancers(
        &self,
    ) -> Result<Vec<(LoadBalancerId, Registration)>, AppError> {
        let filter =
            Filter { kinds: vec!["load_balancer.registered".to_owned()], ..Filter::default() };
        let mut balancers = Vec::new();
        let mut after = Position::START;
        loop {
            let (events, position) = self.journal.store().read_all(after, &filter, PAGE).await?;
            let more = events.len() == PAGE;
            for event in events {
                let id = LoadBalancerId(event.stream.id());
                if let Some(known) = self.journal.load::<LoadBalancer>(&id.stream()).await?.state {
                    balancers.push((id, known));
                }
            }
            if !more {
                return Ok(balancers);
            }
            after = position;
        }
    }

    /// What is known of a balancer.
    pub(crate) async fn load_balancer(&self, id: LoadBalancerId) -> Result<Registration, AppError> {
        let loaded = self.journal.load::<LoadBalancer>(&id.stream()).await?;
        loaded.state.ok_or_else(|| AppError::not_found("load balancer", id))
    }
}

/// The balancer's id: the same for the same domain, so that its domain is unique.
#[must_use]
pub fn load_balancer_id(domain: &str) -> LoadBalancerId {
    let name = format!("load_balancer/{}", domain.to_lowercase());
    LoadBalancerId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}
