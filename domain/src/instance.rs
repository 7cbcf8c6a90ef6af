//! One site: its settings, its launches in turn, and which of its Appservers receive traffic.

pub mod attempts;
pub mod clean_up;
pub mod details;
mod domains;
pub mod hold;
mod launch;
pub mod lifecycle;
pub mod maintenance;
mod rejected;
mod tag;
pub mod test_links;
mod traffic;

pub use attempts::Attempts;
pub use details::{Details, DetailsChange};
pub use hold::Hold;
pub use launch::{Launch, LaunchOutcome, OnSuccess};
pub use lifecycle::{Lifecycle, Stage};
pub use maintenance::Maintenance;
pub use rejected::Rejected;
pub use tag::{InvalidTag, TAG_CHARS_MAX, TAGS_MAX, Tag};
pub use test_links::TestLink;
pub use traffic::NameTrouble;

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{AppserverId, InstanceId, LoadBalancerId, RunId};
use crate::ledger;
use crate::name::Kind;
use crate::names::RoutedNames;
use crate::resources::ResourceNames;
use crate::settings::{self, InstanceSettings, SettingsChanges};
use crate::shared_server::SharedServers;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What one may ask of an Instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make it, with settings that were checked and whose names are reserved, and with `details`.
    Create { settings: Box<InstanceSettings>, details: Box<DetailsChange> },
    /// Note whose it is, notes and tags.
    ChangeDetails { change: Box<DetailsChange> },
    /// Have its obsolete Appservers go by this rule; by that of all where there is none.
    ChangeCleanUp { rule: Option<clean_up::Rule>, reason: String },
    /// Give up a name that it reserved and then never came to want, e.g. because of a crash; `by`
    /// wants it. An instance that was never created is given up with it.
    DisownName { kind: Kind, name: String, by: InstanceId },
    /// Replace the settings, by such as are checked and whose names are reserved.
    ChangeSettings { settings: Box<InstanceSettings> },
    /// Let go of the domains that the settings have dropped, if its balancer serves them no more.
    ReleaseDomains,
    /// Give its databases, buckets and accounts these names, which are reserved. The first stay.
    NameResources { names: ResourceNames },
    /// Let it use these of the servers that sites share. The first of each kind stays.
    AssignServers { servers: Box<SharedServers> },
    /// Tie it to the balancer chosen for it.
    AssignLoadBalancer { load_balancer: LoadBalancerId },
    /// Ask for a new Appserver, made by `run`; refused while a launch is under way unless
    /// `may_queue`.
    RequestLaunch {
        appserver: AppserverId,
        run: RunId,
        may_queue: bool,
        then: OnSuccess,
        attempts: Attempts,
    },
    /// Record how a launch ended, so that the next one may begin; another attempt at it, where one is
    /// left, makes the Appserver and has the run of `next`.
    SettleLaunch { appserver: AppserverId, outcome: LaunchOutcome, next: (AppserverId, RunId) },
    /// Let one run alone move the traffic.
    ClaimTraffic {
        /// The run.
        run: RunId,
    },
    /// Let the next run move the traffic; silent when another one has it.
    ReleaseTraffic {
        /// The run that is done with it.
        run: RunId,
    },
    /// Choose who receives traffic from now on, under which names: who is in both lists stays.
    /// `may_empty` lets the last one go.
    AssignTraffic {
        add: Vec<AppserverId>,
        remove: Vec<AppserverId>,
        names: RoutedNames,
        may_empty: bool,
    },
    /// Record what the balancer answered wrongly when it was asked with each of the site's names.
    ObserveNames { troubles: Vec<NameTrouble> },
    /// Archive it, bring it back or delete it; or record how far that is.
    Lifecycle(lifecycle::Command),
    /// Keep others from changing it, or let them again.
    Hold(hold::Command),
    /// Give visitors a page instead of the site, or the site again; or record how far that is.
    Maintenance(maintenance::Command),
    /// Make a link to one Appserver, or drop it.
    TestLink(test_links::Command),
    /// What this `actor` asks for: refused while somebody else holds the Instance. What runs ask for
    /// comes without one, since it was asked for before.
    AskedBy { actor: String, command: Box<Command> },
}

