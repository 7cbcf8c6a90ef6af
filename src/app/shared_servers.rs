//! Commands on servers that sites share: add, edit, retire, and give them to instances.

use super::error::{AppError, Violation};
use super::{App, Caller, Done};
use ocim_domain::decider::Decider;
use ocim_domain::event::{Metadata, Position};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{self, Instance};
use ocim_domain::shared_server::assigned::draw_below;
use ocim_domain::shared_server::{
    Address, Assignable, Command, Mongodb, Mysql, NewServer, Present, Rabbitmq, Registration,
    SharedServer, SharedServers,
};
use ocim_engine::journal::{ExecuteError, JournalError};
use ocim_engine::store::Filter;
use std::collections::BTreeSet;

/// How often a change is computed anew because somebody else wrote first.
const CHANGES_MAX: usize = 16;
/// Events read at a time when servers are looked for.
const PAGE: usize = 1000;

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

    /// Has an instance use a server of each kind that it has none of, chosen at random among those that
    /// accept clients; returns what it uses then. Kinds without such a server are left for later.
    ///
    /// An instance is admitted by the server first, so that no server is retired under it; who comes
    /// back after a crash finds where that was.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and what the store says.
    pub async fn assign_servers(
        &self,
        meta: &Metadata,
        id: InstanceId,
    ) -> Result<SharedServers, AppError> {
        let known = self.load_instance(id).await?.0.servers;
        let servers = SharedServers {
            mysql: self.admit_instance::<Mysql>(meta, id, &known).await?,
            mongodb: self.admit_instance::<Mongodb>(meta, id, &known).await?,
            rabbitmq: self.admit_instance::<Rabbitmq>(meta, id, &known).await?,
        };
        if servers.is_empty() {
            return Ok(known);
        }
        let command = instance::Command::AssignServers { servers: Box::new(servers) };
        let executed = self.journal.execute::<Instance>(&id.stream(), meta, command).await?;
        Ok(executed.state.present().map_or(known, |instance| instance.servers.clone()))
    }

    /// The servers that [`App::assign_servers`] may give an instance beside those that it has: of each
    /// kind the first one that accepts clients, with an account made up for now. Nothing is recorded.
    /// Also tells which kinds these are, and among how many servers the choice will be.
    ///
    /// # Errors
    /// What the store says.
    pub async fn foresee_servers(
        &self,
        id: InstanceId,
        known: &SharedServers,
    ) -> Result<(SharedServers, Vec<(&'static str, usize)>), AppError> {
        let mut choices = vec![];
        let servers = SharedServers {
            mysql: self.foresee_server::<Mysql>(id, known, &mut choices).await?,
            mongodb: self.foresee_server::<Mongodb>(id, known, &mut choices).await?,
            rabbitmq: self.foresee_server::<Rabbitmq>(id, known, &mut choices).await?,
        };
        Ok((servers.with(known), choices))
    }

    async fn foresee_server<A: Assignable>(
        &self,
        client: InstanceId,
        known: &SharedServers,
        choices: &mut Vec<(&'static str, usize)>,
    ) -> Result<Option<A::Use>, AppError> {
        if A::used(known).is_some() {
            return Ok(None);
        }
        let fill = |bytes: &mut [u8]| self.journal.fill_random(bytes);
        let servers = self.list_shared_servers::<A>().await?;
        let mut accepting = servers.iter().filter(|(_, it)| it.accepts()).peekable();
        let Some((id, _)) = accepting.peek() else { return Ok(None) };
        let id = *id;
        choices.push((A::NOUN, accepting.count()));
        Ok(Some(A::new_use(id, A::new_account(&fill), &client.to_string(), &fill)))
    }

    /// Admits an instance to a server of a kind that it uses none of yet.
    async fn admit_instance<A: Assignable>(
        &self,
        meta: &Metadata,
        client: InstanceId,
        known: &SharedServers,
    ) -> Result<Option<A::Use>, AppError> {
        if A::used(known).is_some() {
            return Ok(None);
        }
        let fill = |bytes: &mut [u8]| self.journal.fill_random(bytes);
        let new_use = |id, account| A::new_use(id, account, &client.to_string(), &fill);
        for _ in 0..CHANGES_MAX {
            let servers = self.list_shared_servers::<A>().await?;
            let admitted = |(id, server): &(A::Id, Present<A>)| {
                server.clients.get(&client).map(|account| (*id, account.clone()))
            };
            if let Some((id, account)) = servers.iter().find_map(admitted) {
                return Ok(Some(new_use(id, account)));
            }
            let accepting: Vec<_> =
                servers.iter().filter(|(_, it)| it.accepts()).map(|(id, _)| *id).collect();
            if accepting.is_empty() {
                return Ok(None);
            }
            let id = accepting[draw_below(accepting.len(), &fill)];
            let account = A::new_account(&fill);
            let command = Command::Admit { client, account: account.clone() };
            match self.journal.execute::<SharedServer<A>>(&A::stream(id), meta, command).await {
                Ok(_) => return Ok(Some(new_use(id, account))),
                // It accepts nobody any more, or the account is another's: chosen anew.
                Err(ExecuteError::Rejected(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::VersionConflict)
    }

    /// Tells every server that has an instance for a client that it has it no more.
    ///
    /// # Errors
    /// What the store says.
    pub async fn release_servers(
        &self,
        meta: &Metadata,
        client: InstanceId,
    ) -> Result<(), AppError> {
        self.release_instance::<Mysql>(meta, client).await?;
        self.release_instance::<Mongodb>(meta, client).await?;
        self.release_instance::<Rabbitmq>(meta, client).await
    }

    async fn release_instance<A: Address>(
        &self,
        meta: &Metadata,
        client: InstanceId,
    ) -> Result<(), AppError> {
        for (id, server) in self.list_shared_servers::<A>().await? {
            if server.clients.contains_key(&client) {
                let command = Command::Release { client };
                self.journal.execute::<SharedServer<A>>(&A::stream(id), meta, command).await?;
            }
        }
        Ok(())
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
