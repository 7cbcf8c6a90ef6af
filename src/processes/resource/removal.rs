//! Removes what a ledger has of one kind, each until it is seen to be gone, whatever becomes of the others.

use super::super::balancers::Site;
use super::super::step::{Costs, Progress, StepContext, StepError, done};
use super::super::traffic::instance_of;
use super::dns_name::target_of;
use super::dns_names::{lock_names, remove_known_names};
use super::fragment::SiteFragment;
use super::{remove_known, remove_one};
use crate::app::AppError;
use chrono::TimeDelta;
use ocim_adapters::balancer::Fragment;
use ocim_adapters::dns::Target;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::ledger::{self, Kind, Leaves, Ledger, ledger_id};
use ocim_domain::name;
use ocim_domain::names;
use ocim_domain::run_record::{LifecycleInput, MoveInput};
use ocim_domain::saga::ErrorClass;
use std::time::Duration;

/// What is left of a step's time, after one more look, when what is ignored counts as left behind.
const MARGIN: TimeDelta = TimeDelta::seconds(60);

/// So many things are seen to go by one call of a step that has many. Whoever comes so far has not died of it:
/// where nodes die again and again, what goes on is no crash loop.
const BITE: usize = 4;

/// How the removal of several resources goes.
#[derive(Debug, Default)]
pub struct Removal {
    is_pending: bool,
    errors: Vec<StepError>,
}

impl Removal {
    /// Notes how one of them goes; true when it is gone.
    pub fn note(&mut self, removed: Result<Progress, StepError>) -> bool {
        match removed {
            Ok(Progress::NotYet { .. } | Progress::Until(_)) => self.is_pending = true,
            Ok(Progress::Done(_) | Progress::Skipped(_)) => return true,
            Err(error) => self.errors.push(error),
        }
        false
    }

    /// How the step goes that removes those of this kind. What the run ignores is asked for as long
    /// as it may still come to an end and the step has time; then it is left, and stays in the ledger.
    ///
    /// # Errors
    /// The first of theirs, unless the kind is ignored.
    pub async fn end(self, context: &StepContext, kind: Kind) -> Result<Progress, StepError> {
        let Self { is_pending, errors } = self;
        let again_in = context.world.limits.poll_interval;
        if errors.is_empty() && !is_pending {
            return done(());
        }
        let is_nobodys = |error: &StepError| matches!(error.costs, Costs::Outage | Costs::Newer);
        let ignored = match context.input::<MoveInput>()? {
            MoveInput::Instance(input) => input.ignore,
            MoveInput::Appserver(_) | MoveInput::TestLink(_) => vec![],
        };
        let may_pass = |error: &StepError| error.class != ErrorClass::Permanent;
        if !ignored.contains(&kind) || errors.iter().any(is_nobodys) {
            // What is refused for good is told once no other may go any more.
            let passing = errors.iter().position(may_pass);
            return match errors.into_iter().nth(passing.unwrap_or_default()) {
                Some(error) if passing.is_some() || !is_pending => Err(error),
                _ => Ok(Progress::NotYet { again_in }),
            };
        }
        let may_end = is_pending || errors.iter().any(may_pass);
        let next_look = context.time.now() + again_in;
        if may_end && context.deadline - next_look > MARGIN {
            return Ok(Progress::NotYet { again_in });
        }
        for error in &errors {
            context.say(format!("left, as its kind is ignored: {}", error.message)).await;
        }
        done(())
    }
}

/// What the ledger of an instance has of a kind.
///
/// # Errors
/// What the store says.
pub async fn entries_of(
    context: &StepContext,
    instance: InstanceId,
    kind: Kind,
) -> Result<Vec<ledger::Entry>, StepError> {
    let stream = ledger_id(instance).stream();
    let ledger = context.world.app.journal().load::<Ledger>(&stream).await?.state;
    let entries = ledger.entries.into_values();
    Ok(entries.filter(|entry| entry.resource.id.kind == kind).collect())
}

/// Step: takes the instance's part away from every balancer that has one.
pub async fn remove_fragments(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let mut removal = Removal::default();
    for known in entries_of(&context, input.instance, Kind::Fragment).await? {
        removal.note(remove_fragment(&context, input.instance, &known.resource).await);
    }
    removal.end(&context, Kind::Fragment).await
}

