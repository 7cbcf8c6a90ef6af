//! The daily look at what others read of sites: what is missing or differs is written, what is left of sites
//! that are archived or deleted is removed.

use super::publish_metadata::publish;
use super::step::{Costs, StepContext, StepError};
use ocim_adapters::logs::Level;
use ocim_adapters::metadata::MetadataStore;
use ocim_domain::ids::InstanceId;
use ocim_domain::timer::Outcome;
use ocim_engine::sagas::host::Host;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// Instances that are listed at a time.
const PAGE: usize = 200;

/// What has become of those that were looked at.
#[derive(Debug, Default)]
struct Tally {
    instances: u64,
    changed: u64,
    removed: u64,
    failed: u64,
}

/// Looks at each site, and at all that the service has. One that refuses a site is asked for the others all
/// the same; one that does not answer ends the look, which is made again.
pub(super) async fn update_metadata(context: &StepContext) -> Result<Outcome, StepError> {
    let Some(store) = context.world.ports.metadata.clone() else {
        context.say("CONSUL_ENABLED is off: nobody is told of sites").await;
        return Ok(Outcome::MetadataUpdated { instances: 0, changed: 0, removed: 0, failed: 0 });
    };
    let (mut tally, mut after, mut seen) = (Tally::default(), None, BTreeSet::new());
    loop {
        let page = context.world.app.list_published_sites(after, PAGE).await?;
        for site in &page {
            seen.insert(*site);
            tally.instances += 1;
            tally.changed += look(context, &store, *site, &mut tally.failed).await?;
        }
        after = page.last().copied();
        if page.len() < PAGE {
            break;
        }
    }
    let mut strange = 0_u64;
    for id in store.list_sites().await? {
        let site = id.parse::<Uuid>().ok().map(InstanceId).filter(|site| site.0.to_string() == id);
        match site {
            Some(site) if seen.contains(&site) => {}
            Some(site) if is_ours(context, site).await? => {
                tally.removed += look(context, &store, site, &mut tally.failed).await?;
            }
            Some(_) | None => strange += 1,
        }
    }
    let Tally { instances, changed, removed, failed } = tally;
    let text = format!(
        "looked at {instances} sites: {changed} told anew, {removed} that are gone removed, {failed} refused; \
         {strange} parts are somebody else's and stay"
    );
    context.say(text).await;
    Ok(Outcome::MetadataUpdated { instances, changed, removed, failed })
}

/// 1 where anything changed.
async fn look(
    context: &StepContext,
    store: &Arc<dyn MetadataStore>,
    site: InstanceId,
    failed: &mut u64,
) -> Result<u64, StepError> {
    match publish(context, store, site).await {
        Ok(written) => Ok(u64::from(written.is_changed)),
        Err(error) if error.costs == Costs::Outage => Err(error),
        Err(error) => {
            *failed += 1;
            let text = format!("{site} could not be told of: {error}");
            context.world.say(context.run, context.step, Level::Error, text).await;
            Ok(0)
        }
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