/// What happened to an Instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It exists, with these settings.
    #[serde(rename = "instance.created")]
    Created { settings: Box<InstanceSettings> },
    /// It never came to be; `by` took a name it held.
    #[serde(rename = "instance.creation_abandoned")]
    CreationAbandoned { by: InstanceId },
    /// These of its settings are others now. The first settings are version 1, and each change makes
    /// the next `version`.
    #[serde(rename = "instance.settings_changed")]
    SettingsChanged { changes: Box<SettingsChanges>, version: u64 },
    /// Its owner or its notes are others now; what is none has stayed.
    #[serde(rename = "instance.details_changed")]
    DetailsChanged {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        owner: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        notes: Option<String>,
    },
    /// It has these `tags` now, in order; the other two lists are what that changes.
    #[serde(rename = "instance.tags_changed")]
    TagsChanged { tags: Vec<Tag>, added: Vec<Tag>, removed: Vec<Tag> },
    /// Its obsolete Appservers go by this rule from now on; by that of all where there is none.
    #[serde(rename = "instance.clean_up_changed")]
    CleanUpChanged { rule: Option<clean_up::Rule>, reason: String },
    /// It had reserved a name, and never came to want it; `by` took it.
    #[serde(rename = "instance.name_disowned")]
    NameDisowned { kind: Kind, name: String, by: InstanceId },
    /// These domains, which its settings had dropped, lead to it no more.
    #[serde(rename = "instance.domains_released")]
    DomainsReleased { domains: Vec<String> },
    /// Its databases, containers, buckets and accounts are called so from now on.
    #[serde(rename = "instance.resources_named")]
    ResourcesNamed { names: ResourceNames },
    /// It uses these of the servers that sites share, beside those that it had.
    #[serde(rename = "instance.servers_assigned")]
    ServersAssigned { servers: Box<SharedServers> },
    /// This balancer serves it.
    #[serde(rename = "instance.load_balancer_assigned")]
    LoadBalancerAssigned { load_balancer: LoadBalancerId },
    /// An Appserver was asked for. Its run starts when all earlier launches have settled, at once
    /// unless it is `queued`.
    #[serde(rename = "instance.launch_requested")]
    LaunchRequested {
        appserver: AppserverId,
        run: RunId,
        /// "AppServer <number>", from 1.
        number: u32,
        queued: bool,
        #[serde(flatten)]
        then: OnSuccess,
        #[serde(flatten)]
        attempts: Attempts,
    },
    /// A launch has ended.
    #[serde(rename = "instance.launch_settled")]
    LaunchSettled {
        appserver: AppserverId,
        outcome: LaunchOutcome,
        /// The run that it was.
        run: RunId,
        /// The run of the next attempt, which the same append asks for; none where it ended for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_run: Option<RunId>,
    },
    /// This run alone moves the traffic.
    #[serde(rename = "instance.traffic_claimed")]
    TrafficClaimed {
        /// The run.
        run: RunId,
    },
    /// The next run may move the traffic.
    #[serde(rename = "instance.traffic_released")]
    TrafficReleased {
        /// The run that is done with it.
        run: RunId,
    },
    /// The `active` Appservers, oldest first, receive traffic from now on, under these names; the
    /// other two lists are what that changes.
    #[serde(rename = "instance.traffic_assigned")]
    TrafficAssigned {
        active: Vec<AppserverId>,
        added: Vec<AppserverId>,
        removed: Vec<AppserverId>,
        names: RoutedNames,
    },
    /// The balancer answers wrongly under these of its names; under all others, rightly.
    #[serde(rename = "instance.names_troubled")]
    NamesTroubled { troubles: Vec<NameTrouble> },
    /// The balancer answers rightly under all of its names again.
    #[serde(rename = "instance.names_recovered")]
    NamesRecovered {},
    /// Somebody asked to take it out of service; it keeps its data, names and settings.
    #[serde(rename = "instance.archive_requested")]
    ArchiveRequested { run: RunId, reason: String },
    /// It is out of service: no machine, DNS name or part of a balancer is left.
    #[serde(rename = "instance.archived")]
    Archived { run: RunId },
    /// Somebody asked to bring it back; with `launch`, with an Appserver that serves.
    #[serde(rename = "instance.unarchive_requested")]
    UnarchiveRequested { run: RunId, reason: String, launch: bool },
    /// It can be launched, and serve, again.
    #[serde(rename = "instance.unarchived")]
    Unarchived { run: RunId },
    /// Somebody asked to take all away that it has, or `again` what an earlier deletion has left. What
    /// of the kinds in `ignore` can't be removed is left.
    #[serde(rename = "instance.deletion_requested")]
    DeletionRequested { run: RunId, reason: String, ignore: Vec<ledger::Kind>, again: bool },
    /// It has nothing any more but the `residue`, and wants no name.
    #[serde(rename = "instance.deleted")]
    Deleted { run: RunId, residue: Vec<ledger::ResourceKey> },
    /// The run that archived, un-archived or deleted it did not come to its end: it is in that stage.
    #[serde(rename = "instance.lifecycle_run_stopped")]
    LifecycleRunStopped { run: RunId, stage: Stage },
    /// Somebody keeps it to himself until a time.
    #[serde(rename = "instance.held")]
    Held(Hold),
    /// Everybody may change it again, before the hold of `holder` would have ended.
    #[serde(rename = "instance.hold_released")]
    HoldReleased { holder: String, reason: Option<String> },
    /// Somebody asked to give visitors this page, or without one the site again.
    #[serde(rename = "instance.maintenance_requested")]
    MaintenanceRequested { run: RunId, page: Option<Maintenance> },
    /// Visitors get this page, or without one the site.
    #[serde(rename = "instance.maintenance_changed")]
    MaintenanceChanged { run: RunId, page: Option<Maintenance> },
    /// The run that was to change what visitors get left it as it was.
    #[serde(rename = "instance.maintenance_change_stopped")]
    MaintenanceChangeStopped { run: RunId },
    /// Somebody made a link to one Appserver, which `run` publishes.
    #[serde(rename = "instance.test_link_made")]
    TestLinkMade { run: RunId, link: TestLink, at: Timestamp },
    /// That link leads nowhere: it was not published.
    #[serde(rename = "instance.test_link_dropped")]
    TestLinkDropped { run: RunId, link: Uuid },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("instance.created", 1),
        ("instance.creation_abandoned", 1),
        ("instance.name_disowned", 1),
        ("instance.settings_changed", 1),
        ("instance.details_changed", 1),
        ("instance.tags_changed", 1),
        ("instance.clean_up_changed", 1),
        ("instance.domains_released", 1),
        ("instance.resources_named", 1),
        ("instance.servers_assigned", 1),
        ("instance.load_balancer_assigned", 1),
        ("instance.launch_requested", 1),
        ("instance.launch_settled", 1),
        ("instance.traffic_claimed", 1),
        ("instance.traffic_released", 1),
        ("instance.traffic_assigned", 1),
        ("instance.names_troubled", 1),
        ("instance.names_recovered", 1),
        ("instance.archive_requested", 1),
        ("instance.archived", 1),
        ("instance.unarchive_requested", 1),
        ("instance.unarchived", 1),
        ("instance.deletion_requested", 1),
        ("instance.deleted", 1),
        ("instance.lifecycle_run_stopped", 1),
        ("instance.held", 1),
        ("instance.hold_released", 1),
        ("instance.maintenance_requested", 1),
        ("instance.maintenance_changed", 1),
        ("instance.maintenance_change_stopped", 1),
        ("instance.test_link_made", 1),
        ("instance.test_link_dropped", 1),
    ];

    fn is_known(kind: &str, data: &Value) -> bool {
        match kind {
            "instance.created" => settings::are_known(&data["settings"]),
            "instance.settings_changed" => settings::are_known(&data["changes"]),
            "instance.deletion_requested" => ledger::are_known(&data["ignore"]),
            "instance.deleted" => ledger::are_known(&data["residue"]),
            _ => true,
        }
    }
}