async fn remove_fragment(
    context: &StepContext,
    instance: InstanceId,
    known: &ledger::Resource,
) -> Result<Progress, StepError> {
    let site = Site::load_at(context, instance, &known.place).await?;
    let lock = context.world.lock(&known.id.key);
    let _one_at_a_time = lock.lock().await;
    let fragment = Fragment { name: known.id.key.clone(), ..Fragment::default() };
    remove_one(context, &SiteFragment { site: &site, fragment }).await
}

/// Step: takes the instance's names out of the DNS. Those that a former deletion left, and that another
/// instance has by now, are that one's.
pub async fn remove_names(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let _one_at_a_time = lock_names(&context, input.instance).await;
    let mut known = vec![];
    for entry in entries_of(&context, input.instance, Kind::DnsName).await? {
        let name = &entry.resource.id.key;
        if context.world.app.is_anothers_domain(input.instance, name).await? {
            let reason = "another instance has the name by now";
            resolve(&context, input.instance, entry.resource, reason).await?;
        } else {
            known.push(entry);
        }
    }
    let removal = remove_known_names(&context, input.instance, known).await;
    removal.end(&context, Kind::DnsName).await
}

/// Step of runs that move traffic: takes the names out of the DNS that the settings have dropped and
/// nobody is served under any more. They stay reserved, as all names below ours that it ever had there.
pub async fn remove_dropped_names(context: StepContext) -> Result<Progress, StepError> {
    if context.world.ports.dns.is_none() {
        return Ok(Progress::Skipped("no DNS service is configured".to_owned()));
    }
    let id = instance_of(&context).await?;
    let _one_at_a_time = lock_names(&context, id).await;
    let mut known = entries_of(&context, id, Kind::DnsName).await?;
    let (instance, _) = context.world.app.load_instance(id).await?;
    known.retain(|entry| {
        let is_alias = matches!(target_of(&entry.resource), Target::Name(_));
        is_alias && !is_wanted(&instance, &entry.resource.id.key)
    });
    remove_known_names(&context, id, known).await.end(&context, Kind::DnsName).await
}

/// Whether the settings say that a name is to be in the DNS, or visitors are served under it.
fn is_wanted(instance: &instance::Present, name: &str) -> bool {
    let is_it = |other: &str| name::Kind::Domain.key(other) == name::Kind::Domain.key(name);
    let managed = names::managed_domains(&instance.settings);
    managed.iter().any(|name| is_it(name)) || instance.routed_names().hosts().any(is_it)
}

/// Step: takes away all that leaves with a deletion, each by itself: what can't be removed of one kind
/// keeps nothing of another. The ledger alone says what there is, and where.
pub async fn remove_data(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let known = context.world.app.ledger_of(input.instance).await?;
    let (mut gone, mut pending, mut failure, mut refusal) = (0, None, None, None);
    for kind in Kind::ALL.iter().filter(|kind| kind.leaves() == Leaves::WithDeletion) {
        let mut removal = Removal::default();
        for entry in known.iter().filter(|entry| entry.resource.id.kind == *kind) {
            if gone == BITE {
                return Ok(Progress::NotYet { again_in: Duration::ZERO });
            }
            gone += usize::from(removal.note(remove_known(&context, input.instance, entry).await));
        }
        match removal.end(&context, *kind).await {
            Ok(Progress::NotYet { again_in }) => pending = Some(Progress::NotYet { again_in }),
            Ok(_) => {}
            Err(error) if error.class == ErrorClass::Permanent => refusal = refusal.or(Some(error)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match (failure, pending, refusal) {
        (Some(error), _, _) => Err(error),
        (None, Some(pending), _) => Ok(pending),
        // What is refused for good is told once all others are seen to be gone.
        (None, None, Some(error)) => Err(error),
        (None, None, None) => done(()),
    }
}

/// Records that nobody looks after a resource here any more, for this reason.
///
/// # Errors
/// What the store says.
pub async fn resolve(
    context: &StepContext,
    instance: InstanceId,
    resource: ledger::Resource,
    reason: &str,
) -> Result<(), StepError> {
    let command = ledger::Command::Resolve { id: resource.id, reason: reason.to_owned() };
    let stream = ledger_id(instance).stream();
    let journal = context.world.app.journal();
    let resolved = journal.execute::<Ledger>(&stream, &context.metadata(), command).await;
    resolved.map(|_| ()).map_err(|error| AppError::from(error).into())
}
