//! What watches a site from outside: it follows the traffic, and leaves with it.

use super::super::balancers::Site;
use super::super::step::{Progress, StepContext, StepError, done};
use super::super::traffic::instance_of;
use super::removal::Removal;
use super::{Resource, Wanted, ensure_one, record_absent, remove_one};
use async_trait::async_trait;
use ocim_adapters::monitoring::Monitoring;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::ledger::{self, Entry, Kind, ResourceKey};
use ocim_domain::run_record::LifecycleInput;
use ocim_domain::saga::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Mutex;

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
    /// Whom it is to write to; those who are told once stay.
    recipients: Vec<String>,
}

impl SiteMonitor {
    /// A monitor that the ledger of an instance has.
    ///
    /// # Errors
    /// Permanent when no key is configured any more.
    fn known(
        context: &StepContext,
        instance: InstanceId,
        known: &Entry,
    ) -> Result<Self, StepError> {
        let service = context.world.ports.monitoring.clone().ok_or_else(|| {
            let resource = &known.resource;
            let text = format!(
                "nothing is configured to reach {}, where {} is watched",
                resource.place, resource.name
            );
            StepError::permanent(ErrorCode::MonitoringNotConfigured, text)
        })?;
        let (url, id) = (known.resource.id.key.clone(), known.provider_id.clone());
        Ok(Self { service, instance, url, id, is_muted: false, recipients: vec![] })
    }

