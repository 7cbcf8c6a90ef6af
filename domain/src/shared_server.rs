//! Servers of databases and messages that many sites share (infra §1): one set of rules for all kinds.

pub mod address;
pub mod assigned;
pub mod url;

mod new_server;

pub use address::{Address, Kind, Mongodb, Mysql, Rabbitmq};
pub use assigned::{Assignable, MongodbUse, MysqlUse, QueueUser, RabbitmqUse, SharedServers};
pub use new_server::NewServer;

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::InstanceId;
use crate::protected::Protected;
use crate::settings::Violation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

/// Longest name and longest description, in characters.
pub const NAME_LENGTH_MAX: usize = 250;
/// Longest name of the account that administers a server, in characters.
pub const USERNAME_LENGTH_MAX: usize = 64;
/// Longest password of it, in characters.
pub const PASSWORD_LENGTH_MAX: usize = 128;
/// Most clients that a refusal names.
const NAMED_MAX: usize = 10;

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "A: Address"))]
pub struct Registration<A: Address> {
    /// What people call it; not blank, ≤ 250 characters.
    pub name: String,
    /// What people should know of it; ≤ 250 characters, may be blank.
    pub description: String,
    /// Where it is.
    pub address: A,
    /// The account that administers it; ≤ 64 characters, blank where it asks for none.
    pub username: String,
    /// Its password; ≤ 128 characters, blank where there is none.
    pub password: Protected,
    /// Whether it may be given to instances that have none of its kind.
    pub accepts_new_clients: bool,
}

impl<A: Address> Registration<A> {
    /// Every rule that it breaks.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let mut broken = vec![];
        let password = self.password.open().unwrap_or_default();
        let texts = [
            ("name", self.name.as_str(), NAME_LENGTH_MAX, true),
            ("description", &self.description, NAME_LENGTH_MAX, false),
            ("username", &self.username, USERNAME_LENGTH_MAX, A::NEEDS_LOGIN),
            ("password", password, PASSWORD_LENGTH_MAX, A::NEEDS_LOGIN),
        ];
        for (field, text, longest, is_needed) in texts {
            broken.extend(address::check_text(field, text, longest, is_needed));
        }
        broken.extend(self.address.check());
        broken
    }

    /// The fields in which another registration differs, but for whether it accepts clients.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut fields = vec![];
        let own = [
            ("name", self.name == other.name),
            ("description", self.description == other.description),
            ("username", self.username == other.username),
            ("password", self.password == other.password),
        ];
        fields.extend(own.iter().filter(|(_, same)| !same).map(|(field, _)| (*field).to_owned()));
        let (mine, theirs) = (members(&self.address), members(&other.address));
        let named: BTreeSet<_> = mine.keys().chain(theirs.keys()).collect();
        let differs = |field: &&String| mine.get(*field) != theirs.get(*field);
        fields.extend(named.into_iter().filter(differs).cloned());
        fields
    }
}

impl<A: Address> fmt::Display for Registration<A> {
    /// The name, with the description where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.description.as_str() {
            "" => f.write_str(&self.name),
            description => write!(f, "{} ({description})", self.name),
        }
    }
}

fn members(address: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(address) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A server as its events tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present<A: Address> {
    /// What is known of it.
    pub registration: Registration<A>,
    /// Who uses it, each with the account that it has there.
    pub clients: BTreeMap<InstanceId, String>,
    /// Whether nobody is to use it any more.
    pub is_retired: bool,
}

impl<A: Address> Present<A> {
    /// Whether an instance that has none of its kind may be given to it.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.registration.accepts_new_clients && !self.is_retired
    }
}

/// A server as its events tell; `None` before the first.
pub type State<A> = Option<Present<A>>;

/// What one may ask of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<A: Address> {
    /// Make it known; also one that was retired.
    Register(Box<Registration<A>>),
    /// Change what is known of it.
    Change(Box<Registration<A>>),
    /// Let an instance use it, by an account that no other has there.
    Admit { client: InstanceId, account: String },
    /// An instance uses it no more, and nothing of it is there.
    Release { client: InstanceId },
    /// Nobody is to use it any more.
    Retire,
}

/// What happened to a server. The kinds begin with the category, e.g. `mysql_server.registered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "data",
    rename_all = "snake_case",
    bound(deserialize = "A: Address")
)]
pub enum Event<A: Address> {
    /// It is known.
    Registered(Registration<A>),
    /// It is known by other particulars now, in these fields.
    RegistrationChanged { registration: Registration<A>, fields: Vec<String> },
    /// It may be given to instances, or not.
    AcceptanceChanged { accepts_new_clients: bool },
    /// An instance uses it, by this account.
    ClientAdmitted { client: InstanceId, account: String },
    /// An instance uses it no more.
    ClientReleased { client: InstanceId },
    /// Nobody is to use it any more.
    Retired {},
}

