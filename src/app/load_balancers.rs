//! Commands on load balancers: register, edit, retire, observe, and prepare.

use super::error::{AppError, Violation};
use super::{App, Caller, Done};
use ocim_domain::decider::Decider;
use ocim_domain::event::{Metadata, Position};
use ocim_domain::ids::{InstanceId, LoadBalancerId, NAMESPACE, RunId};
use ocim_domain::instance::{self, Instance};
use ocim_domain::load_balancer::{
    Command, Event, LoadBalancer, Present, Registration, Rejected, Trouble,
};
use ocim_domain::saga::Saga;
use ocim_engine::journal::JournalError;
use ocim_engine::store::Filter;
use std::collections::BTreeSet;
use uuid::Uuid;

/// How often a change is computed anew because somebody else wrote first.
const CHANGES_MAX: usize = 16;
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

    /// Makes a balancer known that people have set up, under a name of its fragments that nobody else has
    /// there. HAProxy and our program are put there by the run that finds them missing.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every broken rule; [`AppError::NamesTaken`] when a balancer that is not
    /// retired has the domain.
    pub async fn add_load_balancer(
        &self,
        by: &Caller,
        mut registration: Registration,
    ) -> Result<Done<LoadBalancerId>, AppError> {
        registration.domain = registration.domain.trim().to_lowercase();
        let id = load_balancer_id(&registration.domain);
        let (stream, meta) = (id.stream(), by.metadata());
        if let Some(executed) = self.journal.find_executed::<LoadBalancer>(&stream, &meta).await? {
            return Ok(Done { value: id, position: executed.position });
        }
        check(&registration)?;
        let known = self.journal.load::<LoadBalancer>(&stream).await?.state;
        if known.is_some_and(|known| !known.is_retired) {
            let rule = format!("is that of the load balancer {id} already");
            return Err(AppError::NamesTaken(vec![Violation { field: "domain".to_owned(), rule }]));
        }
        registration.fragment_name_prefix.clone_from(&self.setting.fragment_name_prefix);
        registration.fragment_name_postfix = self.new_fragment_postfix();
        let command = Command::Register(registration);
        let executed = self.journal.execute_once::<LoadBalancer>(&stream, &meta, command).await?;
        Ok(Done { value: id, position: executed.position })
    }

    /// As the original: a 32-bit number in hexadecimal, not padded (infra §1.1).
    #[must_use]
    pub fn new_fragment_postfix(&self) -> String {
        let mut postfix = [0; 4];
        self.journal.fill_random(&mut postfix);
        format!("{:x}", u32::from_be_bytes(postfix))
    }

    /// Changes what is known of a balancer, as `edit` changes it; its domain, and what its fragments are
    /// called by, stay.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Invalid`] with every broken rule, [`AppError::Rejected`] when
    /// it is retired.
    pub async fn edit_load_balancer(
        &self,
        by: &Caller,
        id: LoadBalancerId,
        edit: impl Fn(&mut Registration),
    ) -> Result<Done<()>, AppError> {
        let (stream, meta) = (id.stream(), by.metadata());
        for _ in 0..CHANGES_MAX {
            let loaded = self.journal.load::<LoadBalancer>(&stream).await?;
            let known =
                loaded.state.as_ref().ok_or_else(|| AppError::not_found("load balancer", id))?;
            if known.is_retired {
                return Err(AppError::rejected(Rejected::Retired));
            }
            let mut wanted = known.registration.clone();
            edit(&mut wanted);
            wanted.domain.clone_from(&known.registration.domain);
            check(&wanted)?;
            let accepts = wanted.accepts_new_backends;
            wanted.accepts_new_backends = known.registration.accepts_new_backends;
            let mut events = vec![];
            for command in [Command::Register(wanted), Command::AcceptBackends(accepts)] {
                let now = self.journal.now();
                let decided = LoadBalancer::decide(&loaded.state, command, now);
                events.extend(decided.map_err(AppError::rejected)?);
            }
            match self.journal.append::<LoadBalancer>(&stream, &meta, loaded, events).await {
                Ok(executed) => return Ok(Done { value: (), position: executed.position }),
                Err(JournalError::VersionConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::VersionConflict)
    }

    /// Has nobody use a balancer any more, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, [`AppError::Rejected`] while instances use it.
    pub async fn retire_load_balancer(
        &self,
        by: &Caller,
        id: LoadBalancerId,
    ) -> Result<Done<()>, AppError> {
        by.need_reason()?;
        self.balancer(id).await?;
        let (stream, meta) = (id.stream(), by.metadata());
        let retired = self.journal.execute::<LoadBalancer>(&stream, &meta, Command::Retire).await?;
        Ok(Done { value: (), position: retired.position })
    }

    /// Gives an instance to a balancer, first there and then here, so that no balancer is retired under
    /// it. Silent where that is so already.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when the balancer takes nobody new, and what the store says.
    pub async fn assign_balancer(
        &self,
        meta: &Metadata,
        client: InstanceId,
        id: LoadBalancerId,
    ) -> Result<(), AppError> {
        let admit = Command::Admit { client };
        self.journal.execute::<LoadBalancer>(&id.stream(), meta, admit).await?;
        let assign = instance::Command::AssignLoadBalancer { load_balancer: id };
        self.journal.execute::<Instance>(&client.stream(), meta, assign).await?;
        Ok(())
    }

    /// Tells every balancer that an instance is given to that it is nothing to it any more: nothing of it
    /// is there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn release_balancers(
        &self,
        meta: &Metadata,
        client: InstanceId,
    ) -> Result<(), AppError> {
        for (id, known) in self.list_balancers().await? {
            if known.clients.contains(&client) {
                let command = Command::Release { client };
                self.journal.execute::<LoadBalancer>(&id.stream(), meta, command).await?;
            }
        }
        Ok(())
    }

    /// Every balancer that is not retired, with what is known of it, in order of registration.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_registered_balancers(
        &self,
    ) -> Result<Vec<(LoadBalancerId, Registration)>, AppError> {
        let all = self.list_balancers().await?.into_iter();
        let present = all.filter(|(_, known)| !known.is_retired);
        Ok(present.map(|(id, known)| (id, known.registration)).collect())
    }

    /// Every balancer that was ever registered, in order of registration.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_balancers(&self) -> Result<Vec<(LoadBalancerId, Present)>, AppError> {
        let filter =
            Filter { kinds: vec!["load_balancer.registered".to_owned()], ..Filter::default() };
        let (mut balancers, mut seen) = (vec![], BTreeSet::new());
        let mut after = Position::START;
        loop {
            let (events, position) = self.journal.store().read_all(after, &filter, PAGE).await?;
            let more = events.len() == PAGE;
            for event in events {
                let id = LoadBalancerId(event.stream.id());
                if seen.insert(id) {
                    balancers.push((id, self.balancer(id).await?));
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

fn check(registration: &Registration) -> Result<(), AppError> {
    let broken = registration.check();
    if broken.is_empty() { Ok(()) } else { Err(AppError::Invalid(broken)) }
}

/// The balancer's id: the same for the same domain, so that its domain is unique.
#[must_use]
pub fn load_balancer_id(domain: &str) -> LoadBalancerId {
    let name = format!("load_balancer/{}", domain.to_lowercase());
    LoadBalancerId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}
