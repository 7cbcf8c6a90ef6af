//! Steps about the servers that sites share: which of them an instance uses, and how its machines reach
//! them.

use super::step::{Progress, StepContext, StepError, done};
use crate::app::App;
use ocim_domain::configuration::services::{
    MongodbService, MysqlService, RabbitmqService, Services,
};
use ocim_domain::protected::Protected;
use ocim_domain::run_record::{AssignedServers, LaunchInput};
use ocim_domain::saga::ErrorCode;
use ocim_domain::shared_server::{Address, Mongodb, Mysql, Rabbitmq, Registration, SharedServers};

/// Has the instance use a server of each kind that accepts it; what it has stays.
pub async fn assign_servers(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let servers = context.world.app.assign_servers(&context.metadata(), input.instance).await?;
    let assigned = AssignedServers {
        mysql: servers.mysql.as_ref().map(|used| used.server),
        mongodb: servers.mongodb.as_ref().map(|used| used.server),
        rabbitmq: servers.rabbitmq.as_ref().map(|used| used.server),
    };
    tell_server::<Mysql>(&context, assigned.mysql).await?;
    tell_server::<Mongodb>(&context, assigned.mongodb).await?;
    tell_server::<Rabbitmq>(&context, assigned.rabbitmq).await?;
    done(assigned)
}

async fn tell_server<A: Address>(
    context: &StepContext,
    server: Option<A::Id>,
) -> Result<(), StepError> {
    if let Some(id) = server {
        let known = context.world.app.shared_server::<A>(id).await?;
        context.say(format!("the site uses the {} {}", A::NOUN, known.registration)).await;
    }
    Ok(())
}

/// The servers that an instance uses, as they are known now, with its accounts there.
pub async fn find_services(app: &App, servers: &SharedServers) -> Result<Services, StepError> {
    let mut services = Services::default();
    if let Some(used) = &servers.mysql {
        let Mysql { host, port, .. } = load::<Mysql>(app, used.server).await?.address;
        let (user, password) = (used.user.clone(), open(&used.password)?);
        services.mysql = Some(MysqlService { host, port, user, password });
    }
    if let Some(used) = &servers.mongodb {
        let known = load::<Mongodb>(app, used.server).await?.address;
        let Mongodb { hosts, primary, port, replica_set, .. } = known;
        let (user, password) = (used.user.clone(), open(&used.password)?);
        services.mongodb =
            Some(MongodbService { hosts, primary, port, replica_set, user, password });
    }
    if let Some(used) = &servers.rabbitmq {
        let known = load::<Rabbitmq>(app, used.server).await?.address;
        services.rabbitmq = Some(RabbitmqService {
            host: known.instance_host,
            port: known.instance_port,
            vhost: used.vhost.clone(),
            user: used.provider.user.clone(),
            password: open(&used.provider.password)?,
        });
    }
    Ok(services)
}

/// What is known of a server now.
///
/// # Errors
/// What the store says.
pub async fn load<A: Address>(app: &App, id: A::Id) -> Result<Registration<A>, StepError> {
    Ok(app.shared_server::<A>(id).await?.registration)
}

fn open(password: &Protected) -> Result<String, StepError> {
    let unreadable = || {
        let message = "the site's passwords on shared servers can't be read";
        StepError::permanent(ErrorCode::UnreadableSecret, message)
    };
    password.open().map(str::to_owned).ok_or_else(unreadable)
}