impl<A: Address> DomainEvent for Event<A> {
    const KINDS: &'static [(&'static str, u16)] = A::KINDS;
    const PREFIX: &'static str = A::EVENT_PREFIX;
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such server.
    #[error("the server does not exist")]
    Absent,
    /// It is known already.
    #[error("there is a server there already: show it, and edit it if need be")]
    Exists,
    /// Nobody is to use it any more.
    #[error("the server is retired; add it again to use it")]
    Retired,
    /// It is another server at another place.
    #[error("a server stays where it is: add the other one, and retire this one")]
    Moved,
    /// It takes nobody new.
    #[error("the server accepts no new clients")]
    AcceptsNobody,
    /// Another instance has that account there.
    #[error("the account is another's")]
    AccountTaken,
    /// Instances use it.
    #[error("{}", tell_clients(.clients))]
    InUse {
        /// Who.
        clients: Vec<InstanceId>,
    },
}

/// Who uses something, so many by name.
pub(crate) fn tell_clients(clients: &[InstanceId]) -> String {
    let named: Vec<_> = clients.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = match clients.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("instances use it: {}{more}", named.join(", "))
}

/// The rules of a server of one kind.
#[derive(Debug)]
pub struct SharedServer<A>(PhantomData<fn() -> A>);

impl<A: Address> Decider for SharedServer<A> {
    const CATEGORY: &'static str = A::CATEGORY;
    type State = State<A>;
    type Command = Command<A>;
    type Event = Event<A>;
    type Rejected = Rejected;

    fn decide(
        state: &State<A>,
        command: Command<A>,
        _now: Timestamp,
    ) -> Result<Vec<Event<A>>, Rejected> {
        let (known, command) = match (state, command) {
            (None | Some(Present { is_retired: true, .. }), Command::Register(registration)) => {
                return Ok(vec![Event::Registered(*registration)]);
            }
            (None, _) => return Err(Rejected::Absent),
            (Some(known), command) => (known, command),
        };
        match command {
            Command::Register(_) => Err(Rejected::Exists),
            Command::Change(registration) => decide_change(known, *registration),
            Command::Admit { client, account } => decide_admit(known, client, account),
            Command::Release { client } => Ok(if known.clients.contains_key(&client) {
                vec![Event::ClientReleased { client }]
            } else {
                vec![]
            }),
            Command::Retire if !known.clients.is_empty() => {
                Err(Rejected::InUse { clients: known.clients.keys().copied().collect() })
            }
            Command::Retire => Ok(if known.is_retired { vec![] } else { vec![Event::Retired {}] }),
        }
    }

    fn evolve(state: State<A>, event: &Event<A>) -> State<A> {
        let Some(mut known) = state else {
            return match event {
                Event::Registered(registration) => Some(Present::new(registration.clone())),
                _ => None,
            };
        };
        match event {
            Event::Registered(registration) => known = Present::new(registration.clone()),
            Event::RegistrationChanged { registration, .. } => {
                known.registration = registration.clone();
            }
            Event::AcceptanceChanged { accepts_new_clients } => {
                known.registration.accepts_new_clients = *accepts_new_clients;
            }
            Event::ClientAdmitted { client, account } => {
                known.clients.insert(*client, account.clone());
            }
            Event::ClientReleased { client } => {
                known.clients.remove(client);
            }
            Event::Retired {} => known.is_retired = true,
        }
        Some(known)
    }
}

impl<A: Address> Present<A> {
    fn new(registration: Registration<A>) -> Self {
        Self { registration, clients: BTreeMap::new(), is_retired: false }
    }
}

/// What is known changes first; whether it accepts clients is an event of its own.
fn decide_change<A: Address>(
    known: &Present<A>,
    mut wanted: Registration<A>,
) -> Result<Vec<Event<A>>, Rejected> {
    if known.is_retired {
        return Err(Rejected::Retired);
    }
    if !known.registration.address.may_become(&wanted.address) {
        return Err(Rejected::Moved);
    }
    let accepts_new_clients = wanted.accepts_new_clients;
    wanted.accepts_new_clients = known.registration.accepts_new_clients;
    let fields = known.registration.differences(&wanted);
    let mut events = vec![];
    if !fields.is_empty() {
        events.push(Event::RegistrationChanged { registration: wanted, fields });
    }
    if known.registration.accepts_new_clients != accepts_new_clients {
        events.push(Event::AcceptanceChanged { accepts_new_clients });
    }
    Ok(events)
}

fn decide_admit<A: Address>(
    known: &Present<A>,
    client: InstanceId,
    account: String,
) -> Result<Vec<Event<A>>, Rejected> {
    if known.clients.contains_key(&client) {
        return Ok(vec![]); // Its first account stays.
    }
    if known.is_retired {
        return Err(Rejected::Retired);
    }
    if !known.accepts() {
        return Err(Rejected::AcceptsNobody);
    }
    if known.clients.values().any(|taken| *taken == account) {
        return Err(Rejected::AccountTaken);
    }
    Ok(vec![Event::ClientAdmitted { client, account }])
}