/// An Instance as its events tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum State {
    /// No event yet.
    #[default]
    Absent,
    /// Given up before it came to be.
    Abandoned,
    /// It exists.
    Present(Box<Present>),
}

/// An existing Instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Its settings now.
    pub settings: InstanceSettings,
    /// Counted from 1.
    pub settings_version: u64,
    /// The balancer that serves it.
    pub load_balancer: Option<LoadBalancerId>,
    /// Launches under way or waiting, the one under way first.
    pub launches: Vec<Launch>,
    /// Every Appserver ever asked for, in order of number.
    pub appservers: Vec<AppserverId>,
    /// Who receives traffic, oldest assignment first.
    pub active: Vec<AppserverId>,
    /// How many received it at a time, at most.
    pub active_max: usize,
    /// Under which names, since traffic was assigned last.
    pub assigned_names: Option<RoutedNames>,
    /// The names under which visitors got something else when it was looked at last.
    pub name_troubles: Vec<NameTrouble>,
    /// The run that moves the traffic now.
    pub traffic_run: Option<RunId>,
    /// True once a launch has succeeded.
    pub successfully_provisioned: bool,
    /// Domains that the settings have dropped while its balancer may still serve them: they stay
    /// its own until the balancer is known not to. As [`Kind::key`] has them, in order.
    pub leaving_domains: Vec<String>,
    /// What its databases, buckets and accounts are called, once the first launch needed to know.
    pub resources: Option<ResourceNames>,
    /// How far it is in its life.
    pub lifecycle: Lifecycle,
    /// What it uses of the servers that sites share.
    pub servers: SharedServers,
    /// Who placed the last hold, until it was released; it may have ended by itself.
    pub hold: Option<Hold>,
    /// What visitors get instead of the site.
    pub maintenance: Option<Maintenance>,
    /// What they are to get, while the run that does it has not ended.
    pub maintenance_change: Option<maintenance::Change>,
    /// The run that changed it last.
    pub maintenance_run: Option<RunId>,
    /// Links to single Appservers; some may have ended.
    pub test_links: Vec<TestLink>,
    /// Whose it is, notes and tags.
    pub details: Details,
    /// The rule by which its obsolete Appservers go, where it has one of its own.
    pub clean_up: Option<clean_up::Rule>,
}

