//! What the log says of a region's machines: folded from its events, one small state a machine.

use super::provision_load_balancer::started_with;
use crate::app::{AppError, Journal};
use ocim_domain::appserver;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DecodeError, DomainEvent, Recorded};
use ocim_domain::ids::{AppserverId, RunId, ServerId};
use ocim_domain::server::{self, Event, Present, Server};
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked, Tracker};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The kinds of events about others than Servers.
const OTHERS: [&str; 4] =
    ["saga.started", "saga.unwound", "appserver.machine_troubled", "appserver.machine_recovered"];

/// The machines of one region that the log believes in. Those that ended are forgotten.
#[derive(Debug)]
pub struct Beliefs(Tracker<MachinesOf>);

/// What belongs to the machines of the region of that name.
#[derive(Debug)]
struct MachinesOf(String);

/// What is believed, by the text of the id of what it is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Belief {
    /// A Server that has not ended.
    Server(Box<Present>),
    /// A run that makes, or has made, a balancer's machine with this key. One that turned back has
    /// taken it away.
    Provision { key: Uuid },
    /// What people were told of an Appserver's machine.
    Trouble(String),
}

impl Beliefs {
    /// Nothing, before the first refresh.
    #[must_use]
    pub fn new(journal: &Journal, region: &str) -> Self {
        Self(Tracker::new(journal, MachinesOf(region.to_owned())))
    }

    /// The same, for a single look: whoever watches the region keeps the checkpoint.
    #[must_use]
    pub fn for_a_look(journal: &Journal, region: &str) -> Self {
        Self(Tracker::new(journal, MachinesOf(region.to_owned())).read_only())
    }

    /// Takes in what is new in the log.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn refresh(&mut self) -> Result<(), AppError> {
        Ok(self.0.catch_up(drop).await?)
    }

    /// The Servers that have not ended.
    pub fn servers(&self) -> impl Iterator<Item = (ServerId, &Present)> {
        self.0.items().iter().filter_map(|(id, belief)| match belief {
            Belief::Server(present) => Some((id.parse().ok()?, &**present)),
            Belief::Provision { .. } | Belief::Trouble(_) => None,
        })
    }

    /// The Server of that id, unless it has ended.
    #[must_use]
    pub fn server(&self, id: ServerId) -> Option<&Present> {
        match self.0.items().get(&id.to_string())? {
            Belief::Server(present) => Some(present),
            Belief::Provision { .. } | Belief::Trouble(_) => None,
        }
    }

    /// The runs that make balancers' machines, or have made one, by the keys of those.
    pub fn provisions(&self) -> impl Iterator<Item = (Uuid, RunId)> {
        self.0.items().iter().filter_map(|(id, belief)| match belief {
            Belief::Provision { key } => Some((*key, id.parse().ok()?)),
            Belief::Server(_) | Belief::Trouble(_) => None,
        })
    }

    /// Appservers of whose machines people were told something else than what is known.
    #[must_use]
    pub fn untold_troubles(&self) -> Vec<(AppserverId, Option<String>)> {
        let told = |id: AppserverId| match self.0.items().get(&id.to_string()) {
            Some(Belief::Trouble(trouble)) => Some(trouble),
            _ => None,
        };
        let troubles =
            self.servers().map(|(_, server)| (server.requested.appserver, server.trouble()));
        troubles.filter(|(id, trouble)| told(*id) != trouble.as_ref()).collect()
    }
}

impl Tracked for MachinesOf {
    const SCHEMA: u16 = 1;
    type Item = Belief;
    type Told = ();

    fn name(&self) -> String {
        format!("machines of {}", self.0)
    }

    fn filter(&self) -> Filter {
        let kinds = Event::KINDS.iter().map(|(kind, _)| *kind).chain(OTHERS);
        Filter { categories: vec![], kinds: kinds.map(str::to_owned).collect() }
    }

    fn apply(&self, items: &mut Items<Belief>, recorded: &Recorded) {
        let noted = match recorded.stream.category() {
            ServerId::CATEGORY => self.note_server(items, recorded),
            AppserverId::CATEGORY => note_appserver(items, recorded),
            _ => self.note_run(items, recorded),
        };
        // What this version does not know, it does not watch: a newer one does.
        if let Err(error @ DecodeError::Payload { .. }) = noted {
            tracing::error!(stream = %recorded.stream, %error, "an event can't be read");
        }
    }
}

impl MachinesOf {
    fn note_server(
        &self,
        items: &mut Items<Belief>,
        recorded: &Recorded,
    ) -> Result<(), DecodeError> {
        let id = ServerId(recorded.stream.id()).to_string();
        let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
        let before = match &event {
            Event::Requested(requested) if requested.region != self.0 => return Ok(()),
            Event::Requested(_) => server::State::default(),
            _ => match items.remove(&id) {
                Some(Belief::Server(present)) => server::State::Present(present),
                Some(Belief::Provision { .. } | Belief::Trouble(_)) | None => return Ok(()),
            },
        };
        let server::State::Present(present) = Server::evolve(before, &event) else { return Ok(()) };
        if event == (Event::Terminated {}) {
            // Nobody is told any more how the machine is.
            items.remove(&present.requested.appserver.to_string());
        } else {
            items.put(id, Belief::Server(present));
        }
        Ok(())
    }

    fn note_run(&self, items: &mut Items<Belief>, recorded: &Recorded) -> Result<(), DecodeError> {
        let run = RunId(recorded.stream.id()).to_string();
        if recorded.kind == "saga.unwound" {
            items.remove(&run);
        } else if let Some((key, input)) = started_with(recorded)?
            && input.region == self.0
        {
            items.put(run, Belief::Provision { key });
        }
        Ok(())
    }
}

fn note_appserver(items: &mut Items<Belief>, recorded: &Recorded) -> Result<(), DecodeError> {
    let id = AppserverId(recorded.stream.id()).to_string();
    match appserver::Event::decode(&recorded.kind, recorded.schema, &recorded.data)? {
        appserver::Event::MachineTroubled { trouble } => items.put(id, Belief::Trouble(trouble)),
        _ => drop(items.remove(&id)),
    }
    Ok(())
}
