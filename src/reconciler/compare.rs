//! What differs between the log and a cloud's list of machines. Absence counts from the second look.

use crate::processes::beliefs::Beliefs;
use ocim_adapters::cloud::{Machine, Power as Seen};
use ocim_domain::ids::{AppserverId, ServerId};
use ocim_domain::inventory::Orphan;
use ocim_domain::ledger::{Kind, ResourceKey};
use ocim_domain::server::{BootCause, Command, Power, Present, Status};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Something to record on a Server, unless a run works on its machine.
    Server {
        /// The Server.
        server: ServerId,
        /// Whose machine it is.
        appserver: AppserverId,
        /// What was seen.
        seen: Command,
    },
    /// A machine is up that was not known to answer SSH.
    Boots {
        /// The Server.
        server: ServerId,
        /// Whose machine it is.
        appserver: AppserverId,
        /// The machine.
        machine: Box<Machine>,
    },
    /// The ledger may not say yet what the Server says: nobody has looked since the start.
    Unfollowed {
        /// The Server.
        server: ServerId,
        /// Whose machine it is.
        appserver: AppserverId,
    },
    /// A machine with our mark that nothing accounts for.
    Orphan(Orphan),
    /// A second machine with the key of one in use: nothing will ever account for it.
    Duplicate(Orphan),
    /// What was reported as an orphan is gone, or is accounted for.
    OrphanSettled(String),
}

/// What the look before this one missed, or could not account for.
#[derive(Debug, Default)]
pub struct Memory {
    missing: BTreeSet<ServerId>,
    strange: BTreeSet<String>,
    settled: BTreeSet<String>,
}

impl Memory {
    /// Compares, and remembers what has to be seen twice. `provisioned` are the keys of balancers'
    /// machines, with the machine once it is known, `reported` the orphans that are known already.
    pub fn compare(
        &mut self,
        beliefs: &Beliefs,
        provisioned: &BTreeMap<Uuid, Option<String>>,
        listed: &[Machine],
        reported: &BTreeSet<String>,
    ) -> Vec<Finding> {
        let mut findings = vec![];
        let by_id: BTreeMap<_, _> = listed.iter().map(|found| (found.id.as_str(), found)).collect();
        let mut missing = BTreeSet::new();
        for (server, present) in beliefs.servers() {
            let Some(id) = &present.machine else { continue };
            let appserver = present.requested.appserver;
            let about = |seen| Finding::Server { server, appserver, seen };
            match by_id.get(id.as_str()) {
                Some(machine) => {
                    findings.extend(compare_machine(present, machine).into_iter().map(about));
                    if present.status == Status::Booting && is_up(machine) {
                        let machine = Box::new((*machine).clone());
                        findings.push(Finding::Boots { server, appserver, machine });
                    }
                }
                None if present.status == Status::Vanished => {}
                None if self.missing.contains(&server) => findings.push(about(Command::Vanish)),
                None => drop(missing.insert(server)),
            }
        }
        self.missing = missing;
        findings.extend(self.compare_orphans(beliefs, provisioned, listed, reported));
        findings
    }

    fn compare_orphans(
        &mut self,
        beliefs: &Beliefs,
        provisioned: &BTreeMap<Uuid, Option<String>>,
        listed: &[Machine],
        reported: &BTreeSet<String>,
    ) -> Vec<Finding> {
        let mut findings = vec![];
        let orphans: BTreeMap<_, _> = listed
            .iter()
            .filter_map(|found| Some((found.id.clone(), find_stray(found, beliefs, provisioned)?)))
            .collect();
        let unreported = orphans.iter().filter(|(id, _)| !reported.contains(*id));
        let (seen_twice, strange): (Vec<_>, Vec<_>) =
            unreported.partition(|(id, _)| self.strange.contains(*id));
        findings.extend(seen_twice.into_iter().map(|(_, found)| found.clone()));
        self.strange = strange.into_iter().map(|(id, _)| id.clone()).collect();

        let unknown = |id: &String| {
            listed.iter().any(|found| found.id == *id && found.power == Seen::Unknown)
        };
        let is_settled = |id: &&String| !orphans.contains_key(*id) && !unknown(id);
        let absent = reported.iter().filter(is_settled);
        let (seen_twice, settled): (Vec<_>, Vec<_>) =
            absent.partition(|id| self.settled.contains(*id));
        findings.extend(seen_twice.into_iter().cloned().map(Finding::OrphanSettled));
        self.settled = settled.into_iter().cloned().collect();
        findings
    }
}

/// What is new at a machine that is there.
fn compare_machine(present: &Present, machine: &Machine) -> Option<Command> {
    let Some(power) = power_of(machine.power) else {
        // A machine that is there, and of which nothing else is known.
        let is_known = matches!(present.status, Status::Building | Status::Booting | Status::Ready);
        let reason = machine.fault.clone().unwrap_or_default();
        return is_known.then_some(Command::LoseSight { reason });
    };
    match (present.status, power) {
        (Status::Vanished, _) => Some(Command::ComeBack { power }),
        (Status::Unknown, Power::Active) => {
            Some(Command::StartBooting { address: None, cause: BootCause::FoundAgain })
        }
        (Status::Unknown, Power::Building) => Some(Command::FindBuilding),
        _ if present.power == Some(power) => None,
        _ => Some(Command::ObservePower { power, fault: machine.fault.clone() }),
    }
}

fn is_up(machine: &Machine) -> bool {
    machine.power == Seen::Active && machine.address.is_some() && !machine.host_keys.is_empty()
}

/// What a machine is that nobody owns, if that is so.
///
/// A Server's id is the key that its machine is made with; a second machine with such a key was made late,
/// e.g. for a node that had lost the run by then.
#[must_use]
pub fn find_stray(
    machine: &Machine,
    beliefs: &Beliefs,
    provisioned: &BTreeMap<Uuid, Option<String>>,
) -> Option<Finding> {
    let server = machine.key.and_then(|key| beliefs.server(ServerId(key)));
    let balancer = machine.key.and_then(|key| provisioned.get(&key));
    // The machine in use, once that is known.
    let used = match (server, balancer) {
        (None, None) => return orphan(machine).map(Finding::Orphan),
        (Some(server), _) => server.machine.as_ref(),
        (None, Some(balancer)) => balancer.as_ref(),
    };
    let is_used = used.is_none_or(|id| *id == machine.id);
    if is_used { None } else { orphan(machine).map(Finding::Duplicate) }
}

/// None of a machine of which nothing is known: nobody is offered to delete it.
fn orphan(machine: &Machine) -> Option<Orphan> {
    Some(Orphan {
        id: ResourceKey::new(Kind::Machine, &machine.id),
        name: machine.name.clone(),
        made_with: machine.key,
        power: Some(power_of(machine.power)?),
        owner: None,
    })
}

/// What it does; nothing where its cloud can't tell.
fn power_of(seen: Seen) -> Option<Power> {
    match seen {
        Seen::Building => Some(Power::Building),
        Seen::Active => Some(Power::Active),
        Seen::Shutoff => Some(Power::Shutoff),
        Seen::Error => Some(Power::Error),
        Seen::Unknown => None,
    }
}