    async fn add_missing_recipients(&self, id: &str) -> Result<(), StepError> {
        if self.recipients.is_empty() {
            return Ok(());
        }
        let known = self.service.list_recipients(id).await?;
        let is_known = |address: &String| known.iter().any(|it| it.eq_ignore_ascii_case(address));
        let missing: Vec<_> =
            self.recipients.iter().filter(|address| !is_known(address)).cloned().collect();
        if !missing.is_empty() {
            self.service.add_recipients(id, &missing).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Resource for SiteMonitor {
    type Output = ();

    async fn wanted(_: &StepContext) -> Result<Wanted<Self>, StepError> {
        Ok(Wanted::Nothing("monitors follow the traffic".to_owned()))
    }

    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn describe(&self) -> ledger::Resource {
        ledger::Resource {
            id: ResourceKey::new(Kind::Monitor, &self.url),
            name: self.url.clone(),
            place: self.service.place(),
            owner: self.instance.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => {
                let id = self.service.create_monitor(&self.url, self.is_muted).await?;
                context.say(format!("{} is watched from now on", self.url)).await;
                id
            }
        };
        self.add_missing_recipients(&id).await?;
        Ok(id)
    }

    async fn find(&self, _: &StepContext) -> Result<Option<String>, StepError> {
        if let Some(id) = &self.id {
            return Ok(self.service.read_monitor(id).await?.map(|monitor| monitor.id));
        }
        let found = self.service.find_monitors(std::slice::from_ref(&self.url)).await?;
        Ok(found.into_iter().next().map(|monitor| monitor.id))
    }

    async fn remove(&self, _: &StepContext, id: &str) -> Result<(), StepError> {
        Ok(self.service.remove_monitor(id).await?)
    }

    fn output(_: &[(Self, String)]) -> Result<(), StepError> {
        Ok(())
    }
}

/// Step of runs that move traffic: has the pages be watched that visitors get, and none when they get none.
///
/// One run at a time does so, and reads under the lock who is in traffic, so that of several the last one
/// delivers what all recorded.
pub async fn update_monitors(context: StepContext) -> Result<Progress, StepError> {
    let id = instance_of(&context).await?;
    let lock = lock_of(&context, id);
    let _one_at_a_time = lock.lock().await;
    let known = monitors_of(&context, id).await?;
    let Some(service) = context.world.ports.monitoring.clone() else {
        let reason = if known.is_empty() {
            "nobody is configured to watch sites"
        } else {
            "nobody is configured any more to watch sites: its monitors stay as they are"
        };
        return Ok(Progress::Skipped(reason.to_owned()));
    };
    let (instance, _) = context.world.app.load_instance(id).await?;
    let urls = find_wanted(&context, &*service, id, &instance, &known).await?;
    let (wanted, stale): (Vec<_>, Vec<_>) =
        known.iter().partition(|entry| urls.contains(&entry.resource.id.key));
    let mut removal = Removal::default();
    for entry in stale {
        removal.note(remove_monitor(&context, id, entry).await);
    }
    let present = find_present(&context, id, &*service, &wanted).await?;
    for url in urls {
        let monitor = SiteMonitor {
            service: Arc::clone(&service),
            instance: id,
            id: present.get(&url).cloned(),
            url,
            is_muted: instance.maintenance.is_some(),
            recipients: find_recipients(&context, &instance),
        };
        ensure_one(&context, &monitor).await?;
    }
    removal.end(&context, Kind::Monitor).await
}

/// Step: has nobody watch the instance any more.
pub async fn remove_monitors(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let lock = lock_of(&context, input.instance);
    let _one_at_a_time = lock.lock().await;
    let mut removal = Removal::default();
    for entry in monitors_of(&context, input.instance).await? {
        removal.note(remove_monitor(&context, input.instance, &entry).await);
    }
    removal.end(&context, Kind::Monitor).await
}

/// Step: has the monitors write to nobody while visitors get a page instead of the site, and again when
/// they don't.
pub async fn mute_monitors(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let lock = lock_of(&context, input.instance);
    let _one_at_a_time = lock.lock().await;
    let known = monitors_of(&context, input.instance).await?;
    let Some(service) = context.world.ports.monitoring.as_ref().filter(|_| !known.is_empty())
    else {
        return Ok(Progress::Skipped("nobody watches the site".to_owned()));
    };
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    let is_muted = instance.maintenance.is_some();
    for id in known.iter().filter_map(|entry| entry.provider_id.as_deref()) {
        let found = service.read_monitor(id).await?;
        // One that is gone is made again with the next activation.
        if found.is_some_and(|monitor| monitor.is_muted != is_muted) {
            service.mute_monitor(id, is_muted).await?;
        }
    }
    done(())
}

fn lock_of(context: &StepContext, instance: InstanceId) -> Arc<Mutex<()>> {
    context.world.balancer_lock(&format!("monitors of {instance}"))
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
async fn find_wanted(
    context: &StepContext,
    service: &dyn Monitoring,
    id: InstanceId,
    instance: &instance::Present,
    known: &[Entry],
) -> Result<Vec<String>, StepError> {
    let Some(site) = Site::load(context, id).await? else { return Ok(vec![]) };
    if !service.may_watch(site.registration.address.ip) {
        return Ok(vec![]);
    }
    let known: Vec<_> = known.iter().map(|entry| entry.resource.id.key.clone()).collect();
    Ok(instance.monitored_urls(&known))
}

/// What the service calls those that are there, by their pages. One that a call has made whose answer was
/// lost is found by its page; those of other people that watch the same page stay theirs.
async fn find_present(
    context: &StepContext,
    instance: InstanceId,
    service: &dyn Monitoring,
    known: &[&Entry],
) -> Result<BTreeMap<String, String>, StepError> {
    let mut present = BTreeMap::new();
    let mut in_doubt = vec![];
    for entry in known {
        let url = &entry.resource.id.key;
        let Some(id) = &entry.provider_id else {
            in_doubt.push(url.clone());
            continue;
        };
        match service.read_monitor(id).await? {
            Some(monitor) if monitor.url == *url => drop(present.insert(url.clone(), monitor.id)),
            other => {
                // Somebody had it watch something else: nobody would look after that.
                if other.is_some() {
                    service.remove_monitor(id).await?;
                }
                record_absent(context, &SiteMonitor::known(context, instance, entry)?).await?;
            }
        }
    }
    if !in_doubt.is_empty() {
        let found = service.find_monitors(&in_doubt).await?.into_iter();
        present.extend(found.map(|monitor| (monitor.url, monitor.id)));
    }
    Ok(present)
}

/// Whom monitors write to: administrators, and whom the instance names.
fn find_recipients(context: &StepContext, instance: &instance::Present) -> Vec<String> {
    let named = instance.settings.additional_monitoring_emails.iter();
    let named = named.filter_map(|address| address.open().map(str::to_owned));
    let admins = context.world.deployment.alert_addresses.iter().cloned();
    admins.chain(named).collect::<BTreeSet<_>>().into_iter().collect()
}
