//! What a site has on servers that it shares with others: databases, accounts, queues, containers.

use super::super::shared_servers::load;
use super::super::step::{Progress, StepContext, StepError};
use super::super::world::World;
use super::{
    Resource, Wanted, ensure_wanted, record_absent, record_all_present, record_all_wanted,
    record_present,
};
use crate::app::AppError;
use async_trait::async_trait;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Entry, Kind, ResourceKey};
use ocim_domain::provisioning::{
    Item, ItemId, Provisioned, Service, swift_account, swift_items, swift_place, why_no_storage,
};
use ocim_domain::resources::ResourceNames;
use ocim_domain::run_record::LaunchInput;
use ocim_domain::saga::{ErrorClass, ErrorCode};
use ocim_domain::settings::InstanceSettings;
use ocim_domain::shared_server::{Mongodb, Mysql, Rabbitmq, SharedServers};
use std::sync::Arc;

/// Something on a server.
#[derive(Debug)]
pub struct ProvisionedItem {
    service: Arc<Service>,
    instance: InstanceId,
    /// What the server is known by here.
    place: String,
    id: ItemId,
    /// As it is to be; only what is made has it.
    item: Option<Item>,
}

impl ProvisionedItem {
    /// What the ledger of an instance has on some server.
    ///
    /// # Errors
    /// Permanent when nobody knows any more how to reach the server.
    pub async fn known(
        context: &StepContext,
        instance: InstanceId,
        known: &Entry,
    ) -> Result<Self, StepError> {
        let ledger::Resource { id, name, place, .. } = &known.resource;
        let service = Arc::new(find_service(&context.world, instance, id.kind, place).await?);
        let id = ItemId { kind: id.kind, name: name.clone() };
        Ok(Self { service, instance, place: place.clone(), id, item: None })
    }
}

#[async_trait]
impl Resource for ProvisionedItem {
    type Output = ();

