//! What an instance has outside, in one shape: made, looked for, removed, and kept in its ledger.
//!
//! A kind of resource says how it is made, found and removed; the steps that do so, with their probe,
//! their undo and what they write into the ledger, are the same for all kinds.

pub mod dns_name;
pub mod dns_names;
pub mod fragment;
pub mod machine;
pub mod machine_names;
pub mod monitor;
pub mod provisioned;
pub mod removal;
pub mod security_groups;

use super::step::{Found, Progress, StepContext, StepError, done, found, undone};
use crate::app::AppError;
use async_trait::async_trait;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Command, Entry, Leaves, Ledger, ledger_id};
use ocim_domain::saga::{ErrorClass, RunRecord};
use provisioned::ProvisionedItem;

/// Which resources a step is about.
#[derive(Debug)]
pub enum Wanted<R> {
    /// These.
    These(Vec<R>),
    /// None is needed, for this reason.
    Nothing(String),
}

/// Something outside that an instance has.
#[async_trait]
pub trait Resource: Sized + Send + Sync {
    /// What a step that makes them gives.
    type Output: RunRecord;

    /// Those that the run of this step wants. Only steps ask; what others make needs none.
    async fn wanted(context: &StepContext) -> Result<Wanted<Self>, StepError>;

    /// Whose it is.
    fn instance(&self) -> InstanceId;

    /// What it is, by a key that never changes, and what people call it.
    fn describe(&self) -> ledger::Resource;

    /// Makes it, or finds the one that was made with its key. Gives what its provider calls it.
    async fn ensure(&self, context: &StepContext) -> Result<String, StepError>;

