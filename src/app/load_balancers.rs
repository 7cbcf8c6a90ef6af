//! Commands on load balancers: register, observe, and prepare.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::decider::Decider;
use ocim_domain::event::{Metadata, Position};
use ocim_domain::ids::{LoadBalancerId, NAMESPACE, RunId};
use ocim_domain::load_balancer::{Command, Event, LoadBalancer, Present, Registration, Trouble};
use ocim_domain::saga::Saga;
use ocim_engine::store::Filter;
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
                    balancers.push((id, known.registration));
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
        Ok(self.balancer(id).await?.registration)
    }

    /// A balancer as its events tell.
    pub(crate) async fn balancer(&self, id: LoadBalancerId) -> Result<Present, AppError> {
        let loaded = self.journal.load::<LoadBalancer>(&id.stream()).await?;
        loaded.state.ok_or_else(|| AppError::not_found("load balancer", id))
    }

    /// Records what is not at a balancer as it should be, and asks for a run to put it right, if one
    /// can and none is at it. Returns what that told.
    ///
    /// # Errors
    /// What the store says.
    pub async fn observe_balancer(
        &self,
        id: LoadBalancerId,
        troubles: Vec<Trouble>,
    ) -> Result<Vec<Event>, AppError> {
        let preparation_is_open = self.is_being_prepared(&self.balancer(id).await?).await?;
        let run = RunId(self.journal.new_id());
        let seen = Command::Observe { troubles, preparation_is_open, run };
        let meta = Metadata::by("reconciler");
        Ok(self.journal.execute::<LoadBalancer>(&id.stream(), &meta, seen).await?.events)
    }

    /// Asks to have everything at a balancer as it should be, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, [`AppError::Rejected`] when a run is at it.
    pub async fn prepare_load_balancer(
        &self,
        by: &Caller,
        id: LoadBalancerId,
    ) -> Result<Done<RunId>, AppError> {
        let reason = by.need_reason()?;
        let preparation_is_open = self.is_being_prepared(&self.balancer(id).await?).await?;
        let run = RunId(self.journal.new_id());
        let command = Command::RequestPreparation { preparation_is_open, run, reason };
        let executed =
            self.journal.execute::<LoadBalancer>(&id.stream(), &by.metadata(), command).await?;
        Ok(Done { value: run, position: executed.position })
    }

    /// The balancer that [`App::prepare_load_balancer`] would prepare; nothing is recorded.
    ///
    /// # Errors
    /// As [`App::prepare_load_balancer`].
    pub async fn plan_preparation(
        &self,
        by: &Caller,
        id: LoadBalancerId,
    ) -> Result<Registration, AppError> {
        let reason = by.need_reason()?;
        let known = self.balancer(id).await?;
        let preparation_is_open = self.is_being_prepared(&known).await?;
        let run = RunId(self.journal.new_id());
        let command = Command::RequestPreparation { preparation_is_open, run, reason };
        let registration = known.registration.clone();
        LoadBalancer::decide(&Some(known), command, self.journal.now())
            .map_err(AppError::rejected)?;
        Ok(registration)
    }

    /// Whether the run that was asked for has not ended; it may not have begun.
    async fn is_being_prepared(&self, known: &Present) -> Result<bool, AppError> {
        let Some(run) = known.preparation else { return Ok(false) };
        let run = self.journal.load::<Saga>(&run.stream()).await?.state;
        Ok(run.is_none_or(|run| !run.phase.is_over()))
    }
}

/// The balancer's id: the same for the same domain, so that its domain is unique.
#[must_use]
pub fn load_balancer_id(domain: &str) -> LoadBalancerId {
    let name = format!("load_balancer/{}", domain.to_lowercase());
    LoadBalancerId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}
