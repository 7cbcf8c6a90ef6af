//! Registers the shared servers of the configuration, once: what is registered stands then.

use crate::app::{App, AppError, Caller};
use crate::config::DefaultServers;
use ocim_domain::protected::Protected;
use ocim_domain::shared_server::{Address, NewServer};

/// What people say of a server on their own, whatever a setting says.
const PEOPLES: [&str; 2] = ["name", "description"];

/// A setting that says otherwise of a server than is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDiffers {
    /// The setting.
    pub setting: &'static str,
    /// The id of the server.
    pub server: String,
    /// The fields in which they differ; none where the server is retired.
    pub fields: Vec<String>,
}

/// Registers each server that is not known yet. Of one that is, a warning says in which fields the
/// setting differs, without any value; nothing of it is changed, nor does it take sites again.
///
/// # Errors
/// What the store says.
pub async fn register_default_servers(
    app: &App,
    servers: &DefaultServers,
) -> Result<Vec<SettingDiffers>, AppError> {
    let mut differing = vec![];
    if let Some(server) = &servers.mysql {
        differing.extend(register(app, "DEFAULT_INSTANCE_MYSQL_URL", server).await?);
    }
    if let Some(server) = &servers.mongodb {
        let setting = match server.address.replica_set {
            Some(_) => "DEFAULT_MONGO_REPLICA_SET_HOSTS",
            None => "DEFAULT_INSTANCE_MONGO_URL",
        };
        differing.extend(register(app, setting, server).await?);
    }
    if let Some(server) = &servers.rabbitmq {
        differing.extend(register(app, "DEFAULT_RABBITMQ_API_URL", server).await?);
    }
    Ok(differing)
}

async fn register<A: Address>(
    app: &App,
    setting: &'static str,
    server: &NewServer<A>,
) -> Result<Option<SettingDiffers>, AppError> {
    let (_, mut wanted) = server.clone().registration();
    let places = wanted.address.places();
    let known = app.list_shared_servers::<A>().await?;
    let is_there = |place: &String| places.contains(place);
    let known = known
        .into_iter()
        .find(|(_, known)| known.registration.address.places().iter().any(is_there));
    let Some((id, known)) = known else {
        let added = app.add_server(&Caller::new("system"), server.clone()).await?;
        tracing::info!(setting, id = %added.value, "registered the {}", A::NOUN);
        return Ok(None);
    };
    // It belongs to what is registered, whichever of its places gave that its id.
    wanted.password = Protected::new(known.registration.password.subject(), &server.password);
    let mut fields = known.registration.differences(&wanted);
    fields.retain(|field| !PEOPLES.contains(&field.as_str()));
    if known.is_retired {
        tracing::warn!(setting, %id, "the {} of the setting is retired: it stays so", A::NOUN);
        fields.clear();
    } else if fields.is_empty() {
        return Ok(None);
    } else {
        let differing = fields.join(", ");
        tracing::warn!(
            setting,
            %id,
            fields = differing,
            "the setting differs from the registered {}, which stands: edit that, or the setting",
            A::NOUN
        );
    }
    Ok(Some(SettingDiffers { setting, server: id.to_string(), fields }))
}