    /// Each step says on which server.
    async fn wanted(_: &StepContext) -> Result<Wanted<Self>, StepError> {
        Ok(Wanted::Nothing("no server is named".to_owned()))
    }

    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn describe(&self) -> ledger::Resource {
        let Self { place, id, .. } = self;
        ledger::Resource {
            id: ResourceKey::new(id.kind, format!("{place}/{}", id.name)),
            name: id.name.clone(),
            place: place.clone(),
            owner: self.instance.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        let item = self.item.as_slice();
        context.world.ports.provisioning.ensure(&self.service, item).await?;
        Ok(self.id.name.clone())
    }

    /// All of them are on one server, which takes them by one call.
    async fn ensure_all(context: &StepContext, wanted: &[Self]) -> Result<Vec<String>, StepError> {
        let Some(first) = wanted.first() else { return Ok(vec![]) };
        record_all_wanted(context, wanted).await?;
        let items: Vec<_> = wanted.iter().filter_map(|it| it.item.clone()).collect();
        if let Err(error) = context.world.ports.provisioning.ensure(&first.service, &items).await {
            let error = StepError::from(error);
            if error.class == ErrorClass::Permanent {
                settle_half_made(context, wanted).await?;
            }
            return Err(error);
        }
        let made: Vec<_> = wanted.iter().map(|it| it.id.name.clone()).collect();
        record_all_present(context, wanted, &made).await?;
        Ok(made)
    }

    async fn find(&self, context: &StepContext) -> Result<Option<String>, StepError> {
        let is_there = context.world.ports.provisioning.find(&self.service, &self.id).await?;
        Ok(is_there.then(|| self.id.name.clone()))
    }

    async fn remove(&self, context: &StepContext, _: &str) -> Result<(), StepError> {
        Ok(context.world.ports.provisioning.remove(&self.service, &self.id).await?)
    }

    fn output(_: &[(Self, String)]) -> Result<(), StepError> {
        Ok(())
    }
}

/// Step: makes all that the site has on its server of a kind, and brings in line what is there.
pub async fn provision<A: Provisioned>(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    let Some(used) = A::used(&instance.servers) else {
        return Ok(Progress::Skipped(no_server::<A>()));
    };
    let id = A::server(used);
    let registration = load::<A>(&context.world.app, id).await?;
    let names: ResourceNames = context.need("name_resources")?;
    let service = A::service(registration).ok_or_else(unreadable)?;
    let items = A::items(used, &names).ok_or_else(unreadable)?;
    make(context, input.instance, id.to_string(), service, items).await
}

/// Step: makes the container that the site keeps its uploads in.
pub async fn provision_storage(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    if let Some(why) = why_no_storage(&instance.settings) {
        return Ok(Progress::Skipped(why.to_owned()));
    }
    let names: ResourceNames = context.need("name_resources")?;
    let account = swift_account(&instance.settings).ok_or_else(unreadable)?;
    let place = swift_place(&account);
    make(context, input.instance, place, Service::Swift(account), swift_items(&names)).await
}

async fn make(
    context: StepContext,
    instance: InstanceId,
    place: String,
    service: Service,
    items: Vec<Item>,
) -> Result<Progress, StepError> {
    let service = Arc::new(service);
    let wanted = items.into_iter().map(|item| ProvisionedItem {
        service: Arc::clone(&service),
        instance,
        place: place.clone(),
        id: item.id(),
        item: Some(item),
    });
    let wanted: Vec<_> = wanted.collect();
    let count = wanted.len();
    let made = ensure_wanted(&context, Wanted::These(wanted)).await?;
    context.say(format!("{count} things of the site are as they are to be on the {service}")).await;
    Ok(made)
}

/// Looks at each of those of which nobody will make more, for as long as the server lets itself be asked:
/// what is there is known to be, and the rest is not wanted any more.
async fn settle_half_made(
    context: &StepContext,
    wanted: &[ProvisionedItem],
) -> Result<(), StepError> {
    for item in wanted {
        match item.find(context).await {
            Ok(Some(provider_id)) => record_present(context, item, &provider_id).await?,
            Ok(None) => record_absent(context, item).await?,
            Err(_) => break,
        }
    }
    Ok(())
}

fn no_server<A: Provisioned>() -> String {
    format!("no {} is assigned to the site", A::NOUN)
}

/// Why nothing is made on a server of this kind for an instance that uses these, if that is so.
#[must_use]
pub fn why_not_provisioned<A: Provisioned>(servers: &SharedServers) -> Option<String> {
    A::used(servers).is_none().then(no_server::<A>)
}

/// The server that a resource of the ledger is on.
///
/// # Errors
/// Permanent when nobody knows any more how to reach it.
pub async fn find_service(
    world: &World,
    instance: InstanceId,
    kind: Kind,
    place: &str,
) -> Result<Service, StepError> {
    match kind {
        Kind::MysqlAccount | Kind::MysqlDatabase => registered::<Mysql>(world, place).await,
        Kind::MongodbAccount | Kind::MongodbDatabase => registered::<Mongodb>(world, place).await,
        Kind::RabbitmqUser | Kind::RabbitmqVhost => registered::<Rabbitmq>(world, place).await,
        _ => find_swift(world, instance, place).await,
    }
}

async fn registered<A: Provisioned>(world: &World, place: &str) -> Result<Service, StepError> {
    let id = place.parse().map_err(|_| {
        StepError::permanent(ErrorCode::Defect, format!("{place} is no id of a {}", A::NOUN))
    })?;
    let registration = load::<A>(&world.app, id).await?;
    A::service(registration).ok_or_else(unreadable)
}

/// The account of Swift that was in the settings when the container was made: it may be in them still,
/// else in those of an appserver, or be the one of all sites. A deleted site's own can't be read any more.
async fn find_swift(
    world: &World,
    instance: InstanceId,
    place: &str,
) -> Result<Service, StepError> {
    let (present, _) = world.app.load_instance(instance).await?;
    let account_of = |settings: &InstanceSettings| {
        swift_account(settings).filter(|account| swift_place(account) == place)
    };
    if let Some(account) = account_of(&present.settings) {
        return Ok(Service::Swift(account));
    }
    for id in present.appservers.iter().rev() {
        let loaded = world.app.journal().load::<Appserver>(&id.stream()).await;
        let loaded = loaded.map_err(AppError::from)?.state;
        let settings = loaded.present().map(|appserver| &appserver.launched.settings);
        if let Some(account) = settings.and_then(|settings| account_of(settings)) {
            return Ok(Service::Swift(account));
        }
    }
    let of_all = &world.app.defaults().swift;
    if swift_place(of_all) == place {
        return Ok(Service::Swift(of_all.clone()));
    }
    let message = format!("no settings that can be read name the account of Swift at {place}");
    Err(StepError::permanent(ErrorCode::StorageNotConfigured, message))
}

fn unreadable() -> StepError {
    let message = "the passwords of a shared server, or of the site there, can't be read";
    StepError::permanent(ErrorCode::UnreadableSecret, message)
}
