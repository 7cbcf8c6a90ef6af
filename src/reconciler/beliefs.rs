//! What the log says of a region's machines: folded from its events, one small state a machine.

use crate::app::AppError;
use crate::processes::provision_load_balancer::started_with;
use ocim_domain::appserver;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DecodeError, DomainEvent, Recorded};
use ocim_domain::ids::{AppserverId, RunId, ServerId};
use ocim_domain::server::{self, Event, Present, Server};
use ocim_engine::log_tail::LogTail;
use ocim_engine::store::{EventStore, Filter};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The machines of one region that the log believes in. Those that ended are forgotten.
#[derive(Debug)]
pub struct Beliefs {
    tail: LogTail,
    known: Known,
}

#[derive(Debug)]
struct Known {
    region: String,
    servers: BTreeMap<ServerId, server::State>,
    /// Runs that make balancers, by the keys of their machines.
    provisions: BTreeMap<Uuid, RunId>,
    /// What people were told of Appservers' machines.
    troubles: BTreeMap<AppserverId, String>,
}

impl Beliefs {
    /// Nothing, before the first refresh.
    #[must_use]
    pub fn new(store: &Arc<dyn EventStore>, region: &str) -> Self {
        let others = ["saga.started", "appserver.machine_troubled", "appserver.machine_recovered"];
        let kinds = Event::KINDS.iter().map(|(kind, _)| *kind).chain(others);
        let kinds = kinds.map(str::to_owned).collect();
        let tail = LogTail::new(Arc::clone(store), Filter { categories: vec![], kinds });
        let known = Known {
            region: region.to_owned(),
            servers: BTreeMap::new(),
            provisions: BTreeMap::new(),
            troubles: BTreeMap::new(),
        };
        Self { tail, known }
    }

    /// Takes in what is new in the log.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn refresh(&mut self) -> Result<(), AppError> {
        let known = &mut self.known;
        Ok(self.tail.drain(|event| known.note(event)).await?)
    }

    /// The Servers that have not ended.
    pub fn servers(&self) -> impl Iterator<Item = (ServerId, &Present)> {
        self.known.servers.iter().filter_map(|(id, state)| Some((*id, state.present()?)))
    }

    /// The Server of that id, unless it has ended.
    #[must_use]
    pub fn server(&self, id: ServerId) -> Option<&Present> {
        self.known.servers.get(&id)?.present()
    }

    /// The runs that made balancers, by the keys of their machines.
    pub fn provisions(&self) -> impl Iterator<Item = (Uuid, RunId)> {
        self.known.provisions.iter().map(|(key, run)| (*key, *run))
    }

    /// Appservers of whose machines people were told something else than what is known.
    #[must_use]
    pub fn untold_troubles(&self) -> Vec<(AppserverId, Option<String>)> {
        let troubles =
            self.servers().map(|(_, server)| (server.requested.appserver, server.trouble()));
        troubles.filter(|(id, trouble)| self.known.troubles.get(id) != trouble.as_ref()).collect()
    }
}

impl Known {
    fn note(&mut self, recorded: &Recorded) {
        let noted = match recorded.stream.category() {
            ServerId::CATEGORY => self.note_server(recorded),
            AppserverId::CATEGORY => self.note_appserver(recorded),
            _ => self.note_run(recorded),
        };
        // What this version does not know, it does not watch: a newer one does.
        if let Err(error @ DecodeError::Payload { .. }) = noted {
            tracing::error!(stream = %recorded.stream, %error, "an event can't be read");
        }
    }

    fn note_server(&mut self, recorded: &Recorded) -> Result<(), DecodeError> {
        let id = ServerId(recorded.stream.id());
        let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
        match &event {
            Event::Requested(requested) if requested.region != self.region => {}
            Event::Requested(_) => {
                self.servers.insert(id, Server::fold([&event]));
            }
            Event::Terminated {} => drop(self.servers.remove(&id)),
            _ => {
                if let Some(state) = self.servers.remove(&id) {
                    self.servers.insert(id, Server::evolve(state, &event));
                }
            }
        }
        Ok(())
    }

    fn note_appserver(&mut self, recorded: &Recorded) -> Result<(), DecodeError> {
        let id = AppserverId(recorded.stream.id());
        match appserver::Event::decode(&recorded.kind, recorded.schema, &recorded.data)? {
            appserver::Event::MachineTroubled { trouble } => {
                drop(self.troubles.insert(id, trouble))
            }
            _ => drop(self.troubles.remove(&id)),
        }
        Ok(())
    }

    fn note_run(&mut self, recorded: &Recorded) -> Result<(), DecodeError> {
        if let Some((key, input)) = started_with(recorded)?
            && input.region == self.region
        {
            self.provisions.insert(key, RunId(recorded.stream.id()));
        }
        Ok(())
    }
}