impl Present {
    /// The number of the next Appserver.
    fn next_number(&self) -> u32 {
        u32::try_from(self.appservers.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl State {
    /// The Instance, if it exists.
    #[must_use]
    pub fn present(&self) -> Option<&Present> {
        match self {
            Self::Present(present) => Some(present),
            Self::Absent | Self::Abandoned => None,
        }
    }
}

/// The rules of an Instance.
#[derive(Debug, Clone, Copy)]
pub struct Instance;

impl Decider for Instance {
    const CATEGORY: &'static str = InstanceId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match command {
            Command::Create { settings, details } => match state {
                State::Absent => {
                    let noted = details::decide(&Details::default(), *details)?;
                    Ok(std::iter::once(Event::Created { settings }).chain(noted).collect())
                }
                State::Abandoned | State::Present(_) => Err(Rejected::Exists),
            },
            Command::DisownName { kind, name, by } => match state {
                State::Absent => Ok(vec![Event::CreationAbandoned { by }]),
                State::Abandoned => Ok(vec![]),
                State::Present(present) if present.holds(kind, &name) => Err(Rejected::WantsName),
                State::Present(_) => Ok(vec![Event::NameDisowned { kind, name, by }]),
            },
            Command::ChangeSettings { settings } => {
                let present = present(state)?;
                present.check_live()?;
                Ok(decide_change_settings(present, &settings))
            }
            Command::ChangeDetails { change } => {
                let present = present(state)?;
                details::check_not_deleted(present)?;
                details::decide(&present.details, *change)
            }
            Command::ChangeCleanUp { rule, reason } => {
                let present = present(state)?;
                details::check_not_deleted(present)?;
                Ok(clean_up::decide(present, rule, reason)?)
            }
            Command::ReleaseDomains => {
                let domains = present(state)?.unserved_domains();
                Ok(if domains.is_empty() {
                    vec![]
                } else {
                    vec![Event::DomainsReleased { domains }]
                })
            }
            Command::NameResources { names } => Ok(match present(state)?.resources {
                Some(_) => vec![], // What is out there bears the first ones.
                None => vec![Event::ResourcesNamed { names }],
            }),
            Command::AssignServers { servers } => {
                let servers = Box::new(servers.beyond(&present(state)?.servers));
                let is_known = servers.is_empty();
                Ok(if is_known { vec![] } else { vec![Event::ServersAssigned { servers }] })
            }
            Command::AssignLoadBalancer { load_balancer } => {
                Ok(match present(state)?.load_balancer {
                    Some(_) => vec![], // The first choice stays (core §3.4 step 1).
                    None => vec![Event::LoadBalancerAssigned { load_balancer }],
                })
            }
            Command::RequestLaunch { appserver, run, may_queue, then, attempts } => {
                let queued = match launch::decide_launch(present(state)?, appserver, may_queue)? {
                    Some(queued) => queued,
                    None => return Ok(vec![]),
                };
                let number = present(state)?.next_number();
                Ok(vec![Event::LaunchRequested { appserver, run, number, queued, then, attempts }])
            }
            Command::SettleLaunch { appserver, outcome, next } => {
                let present = present(state)?;
                match present.launches.iter().find(|launch| launch.appserver == appserver) {
                    Some(launch) => attempts::settle(present, launch, outcome, next),
                    None => Ok(vec![]),
                }
            }
            Command::ClaimTraffic { run } => match present(state)?.traffic_run {
                None => Ok(vec![Event::TrafficClaimed { run }]),
                Some(claimant) if claimant == run => Ok(vec![]),
                Some(claimant) => Err(Rejected::TrafficClaimed { run: claimant }),
            },
            Command::ReleaseTraffic { run } => {
                let is_ours = present(state)?.traffic_run == Some(run);
                Ok(if is_ours { vec![Event::TrafficReleased { run }] } else { vec![] })
            }
            Command::AssignTraffic { add, remove, names, may_empty } => {
                traffic::decide_assign(present(state)?, &add, &remove, names, may_empty)
            }
            Command::ObserveNames { troubles } => Ok(match present(state)? {
                present if present.name_troubles == troubles => vec![],
                _ if troubles.is_empty() => vec![Event::NamesRecovered {}],
                _ => vec![Event::NamesTroubled { troubles }],
            }),
            Command::Lifecycle(command) => Ok(lifecycle::decide(present(state)?, command)?),
            Command::Hold(command) => Ok(hold::decide(present(state)?, command, now)?),
            Command::Maintenance(command) => maintenance::decide(present(state)?, command, now),
            Command::TestLink(command) => test_links::decide(present(state)?, command, now),
            Command::AskedBy { actor, command } => {
                present(state)?.check_hold(&actor, now)?;
                Self::decide(state, *command, now)
            }
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::Absent, Event::Created { settings }) => State::Present(Box::new(Present {
                settings: (**settings).clone(),
                settings_version: 1,
                load_balancer: None,
                launches: vec![],
                appservers: vec![],
                active: vec![],
                active_max: 0,
                assigned_names: None,
                name_troubles: vec![],
                traffic_run: None,
                successfully_provisioned: false,
                leaving_domains: vec![],
                resources: None,
                lifecycle: Lifecycle::default(),
                servers: SharedServers::default(),
                details: Details::default(),
                clean_up: None,
                hold: None,
                maintenance: None,
                maintenance_change: None,
                maintenance_run: None,
                test_links: vec![],
            })),
            (State::Absent, Event::CreationAbandoned { .. }) => State::Abandoned,
            (State::Present(present), event) => {
                State::Present(Box::new(evolve_present(*present, event)))
            }
            (state @ (State::Absent | State::Abandoned), _) => state,
        }
    }
}

