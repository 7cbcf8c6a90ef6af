//! Names that must be unique: looked up, reserved, taken over from whoever never came to want them,
//! and released.
//!
//! A reservation comes before the event that tells of its use, so a crash may leave one of which
//! nothing came. Whoever wants such a name first has its owner disown it, on the owner's own
//! stream: then an owner that was only slow finds its stream changed, and starts anew. All else is
//! written at the version of the name that was read, and holding on to a name is an event, too. So
//! whoever comes first decides, with no clock in it; the grace only spares those who are slow.

use super::App;
use super::error::AppError;
use ocim_domain::decider::Decider;
use ocim_domain::event::{Metadata, StreamId};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{self, Instance};
use ocim_domain::name::{self, Kind, Name, name_id};
use ocim_domain::settings::Violation;
use ocim_engine::journal::{ExecuteError, JournalError, Loaded};
use std::time::Duration;

/// How often a reservation is decided anew because somebody else wrote first.
const DECISIONS_MAX: usize = 16;

/// How long a reservation may wait for its use before it counts as left by a crash.
const RESERVATION_GRACE: Duration = Duration::from_secs(30);

/// How one comes by a domain that its owner has dropped, after "which … has".
const LEAVING: &str = "has still, though its settings have dropped it: its balancer serves it until \
                       one of its appservers is activated or deactivated";

/// A name that an instance wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Within which it is unique.
    pub(super) kind: Kind,
    /// The name, in any spelling.
    pub(super) name: String,
    /// The setting that asks for it.
    pub(super) field: &'static str,
}

impl Claim {
    fn stream(&self) -> StreamId {
        name_id(self.kind, &self.name).stream()
    }
}

/// A reservation as it was read: what is done by it is done at that version, or not at all.
#[derive(Debug, Clone)]
pub(super) struct Reservation {
    stream: StreamId,
    loaded: Loaded<Name>,
}

/// Whose a name is.
enum Standing {
    /// Whoever comes first may have it.
    Free,
    /// The asking instance has it.
    Ours,
    /// That instance has it, and never came to want it.
    Left(InstanceId),
    /// Somebody else has it: who, with the verb.
    Taken(String),
}

impl Standing {
    /// Somebody has it, and keeps it.
    fn taken(by: impl std::fmt::Display) -> Self {
        Self::Taken(format!("{by} has"))
    }
}

impl App {
    /// Reserves all of the names for the instance. None if one of them is taken; if that turns out
    /// in the middle, those before it are left for whoever asks next.
    ///
    /// # Errors
    /// [`AppError::NamesTaken`] with every name that somebody else has.
    pub(super) async fn reserve_names(
        &self,
        meta: &Metadata,
        owner: InstanceId,
        claims: &[Claim],
    ) -> Result<Vec<Reservation>, AppError> {
        let mut taken = vec![];
        for claim in claims {
            if let Standing::Taken(by) = self.look_up(owner, claim).await?.1 {
                taken.push(tell_taken(claim, &by));
            }
        }
        if !taken.is_empty() {
            return Err(AppError::NamesTaken(taken));
        }
        let mut reserved = vec![];
        for claim in claims {
            reserved.push(self.reserve_name(meta, owner, claim).await?);
        }
        Ok(reserved)
    }

