//! The daily look at what others read of sites: what is missing or differs is written, what is left of sites
//! that are archived or deleted is removed.

use super::publish_metadata::publish;
use super::step::{StepContext, StepError};
use futures_util::{StreamExt, TryStreamExt, stream};
use ocim_adapters::logs::Level;
use ocim_adapters::metadata::MetadataStore;
use ocim_domain::ids::InstanceId;
use ocim_domain::saga::ErrorClass;
use ocim_domain::timer::Outcome;
use ocim_engine::sagas::host::Host;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// Sites that are looked at beside each other.
const AT_ONCE: usize = 8;

/// What became of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    AsItWas,
    Changed,
    Refused,
}

/// Looks at all that the service has, and at each site. What refuses one site is asked for the others all
/// the same; what does not answer, or is paused or locked, ends the look, which is made again.
pub(super) async fn update_metadata(context: &StepContext) -> Result<Outcome, StepError> {
    let Some(store) = context.world.ports.metadata.clone() else {
        context.say("CONSUL_ENABLED is off: nobody is told of sites").await;
        return Ok(Outcome::MetadataUpdated { instances: 0, changed: 0, removed: 0, failed: 0 });
    };
    let (mut gone, mut strange) = (vec![], 0_u64);
    let sites: BTreeSet<_> = context.world.app.list_published_sites().await?.into_iter().collect();
    for id in store.list_sites().await? {
        let site = id.parse::<Uuid>().ok().map(InstanceId).filter(|site| site.0.to_string() == id);
        match site {
            Some(site) if sites.contains(&site) => {}
            Some(site) if is_ours(context, site).await? => gone.push(site),
            Some(_) | None => strange += 1,
        }
    }
    let instances = u64::try_from(sites.len()).unwrap_or(u64::MAX);
    let gone = look_at_all(context, &store, gone).await?;
    let known = look_at_all(context, &store, sites).await?;
    let count =
        |looks: &[Look], what: Look| looks.iter().filter(|look| **look == what).count() as u64;
    let (changed, removed) = (count(&known, Look::Changed), count(&gone, Look::Changed));
    let failed = count(&known, Look::Refused) + count(&gone, Look::Refused);
    let text = format!(
        "looked at {instances} sites: {changed} told anew, {removed} that are gone removed, {failed} refused; \
         {strange} parts are somebody else's and stay"
    );
    context.say(text).await;
    Ok(Outcome::MetadataUpdated { instances, changed, removed, failed })
}

async fn look_at_all(
    context: &StepContext,
    store: &Arc<dyn MetadataStore>,
    sites: impl IntoIterator<Item = InstanceId>,
) -> Result<Vec<Look>, StepError> {
    let looks = sites.into_iter().map(|site| look(context, store, site));
    stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await
}

async fn look(
    context: &StepContext,
    store: &Arc<dyn MetadataStore>,
    site: InstanceId,
) -> Result<Look, StepError> {
    match publish(context, store, site).await {
        Ok(written) if written.is_changed => Ok(Look::Changed),
        Ok(_) => Ok(Look::AsItWas),
        Err(error) if error.class == ErrorClass::Permanent => {
            let text = format!("{site} could not be told of: {error}");
            context.world.say(context.run, context.step, Level::Error, text).await;
            Ok(Look::Refused)
        }
        Err(error) => Err(error),
    }
}

/// Whether this Ocim ever had that instance: others may share the service.
async fn is_ours(context: &StepContext, site: InstanceId) -> Result<bool, StepError> {
    match context.world.app.load_instance(site).await {
        Ok(_) => Ok(true),
        Err(crate::app::AppError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
