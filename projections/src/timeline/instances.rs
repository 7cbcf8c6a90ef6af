//! Sentences about sites.

use super::{Teller, actor_name, list};
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::clean_up::Rule;
use ocim_domain::instance::{Event, LaunchOutcome, NameTrouble};
use ocim_domain::names::{Service, effective_domain};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let (who, site) = (teller.who(), teller.own_name());
    let names =
        |ids: &[AppserverId]| list(&ids.iter().map(|id| teller.name(id)).collect::<Vec<_>>());
    match event {
        Event::Created { settings } => {
            let domain = effective_domain(settings, Service::Lms);
            format!("{who} created the site {} at {domain}", settings.name)
        }
        Event::CreationAbandoned { by } => {
            format!("{who} gave up the creation of {site}: {} took a name it held", teller.name(by))
        }
        Event::SettingsChanged { changes, .. } => {
            format!("{who} changed settings of {site}: {}", list(&changes.fields()))
        }
        Event::DetailsChanged { owner, notes } => {
            let mut parts = vec![];
            match owner.as_deref() {
                None => {}
                Some("") => parts.push(format!("noted that nobody owns {site}")),
                Some(owner) => parts.push(format!("noted {owner} as the owner of {site}")),
            }
            match notes.as_deref() {
                None => {}
                Some("") => parts.push(format!("removed the notes on {site}")),
                Some(_) => parts.push(format!("wrote notes on {site}")),
            }
            format!("{who} {}", list(&parts))
        }
        Event::TagsChanged { added, removed, .. } => {
            let mut parts = vec![];
            if !added.is_empty() {
                parts.push(format!("tagged {site} {}", list(added)));
            }
            if !removed.is_empty() {
                parts.push(format!("took {} off {site}", list(removed)));
            }
            format!("{who} {}", list(&parts))
        }
        Event::CleanUpChanged { rule, reason } => {
            let what = match rule {
                Some(Rule::Days(1)) => "go after a day".to_owned(),
                Some(Rule::Days(days)) => format!("go after {days} days"),
                Some(Rule::Off) => "stay, however old they are".to_owned(),
                None => "go when those of all other sites do".to_owned(),
            };
            format!("{who} has obsolete appservers of {site} {what}: {reason}")
        }
        Event::NameDisowned { kind, name, by } => {
            let noun = kind.noun();
            format!("{site} never came to want the {noun} {name}: {} took it", teller.name(by))
        }
        Event::DomainsReleased { domains } => {
            format!("{site} let go of {}: its load balancer serves that no more", list(domains))
        }
        Event::ResourcesNamed { names } => {
            format!("{who} named the database of {site} {}, for good", names.database)
        }
        Event::ServersAssigned { servers } => {
            let ids = [
                servers.mysql.as_ref().map(|used| used.server.to_string()),
                servers.mongodb.as_ref().map(|used| used.server.to_string()),
                servers.rabbitmq.as_ref().map(|used| used.server.to_string()),
            ];
            let names: Vec<_> = ids.into_iter().flatten().map(|id| teller.name(id)).collect();
            format!("{site} uses the shared servers {} from now on", list(&names))
        }
        Event::LoadBalancerAssigned { load_balancer } => {
            format!("{who} gave {site} to the load balancer {}", teller.name(load_balancer))
        }
        Event::LaunchRequested { number, attempts, .. } if attempts.attempt.get() > 1 => {
            let (attempt, of) = (attempts.attempt, attempts.attempts);
            format!("AppServer {number} of {site} is attempt {attempt} of {of} at the launch")
        }
        Event::LaunchRequested { number, queued, then, attempts, .. } => {
            let waits = if *queued { ", after the launch that is under way" } else { "" };
            let then = match (then.activate, then.deactivate_others) {
                (false, _) => "",
                (true, false) => ", to be activated once it runs",
                (true, true) => ", to be activated in place of all others once it runs",
            };
            let attempts = match attempts.attempts.get() {
                1 => String::new(),
                attempts => format!(", in up to {attempts} attempts"),
            };
            format!("{who} launched AppServer {number} of {site}{waits}{then}{attempts}")
        }
        Event::LaunchSettled { appserver, outcome, next_run, .. } => {
            let how = match outcome {
                LaunchOutcome::Running => "it runs",
                LaunchOutcome::Failed => "its configuration failed",
                LaunchOutcome::Error => "its machine never came up",
                LaunchOutcome::Cancelled => "it was cancelled",
            };
            let again = next_run.map_or("", |_| "; the next attempt follows");
            format!("The launch of {} ended: {how}{again}", teller.name(appserver))
        }
        Event::TrafficClaimed { run } => {
            format!("{} alone may move the traffic of {site} now", teller.name(run))
        }
        Event::TrafficReleased { run } => {
            format!("{} is done with the traffic of {site}", teller.name(run))
        }
        Event::TrafficAssigned { added, removed, .. } => {
            let mut parts = vec![];
            if !added.is_empty() {
                parts.push(format!("{} into traffic", names(added)));
            }
            if !removed.is_empty() {
                parts.push(format!("{} out of traffic", names(removed)));
            }
            if parts.is_empty() {
                return format!("{who} gave {site} the names of its settings");
            }
            format!("{who} brought {} at {site}", list(&parts))
        }
        Event::NamesTroubled { troubles } => {
            let troubles: Vec<_> = troubles
                .iter()
                .map(|NameTrouble { name, trouble }| format!("{name} ({trouble})"))
                .collect();
            format!("Visitors of {site} do not reach it as {}", list(&troubles))
        }
        Event::ArchiveRequested { reason, .. } => {
            format!("{who} asked to archive {site}: {reason}")
        }
        Event::Archived { .. } => {
            format!("{site} is archived: nothing of it runs, its data and names are kept")
        }
        Event::UnarchiveRequested { reason, launch, .. } => {
            let then = if *launch { " and to launch it" } else { "" };
            format!("{who} asked to un-archive {site}{then}: {reason}")
        }
        Event::Unarchived { .. } => format!("{site} is live again"),
        Event::DeletionRequested { reason, ignore, again, .. } => {
            let what = if *again { "what is left of " } else { "" };
            let kinds: Vec<_> = ignore.iter().map(|kind| format!("{kind}s")).collect();
            let kept = if kinds.is_empty() {
                String::new()
            } else {
                format!(", whatever becomes of its {}", list(&kinds))
            };
            format!("{who} asked to delete {what}{site}{kept}: {reason}")
        }
        Event::Deleted { residue, .. } if residue.is_empty() => {
            format!("{site} is deleted: nothing is left of it, and its names are free")
        }
        Event::Deleted { residue, .. } => {
            let left: Vec<_> =
                residue.iter().map(|id| format!("the {} {}", id.kind, id.key)).collect();
            format!("{site} is deleted, and its names are free; left over: {}", list(&left))
        }
        Event::LifecycleRunStopped { run, stage } => {
            let run = teller.name(run);
            format!("{run} did not come to its end: {site} is {stage}")
        }
        Event::Held(hold) => {
            let until = hold.until.format("%F %TZ");
            format!(
                "{who} holds {site} until {until}, so that nobody else changes it: {}",
                hold.reason
            )
        }
        Event::HoldReleased { holder, reason } => {
            let why = reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let holder = actor_name(holder);
            format!("{who} released {site}, which {holder} held{why}")
        }
        Event::MaintenanceRequested { page: Some(page), .. } => {
            let until = page.until.format("%F %TZ");
            let message = &page.message;
            format!("{who} asked to put {site} under maintenance until {until}: “{message}”")
        }
        Event::MaintenanceRequested { page: None, .. } => {
            format!("{who} asked to end the maintenance of {site}")
        }
        Event::MaintenanceChanged { page: Some(_), .. } => {
            format!("{site} is under maintenance: visitors get a page that says so")
        }
        Event::MaintenanceChanged { page: None, .. } => {
            format!("The maintenance of {site} is over: visitors get the site")
        }
        Event::MaintenanceChangeStopped { run } => {
            let run = teller.name(run);
            format!("{run} did not come to its end: visitors of {site} get what they got before")
        }
        Event::TestLinkMade { link, .. } => {
            let (to, until) = (teller.name(link.appserver), link.until.format("%F %TZ"));
            format!("{who} made a test link to {to}, which leads there until {until}")
        }
        Event::TestLinkDropped { run, .. } => {
            format!("{} did not publish its test link: it leads nowhere", teller.name(run))
        }
        Event::NamesRecovered {} => format!("Visitors reach {site} under all of its names again"),
    }
}