    /// Whether the instance would get all of these names now.
    pub(super) async fn are_names_free(
        &self,
        owner: InstanceId,
        claims: &[Claim],
    ) -> Result<bool, AppError> {
        for claim in claims {
            if let Standing::Taken(_) = self.look_up(owner, claim).await?.1 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reserves one of the hosts that lead to an instance's machines; false when somebody else has it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reserve_machine_domain(
        &self,
        meta: &Metadata,
        owner: InstanceId,
        name: &str,
    ) -> Result<bool, AppError> {
        let claim = Claim { kind: Kind::Domain, name: name.to_owned(), field: "" };
        match self.reserve_names(meta, owner, &[claim]).await {
            Ok(_) => Ok(true),
            Err(AppError::NamesTaken(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether another instance has a domain by now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_anothers_domain(&self, id: InstanceId, domain: &str) -> Result<bool, AppError> {
        let claim = Claim { kind: Kind::Domain, name: domain.to_owned(), field: "" };
        Ok(matches!(self.look_up(id, &claim).await?.1, Standing::Taken(_)))
    }

    /// The instance's reservations among these names, to be released later.
    pub(super) async fn read_reservations(
        &self,
        owner: InstanceId,
        kind: Kind,
        names: &[String],
    ) -> Result<Vec<Reservation>, AppError> {
        let mut reservations = vec![];
        for name in names {
            let claim = Claim { kind, name: name.clone(), field: "" };
            if let (reservation, Standing::Ours) = self.look_up(owner, &claim).await? {
                reservations.push(reservation);
            }
        }
        Ok(reservations)
    }

    /// Releases names that nobody has held on to since they were read. What can't be released
    /// now is taken over by whoever asks for it next.
    pub(super) async fn release_names(
        &self,
        meta: &Metadata,
        owner: InstanceId,
        reservations: Vec<Reservation>,
    ) {
        for Reservation { stream, loaded } in reservations {
            let release = name::Command::Release { owner: owner.to_string() };
            let events =
                Name::decide(&loaded.state, release, self.journal.now()).unwrap_or_default();
            match self.journal.append::<Name>(&stream, meta, loaded, events).await {
                Ok(_) | Err(JournalError::VersionConflict) => {}
                Err(error) => tracing::warn!(
                    %owner,
                    error = &error as &dyn std::error::Error,
                    "a reservation stays until it is taken over"
                ),
            }
        }
    }

    /// Lets go of the domains that the instance's settings have dropped and its balancer serves no
    /// more: asked after each change of the balancer, and when a run is done with the traffic.
    ///
    /// # Errors
    /// What the store says.
    pub async fn release_domains(&self, meta: &Metadata, id: InstanceId) -> Result<(), AppError> {
        let (instance, _) = self.load_instance(id).await?;
        let unserved = instance.unserved_domains();
        if unserved.is_empty() {
            return Ok(());
        }
        // Read first: a domain that is wanted again from then on is reserved anew, and stays.
        let reservations = self.read_reservations(id, Kind::Domain, &unserved).await?;
        let release = instance::Command::ReleaseDomains;
        let executed = self.journal.execute::<Instance>(&id.stream(), meta, release).await?;
        let is_released = |reservation: &Reservation| {
            executed.events.iter().any(|event| match event {
                instance::Event::DomainsReleased { domains } => domains
                    .iter()
                    .any(|domain| name_id(Kind::Domain, domain).stream() == reservation.stream),
                _ => false,
            })
        };
        let released = reservations.into_iter().filter(is_released).collect();
        self.release_names(meta, id, released).await;
        Ok(())
    }

    async fn reserve_name(
        &self,
        meta: &Metadata,
        owner: InstanceId,
        claim: &Claim,
    ) -> Result<Reservation, AppError> {
        let (kind, name) = (claim.kind, claim.name.clone());
        for _ in 0..DECISIONS_MAX {
            let (Reservation { stream, loaded }, standing) = self.look_up(owner, claim).await?;
            let to = owner.to_string();
            let command = match standing {
                Standing::Free | Standing::Ours => {
                    name::Command::Reserve { kind, name: name.clone(), owner: to }
                }
                Standing::Left(former) => {
                    if !self.have_disowned(meta, former, claim, owner).await? {
                        let taken = tell_taken(claim, &format!("{former} has"));
                        return Err(AppError::NamesTaken(vec![taken]));
                    }
                    name::Command::Reclaim { from: former.to_string(), owner: to }
                }
                Standing::Taken(by) => {
                    return Err(AppError::NamesTaken(vec![tell_taken(claim, &by)]));
                }
            };
            let events = Name::decide(&loaded.state, command, self.journal.now())
                .map_err(AppError::rejected)?;
            match self.journal.append::<Name>(&stream, meta, loaded, events).await {
                Ok(executed) => {
                    let loaded = Loaded {
                        state: executed.state,
                        version: Some(executed.version),
                        position: executed.position,
                    };
                    return Ok(Reservation { stream, loaded });
                }
                Err(JournalError::VersionConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::VersionConflict)
    }

    async fn look_up(
        &self,
        owner: InstanceId,
        claim: &Claim,
    ) -> Result<(Reservation, Standing), AppError> {
        let stream = claim.stream();
        let loaded = self.journal.load::<Name>(&stream).await?;
        let standing = match &loaded.state {
            name::State::Free => Standing::Free,
            name::State::Held { owner: holder } if *holder == owner.to_string() => Standing::Ours,
            name::State::Held { owner: holder } => {
                self.judge_holder(claim, holder, loaded.version).await?
            }
        };
        Ok((Reservation { stream, loaded }, standing))
    }

    async fn judge_holder(
        &self,
        claim: &Claim,
        holder: &str,
        version: Option<u64>,
    ) -> Result<Standing, AppError> {
        let Ok(id) = holder.parse::<InstanceId>() else {
            return Ok(Standing::taken(holder));
        };
        let is_left = match self.journal.load::<Instance>(&id.stream()).await?.state {
            instance::State::Abandoned => true,
            instance::State::Present(present) if present.is_leaving(claim.kind, &claim.name) => {
                return Ok(Standing::Taken(format!("{holder} {LEAVING}")));
            }
            instance::State::Present(present) if present.holds(claim.kind, &claim.name) => false,
            instance::State::Absent | instance::State::Present(_) => {
                !self.is_fresh(&claim.stream(), version).await?
            }
        };
        Ok(if is_left { Standing::Left(id) } else { Standing::taken(holder) })
    }

    /// Whether the reservation, a name's last event, is a young one.
    async fn is_fresh(&self, name: &StreamId, version: Option<u64>) -> Result<bool, AppError> {
        let events = self.journal.store().read_stream(name, version.unwrap_or(0)).await?;
        Ok(events.first().is_some_and(|event| {
            let age = (self.journal.now() - event.recorded_at).to_std().unwrap_or_default();
            age < RESERVATION_GRACE
        }))
    }

    /// Has an instance give up a name that it never came to want; false where it wants it by now.
    async fn have_disowned(
        &self,
        meta: &Metadata,
        former: InstanceId,
        claim: &Claim,
        by: InstanceId,
    ) -> Result<bool, AppError> {
        let (kind, name) = (claim.kind, claim.name.clone());
        let disown = instance::Command::DisownName { kind, name, by };
        match self.journal.execute::<Instance>(&former.stream(), meta, disown).await {
            Ok(_) => Ok(true),
            Err(ExecuteError::Rejected(_)) => Ok(false),
            Err(ExecuteError::Journal(error)) => Err(error.into()),
        }
    }
}

fn tell_taken(claim: &Claim, by: &str) -> Violation {
    let rule = format!("asks for the {} `{}`, which {by}", claim.kind.noun(), claim.name);
    Violation { field: claim.field.to_owned(), rule }
}
