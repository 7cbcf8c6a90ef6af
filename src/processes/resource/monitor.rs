//! What watches a site from outside: it follows what visitors get, and leaves with it.

use super::super::balancers::Site;
use super::super::step::{Progress, StepContext, StepError, done};
use super::removal::Removal;
use super::{Resource, Wanted, ensure_one, record_absent, remove_one};
use async_trait::async_trait;
use ocim_adapters::monitoring::{Monitor, Monitoring};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::ledger::{self, Entry, Kind, ResourceKey};
use ocim_domain::run_record::InstanceInput;
use ocim_domain::saga::{ErrorClass, ErrorCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an order whose answer was lost may still be under way at the service.
const UNDER_WAY: Duration = Duration::from_secs(120);

/// What watches one page.
#[derive(Debug)]
pub struct SiteMonitor {
    service: Arc<dyn Monitoring>,
    instance: InstanceId,
    url: String,
    /// What the service calls it, as far as that is known.
    id: Option<String>,
    /// Whether one that is made now writes to nobody.
    is_muted: bool,
}

impl SiteMonitor {
    /// A monitor that the ledger of an instance has.
    ///
    /// # Errors
    /// Permanent when the service that has it is not configured any more.
    fn known(
        context: &StepContext,
        instance: InstanceId,
        known: &Entry,
    ) -> Result<Self, StepError> {
        let place = &known.resource.place;
        let service = context.world.ports.monitoring.clone();
        let service = service.filter(|service| service.place() == *place).ok_or_else(|| {
            let page = &known.resource.id.key;
            let text = format!("{page} is watched by {place}, which is not configured any more");
            StepError::permanent(ErrorCode::MonitoringNotConfigured, text)
        })?;
        let (url, id) = (known.resource.id.key.clone(), known.provider_id.clone());
        Ok(Self { service, instance, url, id, is_muted: false })
    }

    /// What people call it. No other instance, and nobody who watches the page for himself, calls one so.
    fn name(&self) -> String {
        let id = self.instance.0.simple().to_string();
        format!("{} (Ocim {})", self.url, &id[20..])
    }
}

#[async_trait]
impl Resource for SiteMonitor {
    type Output = ();

    async fn wanted(_: &StepContext) -> Result<Wanted<Self>, StepError> {
        Ok(Wanted::Nothing("who is watched follows what visitors get".to_owned()))
    }

    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn describe(&self) -> ledger::Resource {
        ledger::Resource {
            id: ResourceKey::new(Kind::Monitor, &self.url),
            name: self.name(),
            place: self.service.place(),
            owner: self.instance.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let made = self.service.create_monitor(&self.name(), &self.url, self.is_muted).await;
        let id = made.map_err(|error| {
            let error = StepError::from(error);
            let is_in_doubt = error.class == ErrorClass::Ambiguous;
            let retry_after = if is_in_doubt { Some(UNDER_WAY) } else { error.retry_after };
            StepError { retry_after, ..error }
        })?;
        context.say(format!("{} is watched from now on", self.url)).await;
        Ok(id)
    }

    async fn find(&self, _: &StepContext) -> Result<Option<String>, StepError> {
        if let Some(id) = &self.id {
            return Ok(self.service.read_monitor(id).await?.map(|monitor| monitor.id));
        }
        let found = self.service.find_monitors(&[self.name()]).await?;
        Ok(found.into_iter().next().map(|monitor| monitor.id))
    }

    async fn remove(&self, _: &StepContext, id: &str) -> Result<(), StepError> {
        Ok(self.service.remove_monitor(id).await?)
    }

    fn output(_: &[(Self, String)]) -> Result<(), StepError> {
        Ok(())
    }
}

/// Step: says which pages are to be watched.
pub async fn announce_pages(context: StepContext) -> Result<Progress, StepError> {
    let (id, service) = asked(&context)?;
    let (instance, _) = context.world.app.load_instance(id).await?;
    let pages = find_pages(&context, &*service, id, &instance).await?;
    let told = if pages.is_empty() { "none".to_owned() } else { pages.join(", ") };
    context.say(format!("pages that visitors get: {told}")).await;
    done(())
}

/// Step: has those pages watched that visitors get, and no others of the site.
///
/// It reads under the lock what visitors get, so that of several runs the last one delivers what all
/// recorded.
pub async fn change_monitors(context: StepContext) -> Result<Progress, StepError> {
    let (id, service) = asked(&context)?;
    let lock = lock(&context);
    let _one_at_a_time = lock.lock().await;
    let (instance, _) = context.world.app.load_instance(id).await?;
    let pages = find_pages(&context, &*service, id, &instance).await?;
    let known = monitors_of(&context, id).await?;
    let (wanted, stale): (Vec<_>, Vec<_>) =
        known.iter().partition(|entry| pages.contains(&entry.resource.id.key));
    let mut removal = Removal::default();
    for entry in stale {
        removal.note(remove_monitor(&context, id, entry).await);
    }
    let present = find_present(&context, id, &*service, &wanted).await?;
    let is_muted = instance.maintenance.is_some();
    for monitor in present.values().filter(|monitor| monitor.is_muted != is_muted) {
        service.mute_monitor(&monitor.id, is_muted).await?;
    }
    for url in pages {
        let service = Arc::clone(&service);
        let known = present.get(&url).map(|monitor| monitor.id.clone());
        let monitor = SiteMonitor { service, instance: id, url, id: known, is_muted };
        ensure_one(&context, &monitor).await?;
    }
    removal.end(&context, Kind::Monitor).await
}

/// Step: has the monitors write to administrators, and to whom the instance names. Nobody is taken off.
pub async fn add_recipients(context: StepContext) -> Result<Progress, StepError> {
    let (id, service) = asked(&context)?;
    let (instance, _) = context.world.app.load_instance(id).await?;
    let recipients = find_recipients(&context, &instance);
    if recipients.is_empty() {
        return Ok(Progress::Skipped("nobody is to be written to".to_owned()));
    }
    let lock = lock(&context);
    let _one_at_a_time = lock.lock().await;
    let monitors = monitors_of(&context, id).await?;
    for monitor in monitors.iter().filter_map(|entry| entry.provider_id.as_ref()) {
        // One that is gone is made again with the next change.
        let Some(known) = service.list_recipients(monitor).await? else { continue };
        let is_new = |address: &&String| !known.iter().any(|it| it.eq_ignore_ascii_case(address));
        let missing: Vec<_> = recipients.iter().filter(is_new).cloned().collect();
        if !missing.is_empty() {
            service.add_recipients(monitor, &missing).await?;
        }
    }
    done(())
}

/// Step: has nobody watch the instance any more.
pub async fn remove_monitors(context: StepContext) -> Result<Progress, StepError> {
    let InstanceInput { instance } = context.input()?;
    let lock = lock(&context);
    let _one_at_a_time = lock.lock().await;
    let mut removal = Removal::default();
    for entry in monitors_of(&context, instance).await? {
        removal.note(remove_monitor(&context, instance, &entry).await);
    }
    removal.end(&context, Kind::Monitor).await
}

/// Whose pages a run is about, and who watches.
fn asked(context: &StepContext) -> Result<(InstanceId, Arc<dyn Monitoring>), StepError> {
    let InstanceInput { instance } = context.input()?;
    let service = context.world.ports.monitoring.clone().ok_or_else(|| {
        let text = "nobody is configured any more to watch sites";
        StepError::permanent(ErrorCode::MonitoringNotConfigured, text)
    })?;
    Ok((instance, service))
}

/// One site after the other: together they would ask no faster, and each be slower.
fn lock(context: &StepContext) -> Arc<Mutex<()>> {
    context.world.lock("who watches sites")
}

/// What the ledger of the instance has of them.
async fn monitors_of(context: &StepContext, id: InstanceId) -> Result<Vec<Entry>, StepError> {
    let entries = context.world.app.ledger_of(id).await?.into_iter();
    Ok(entries.filter(|entry| entry.resource.id.kind == Kind::Monitor).collect())
}

async fn remove_monitor(
    context: &StepContext,
    instance: InstanceId,
    known: &Entry,
) -> Result<Progress, StepError> {
    remove_one(context, &SiteMonitor::known(context, instance, known)?).await
}

/// The pages that are to be watched: none where the service can't reach the balancer.
async fn find_pages(
    context: &StepContext,
    service: &dyn Monitoring,
    id: InstanceId,
    instance: &instance::Present,
) -> Result<Vec<String>, StepError> {
    let site = Site::load(context, id).await?;
    let is_reached = site.is_some_and(|site| service.may_watch(site.registration.address.ip));
    Ok(if is_reached { instance.monitored_urls() } else { vec![] })
}

/// Those that are there, by their pages. One whose making was not answered is found by its name.
async fn find_present(
    context: &StepContext,
    instance: InstanceId,
    service: &dyn Monitoring,
    known: &[&Entry],
) -> Result<BTreeMap<String, Monitor>, StepError> {
    let (mut present, mut in_doubt) = (BTreeMap::new(), vec![]);
    for entry in known {
        let known = SiteMonitor::known(context, instance, entry)?;
        let Some(id) = &known.id else {
            in_doubt.push(known.name());
            continue;
        };
        match service.read_monitor(id).await? {
            Some(monitor) if monitor.url == known.url => {
                present.insert(monitor.url.clone(), monitor);
            }
            other => {
                // Somebody had it watch something else: nobody would look after that.
                if other.is_some() {
                    service.remove_monitor(id).await?;
                }
                record_absent(context, &known).await?;
            }
        }
    }
    if !in_doubt.is_empty() {
        let found = service.find_monitors(&in_doubt).await?.into_iter();
        present.extend(found.map(|monitor| (monitor.url.clone(), monitor)));
    }
    Ok(present)
}

/// Whom monitors write to: administrators, and whom the instance names, each once.
fn find_recipients(context: &StepContext, instance: &instance::Present) -> Vec<String> {
    let named = instance.settings.additional_monitoring_emails.iter();
    let named = named.filter_map(|address| address.open().map(str::to_owned));
    let mut recipients: Vec<String> = vec![];
    for address in context.world.deployment.alert_addresses.iter().cloned().chain(named) {
        if !recipients.iter().any(|known| known.eq_ignore_ascii_case(&address)) {
            recipients.push(address);
        }
    }
    recipients
}