    /// Makes these, which are one instance's, and gives what their provider calls them. All wishes are
    /// recorded before it hears of any, and all that is there once no more is made.
    async fn ensure_all(context: &StepContext, wanted: &[Self]) -> Result<Vec<String>, StepError> {
        record_all_wanted(context, wanted).await?;
        let (mut made, mut failure) = (Vec::with_capacity(wanted.len()), None);
        for resource in wanted {
            match resource.ensure(context).await {
                Ok(provider_id) => made.push(provider_id),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        record_all_present(context, wanted, &made).await?;
        let Some(error) = failure else { return Ok(made) };
        for unmade in wanted.iter().skip(made.len()) {
            if !forget_unmade(context, unmade, &error).await? {
                break;
            }
        }
        Err(error)
    }

    /// What its provider calls it; `None` when the provider says that there is none.
    async fn find(&self, context: &StepContext) -> Result<Option<String>, StepError>;

    /// Asks the provider to remove it. It is gone when [`Resource::find`] finds none.
    async fn remove(&self, context: &StepContext, provider_id: &str) -> Result<(), StepError>;

    /// Told when it is there, beside the ledger.
    async fn note_present(&self, _: &StepContext, _provider_id: &str) -> Result<(), StepError> {
        Ok(())
    }

    /// Told when it is gone, beside the ledger.
    async fn note_absent(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }

    /// Told when it can't be told whether it is there, beside the ledger.
    async fn note_unknown(&self, _: &StepContext, _reason: &str) -> Result<(), StepError> {
        Ok(())
    }

    /// What later steps read of a step that has made these.
    ///
    /// # Errors
    /// Where there are more, or fewer, than the step makes.
    fn output(made: &[(Self, String)]) -> Result<Self::Output, StepError>;
}

/// The step that makes the resources.
pub async fn ensure<R: Resource>(context: StepContext) -> Result<Progress, StepError> {
    let wanted = R::wanted(&context).await?;
    ensure_wanted(&context, wanted).await
}

/// As [`ensure`], of these.
///
/// # Errors
/// What a provider or the store says.
pub async fn ensure_wanted<R: Resource>(
    context: &StepContext,
    wanted: Wanted<R>,
) -> Result<Progress, StepError> {
    let wanted = match wanted {
        Wanted::These(wanted) => wanted,
        Wanted::Nothing(reason) => return Ok(Progress::Skipped(reason)),
    };
    let provider_ids = R::ensure_all(context, &wanted).await?;
    let made: Vec<_> = wanted.into_iter().zip(provider_ids).collect();
    done(R::output(&made)?)
}

/// The probe of that step: whether all are there.
pub async fn probe<R: Resource>(context: StepContext) -> Result<Found, StepError> {
    let Wanted::These(wanted) = R::wanted(&context).await? else { return Ok(Found::Absent) };
    let mut made = Vec::with_capacity(wanted.len());
    for resource in wanted {
        let Some(provider_id) = resource.find(&context).await? else { return Ok(Found::Absent) };
        record_present(&context, &resource, &provider_id).await?;
        made.push((resource, provider_id));
    }
    found(R::output(&made)?)
}

/// Removes what the ledger of an instance has, and looks until it is gone, which most is at once: of those
/// kinds that leave with a deletion. Those that leave before have steps of their own.
///
/// # Errors
/// What its provider says.
pub async fn remove_known(
    context: &StepContext,
    instance: InstanceId,
    known: &Entry,
) -> Result<Progress, StepError> {
    match known.resource.id.kind.leaves() {
        Leaves::WithDeletion => {
            let item = ProvisionedItem::known(context, instance, known).await?;
            match remove_one(context, &item).await? {
                Progress::NotYet { .. } if look_for(context, &item).await?.is_none() => {
                    undone("it is gone")
                }
                removed => Ok(removed),
            }
        }
        Leaves::WithArchive | Leaves::Never => undone("it leaves before, or is not its own"),
    }
}

/// Makes one resource, and records that it is there. The wish is recorded before its provider hears
/// of it.
pub async fn ensure_one<R: Resource>(
    context: &StepContext,
    resource: &R,
) -> Result<String, StepError> {
    record(context, resource, Command::Want(resource.describe())).await?;
    match resource.ensure(context).await {
        Ok(provider_id) => {
            record_present(context, resource, &provider_id).await?;
            Ok(provider_id)
        }
        Err(error) => {
            forget_unmade(context, resource, &error).await?;
            Err(error)
        }
    }
}

/// What nobody will make because of this error is not wanted any more where it is seen not to be there.
/// Tells whether there is any use in looking for more of the kind: its provider let itself be asked.
async fn forget_unmade<R: Resource>(
    context: &StepContext,
    resource: &R,
    error: &StepError,
) -> Result<bool, StepError> {
    if error.class != ErrorClass::Permanent {
        return Ok(false);
    }
    match resource.find(context).await {
        Ok(None) => {
            let id = resource.describe().id;
            record(context, resource, Command::FindAbsent { id }).await?;
            Ok(true)
        }
        Ok(Some(_)) => Ok(true),
        Err(_) => Ok(false),
    }
}

/// Removes one resource, and looks until it is gone. Only observed absence counts.
pub async fn remove_one<R: Resource>(
    context: &StepContext,
    resource: &R,
) -> Result<Progress, StepError> {
    let Some(provider_id) = look_for(context, resource).await? else {
        return undone("it is gone");
    };
    match resource.remove(context, &provider_id).await {
        Ok(()) => Ok(Progress::NotYet { again_in: context.world.limits.poll_interval }),
        Err(error) => Err(note_unremoved(context, resource, error).await),
    }
}

/// Looks for a resource that is to be gone, and records it when it is, or when that can't be told.
async fn look_for<R: Resource>(
    context: &StepContext,
    resource: &R,
) -> Result<Option<String>, StepError> {
    match resource.find(context).await {
        Ok(None) => record_absent(context, resource).await.map(|()| None),
        Ok(found) => Ok(found),
        Err(error) => Err(lose_sight(context, resource, error).await),
    }
}

/// Notes how the removal of a resource fails that was seen; gives the error.
async fn note_unremoved<R: Resource>(
    context: &StepContext,
    resource: &R,
    error: StepError,
) -> StepError {
    match error.class {
        // Its removal is refused: it is there.
        ErrorClass::Permanent => error,
        _ => lose_sight(context, resource, error).await,
    }
}

/// Records that it can't be told whether a resource is there, because of this error, and gives that.
async fn lose_sight<R: Resource>(
    context: &StepContext,
    resource: &R,
    error: StepError,
) -> StepError {
    let (id, reason) = (resource.describe().id, error.message.clone());
    let noted = match resource.note_unknown(context, &reason).await {
        Ok(()) => record(context, resource, Command::LoseSight { id, reason }).await,
        failed => failed,
    };
    noted.err().unwrap_or(error)
}

/// Records that a resource is gone, which its provider has said.
pub async fn record_absent<R: Resource>(
    context: &StepContext,
    resource: &R,
) -> Result<(), StepError> {
    resource.note_absent(context).await?;
    let id = resource.describe().id;
    record(context, resource, Command::FindAbsent { id }).await
}

async fn record_all_wanted<R: Resource>(
    context: &StepContext,
    wanted: &[R],
) -> Result<(), StepError> {
    let Some(first) = wanted.first() else { return Ok(()) };
    let all = wanted.iter().map(Resource::describe).collect();
    record(context, first, Command::WantAll(all)).await
}

/// Records that those are there whose providers' names are given, in their order.
async fn record_all_present<R: Resource>(
    context: &StepContext,
    wanted: &[R],
    made: &[String],
) -> Result<(), StepError> {
    let Some(first) = wanted.first().filter(|_| !made.is_empty()) else { return Ok(()) };
    let made = || wanted.iter().zip(made);
    for (resource, provider_id) in made() {
        resource.note_present(context, provider_id).await?;
    }
    let found = made().map(|(resource, id)| (resource.describe().id, id.clone())).collect();
    record(context, first, Command::FindAllPresent(found)).await
}

async fn record_present<R: Resource>(
    context: &StepContext,
    resource: &R,
    provider_id: &str,
) -> Result<(), StepError> {
    resource.note_present(context, provider_id).await?;
    let (id, provider_id) = (resource.describe().id, provider_id.to_owned());
    record(context, resource, Command::FindPresent { id, provider_id }).await
}

async fn record<R: Resource>(
    context: &StepContext,
    resource: &R,
    command: Command,
) -> Result<(), StepError> {
    let stream = ledger_id(resource.instance()).stream();
    let journal = context.world.app.journal();
    let recorded = journal.execute::<Ledger>(&stream, &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}