fn present(state: &State) -> Result<&Present, Rejected> {
    state.present().ok_or(Rejected::Absent)
}

fn decide_change_settings(present: &Present, settings: &InstanceSettings) -> Vec<Event> {
    let changes = Box::new(present.settings.difference(settings));
    if changes.fields().is_empty() {
        return vec![];
    }
    let version = present.settings_version + 1;
    vec![Event::SettingsChanged { changes, version }]
}

fn evolve_present(mut present: Present, event: &Event) -> Present {
    match event {
        Event::Created { .. } | Event::CreationAbandoned { .. } | Event::NameDisowned { .. } => {}
        Event::SettingsChanged { changes, version } => {
            domains::change_settings(&mut present, changes);
            present.settings_version = *version;
        }
        Event::DomainsReleased { domains } => {
            present.leaving_domains.retain(|domain| !domains.contains(domain));
        }
        Event::ResourcesNamed { names } => present.resources = Some(names.clone()),
        Event::ServersAssigned { servers } => present.servers = present.servers.with(servers),
        Event::LoadBalancerAssigned { load_balancer } => {
            present.load_balancer = Some(*load_balancer);
        }
        Event::LaunchRequested { appserver, run, number, queued, then, attempts } => {
            present.appservers.push(*appserver);
            let launch = Launch {
                appserver: *appserver,
                run: *run,
                number: *number,
                then: *then,
                attempts: attempts.clone(),
            };
            // Another attempt comes before those that wait.
            let place = if *queued { present.launches.len() } else { 0 };
            present.launches.insert(place, launch);
        }
        Event::DetailsChanged { .. } | Event::TagsChanged { .. } => {
            details::evolve(&mut present.details, event);
        }
        Event::CleanUpChanged { rule, .. } => present.clean_up = *rule,
        Event::LaunchSettled { appserver, outcome, .. } => {
            present.launches.retain(|launch| launch.appserver != *appserver);
            present.successfully_provisioned |= *outcome == LaunchOutcome::Running;
        }
        Event::TrafficClaimed { run } => present.traffic_run = Some(*run),
        Event::TrafficReleased { .. } => present.traffic_run = None,
        Event::TrafficAssigned { active, names, .. } => {
            present.active.clone_from(active);
            present.active_max = present.active_max.max(active.len());
            present.assigned_names = Some(names.clone());
        }
        Event::NamesTroubled { troubles } => present.name_troubles.clone_from(troubles),
        Event::NamesRecovered {} => present.name_troubles.clear(),
        Event::ArchiveRequested { .. }
        | Event::Archived { .. }
        | Event::UnarchiveRequested { .. }
        | Event::Unarchived { .. }
        | Event::DeletionRequested { .. }
        | Event::Deleted { .. }
        | Event::LifecycleRunStopped { .. } => {
            lifecycle::evolve(&mut present, event);
            maintenance::evolve(&mut present, event);
            test_links::evolve(&mut present, event);
        }
        Event::TestLinkMade { .. } | Event::TestLinkDropped { .. } => {
            test_links::evolve(&mut present, event);
        }
        Event::MaintenanceRequested { .. }
        | Event::MaintenanceChanged { .. }
        | Event::MaintenanceChangeStopped { .. } => maintenance::evolve(&mut present, event),
        Event::Held(_) | Event::HoldReleased { .. } => hold::evolve(&mut present, event),
    }
    present
}
