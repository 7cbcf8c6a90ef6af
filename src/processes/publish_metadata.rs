//! `publish_metadata`: has others read what a site is now, and who serves it, whatever else goes on (infra §8.3).

use super::lifecycle::REMOVAL_TIME;
use super::machines::load_server;
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done};
use ocim_adapters::metadata::MetadataStore;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::run_record::{MetadataInput, ServerInput};
use ocim_domain::saga::ErrorCode;
use ocim_domain::site_metadata::{ActiveServer, SiteMetadata, WrittenMetadata};
use ocim_engine::call;
use std::sync::Arc;
use std::time::Duration;

/// How often a site is told that changes meanwhile.
const LOOKS_MAX: u32 = 5;

/// The process.
///
/// Failure policy: nothing waits for it, and the next change of the site brings another run, as does every
/// day. A service that does not answer costs no attempt; one that refuses leaves the run stuck, to be tried
/// again once that is mended, or abandoned.
pub static PUBLISH_METADATA: Definition = Definition {
    name: "publish_metadata",
    version: 1,
    deadline: Some(|limits| limits.traffic_time),
    on_abandoned: None,
    settles_on_undo: false,
    steps: &[
        Step::new(
            "compose_metadata",
            call!(compose_metadata),
            Kind::NoUndo("it only looks"),
            20,
            |_| Duration::from_secs(60),
        ),
        Step {
            max_elapsed: Some(|_| REMOVAL_TIME),
            ..Step::new(
                "write_metadata",
                call!(write_metadata),
                Kind::Pivot("others read what the site is now"),
                100,
                |_| Duration::from_secs(180),
            )
        },
    ],
};

/// Step: sees that there is something to tell, and says to whom.
async fn compose_metadata(context: StepContext) -> Result<Progress, StepError> {
    let instance = find_instance(&context).await?;
    let Some(store) = context.world.ports.metadata.clone() else { return skip() };
    let text = match compose(&context, instance).await? {
        Some(site) => {
            format!("{} is to have {} keys of the site", store.place(), site.keys().len())
        }
        None => format!("{} is to have nothing of the site", store.place()),
    };
    context.say(text).await;
    done(())
}

/// Step: has the service have what the site is now.
async fn write_metadata(context: StepContext) -> Result<Progress, StepError> {
    let instance = find_instance(&context).await?;
    let Some(store) = context.world.ports.metadata.clone() else { return skip() };
    let written = publish(&context, &store, instance).await?;
    let WrittenMetadata { version, is_changed } = written;
    let told = if is_changed { "changed" } else { "as it was" };
    context.say(format!("{}: version {version}, {told}", store.place())).await;
    done(written)
}

/// Of which site the run is.
async fn find_instance(context: &StepContext) -> Result<InstanceId, StepError> {
    match context.input()? {
        MetadataInput::Instance(input) => Ok(input.instance),
        MetadataInput::Server(ServerInput { server }) => {
            let appserver = load_server(context, server).await?.requested.appserver;
            Ok(context.world.app.load_appserver(appserver).await?.launched.instance)
        }
    }
}

fn skip() -> Result<Progress, StepError> {
    Ok(Progress::Skipped("CONSUL_ENABLED is off".to_owned()))
}

/// Writes what the site is now, or removes what is there of one that is archived or deleted. It looks again
/// afterwards: of several runs, on whichever nodes, the last one tells what all recorded.
pub(super) async fn publish(
    context: &StepContext,
    store: &Arc<dyn MetadataStore>,
    id: InstanceId,
) -> Result<WrittenMetadata, StepError> {
    let lock = context.world.lock(&format!("metadata of {id}"));
    let _one_at_a_time = lock.lock().await;
    let key = id.0.to_string();
    let mut is_changed = false;
    let mut site = compose(context, id).await?;
    for _ in 0..LOOKS_MAX {
        let written = match &site {
            Some(site) => store.write_site(&key, site).await?,
            None => store.remove_site(&key).await?,
        };
        is_changed |= written.is_changed;
        let now = compose(context, id).await?;
        if now == site {
            return Ok(WrittenMetadata { is_changed, ..written });
        }
        site = now;
    }
    Err(StepError::transient("the site changes faster than it can be told"))
}

/// What there is to be told of a site; nothing of one that is archived, deleted, or never came to be.
async fn compose(context: &StepContext, id: InstanceId) -> Result<Option<SiteMetadata>, StepError> {
    let app = &context.world.app;
    let instance = match app.load_instance(id).await {
        Ok((instance, _)) if is_published(&instance) => instance,
        Ok(_) | Err(crate::app::AppError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut active = vec![];
    for id in &instance.active {
        let launched = app.load_appserver(*id).await?.launched;
        let ip = load_server(context, launched.server).await?.address.map(|address| address.ip);
        active.push(ActiveServer { number: launched.number, ip });
    }
    let names = instance.routed_names();
    let (name, settings, key) = (&instance.settings.name, &instance.settings, id.0.to_string());
    let site = SiteMetadata::new(name, settings, &names, &key, &active).map_err(|_| {
        let text = "the site's master secret can't be read";
        StepError::permanent(ErrorCode::UnreadableSecret, text)
    })?;
    Ok(Some(site))
}

/// A site is told of until it is archived, and while it is deleted for as long as visitors get it: its keys
/// open it.
#[must_use]
pub fn is_published(instance: &instance::Present) -> bool {
    use instance::Stage;
    match instance.lifecycle.stage {
        Stage::Live | Stage::Archiving => true,
        Stage::Deleting => !instance.active.is_empty(),
        Stage::Archived | Stage::Unarchiving | Stage::Deleted => false,
    }
}
