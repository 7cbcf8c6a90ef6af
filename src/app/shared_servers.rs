//! Commands on servers that sites share: add, edit, retire, and whom they serve.

use super::error::{AppError, Violation};
use super::{App, Caller, Done};
use ocim_domain::decider::Decider;
use ocim_domain::event::Position;
use ocim_domain::protected::Protected;
use ocim_domain::shared_server::{Address, Command, Present, Registration, SharedServer};
use ocim_engine::journal::JournalError;
use ocim_engine::store::Filter;
use std::collections::BTreeSet;
use std::fmt;

/// How often a change is computed anew because somebody else wrote first.
const CHANGES_MAX: usize = 16;
/// Events read at a time when servers are looked for.
const PAGE: usize = 1000;

/// A server that is to be added.
#[derive(Clone, PartialEq, Eq)]
pub struct NewServer<A> {
    /// What people call it; where it is blank, what its address says.
    pub name: String,
    /// What people should know of it.
    pub description: String,
    /// Where it is.
    pub address: A,
    /// The account that administers it.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Whether it may be given to instances.
    pub accepts_new_clients: bool,
}

impl<A: fmt::Debug> fmt::Debug for NewServer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<A: Address> NewServer<A> {
    /// What is to be known of it, written as it is compared, and its id.
    #[must_use]
    pub fn registration(self) -> (A::Id, Registration<A>) {
        let address = self.address.normalized();
        let id = address.server_id();
        let name = match self.name.trim() {
            "" => address.default_name(),
            name => name,
        };
        let registration = Registration {
            name: name.to_owned(),
            description: self.description,
            username: self.username,
            password: Protected::new(id.to_string(), self.password),
            accepts_new_clients: self.accepts_new_clients,
            address,
        };
        (id, registration)
    }
}

impl App {
    /// Makes a server known. Its id follows from where it is, and no other is there.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every broken rule; [`AppError::NamesTaken`] when a server that is not
    /// retired is there.
    pub async fn add_server<A: Address>(
        &self,
        by: &Caller,
        server: NewServer<A>,
    ) -> Result<Done<A::Id>, AppError> {
        let (id, registration) = server.registration();
        let (stream, meta) = (A::stream(id), by.metadata());
        if let Some(executed) =
            self.journal.find_executed::<SharedServer<A>>(&stream, &meta).await?
        {
            return Ok(Done { value: id, position: executed.position });
        }
        check(&registration)?;
        self.check_places(None, &registration.address).await?;
        let command = Command::Register(Box::new(registration));
        let executed =
            self.journal.execute_once::<SharedServer<A>>(&stream, &meta, command).await?;
        Ok(Done { value: id, position: executed.position })
    }

    /// Changes what is known of a server, as `edit` changes it.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; otherwise as [`App::add_server`]; [`AppError::Rejected`] when it is
    /// retired, or would be another server.
    pub async fn edit_server<A: Address>(
        &self,
        by: &Caller,
        id: A::Id,
        edit: impl Fn(&mut Registration<A>),
    ) -> Result<Done<()>, AppError> {
        let (stream, meta) = (A::stream(id), by.metadata());
        for _ in 0..CHANGES_MAX {
            let loaded = self.journal.load::<SharedServer<A>>(&stream).await?;
            let known = loaded.state.as_ref().ok_or_else(|| AppError::not_found(A::NOUN, id))?;
            let mut wanted = known.registration.clone();
            edit(&mut wanted);
            wanted.address = wanted.address.normalized();
            check(&wanted)?;
            let command = Command::Change(Box::new(wanted.clone()));
            let events = SharedServer::<A>::decide(&loaded.state, command, self.journal.now())
                .map_err(AppError::rejected)?;
            if wanted.address != known.registration.address {
                self.check_places(Some(id), &wanted.address).await?;
            }
            match self.journal.append::<SharedServer<A>>(&stream, &meta, loaded, events).await {
                Ok(executed) => return Ok(Done { value: (), position: executed.position }),
                Err(JournalError::VersionConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::VersionConflict)
    }

    /// Has nobody use a server any more, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, [`AppError::Rejected`] while instances use it.
    pub async fn retire_server<A: Address>(
        &self,
        by: &Caller,
        id: A::Id,
    ) -> Result<Done<()>, AppError> {
        by.need_reason()?;
        self.shared_server::<A>(id).await?;
        let (stream, meta) = (A::stream(id), by.metadata());
        let retired =
            self.journal.execute::<SharedServer<A>>(&stream, &meta, Command::Retire).await?;
        Ok(Done { value: (), position: retired.position })
    }

    /// A server as its events tell.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and what the store says.
    pub async fn shared_server<A: Address>(&self, id: A::Id) -> Result<Present<A>, AppError> {
        let loaded = self.journal.load::<SharedServer<A>>(&A::stream(id)).await?;
        loaded.state.ok_or_else(|| AppError::not_found(A::NOUN, id))
    }

    /// Every server of a kind that was ever added, in order of registration.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_shared_servers<A: Address>(
        &self,
    ) -> Result<Vec<(A::Id, Present<A>)>, AppError> {
        let kinds = vec![format!("{}registered", A::EVENT_PREFIX)];
        let filter = Filter { kinds, ..Filter::default() };
        let (mut servers, mut seen) = (vec![], BTreeSet::new());
        let mut after = Position::START;
        loop {
            let (events, position) = self.journal.store().read_all(after, &filter, PAGE).await?;
            let more = events.len() == PAGE;
            for event in events {
                let id = A::id(event.stream.id());
                if seen.insert(id) {
                    servers.push((id, self.shared_server::<A>(id).await?));
                }
            }
            if !more {
                return Ok(servers);
            }
            after = position;
        }
    }

    /// That no server of the kind but `own` is at any of these places.
    async fn check_places<A: Address>(
        &self,
        own: Option<A::Id>,
        address: &A,
    ) -> Result<(), AppError> {
        let wanted = address.places();
        for (id, known) in self.list_shared_servers::<A>().await? {
            if own == Some(id) || known.is_retired {
                continue;
            }
            let places = known.registration.address.places();
            if let Some(taken) = wanted.iter().find(|place| places.contains(place)) {
                let rule = format!("`{taken}` is that of the {} {id} already", A::NOUN);
                let field = A::PLACE_FIELD.to_owned();
                return Err(AppError::NamesTaken(vec![Violation { field, rule }]));
            }
        }
        Ok(())
    }
}

fn check<A: Address>(registration: &Registration<A>) -> Result<(), AppError> {
    let broken = registration.check();
    if broken.is_empty() { Ok(()) } else { Err(AppError::Invalid(broken)) }
}
