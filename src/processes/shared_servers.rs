//! Steps about the servers that sites share: which of them an instance uses.

use super::step::{Progress, StepContext, StepError, done};
use ocim_domain::run_record::{AssignedServers, LaunchInput};
use ocim_domain::shared_server::{Address, Assignable, Mongodb, Mysql, Rabbitmq};

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

/// Says why nothing is made on the server of a kind.
pub async fn provision<A: Assignable>(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    let noun = A::NOUN;
    Ok(Progress::Skipped(match A::used(&instance.servers) {
        None => format!("no {noun} is assigned to the site"),
        Some(_) => {
            format!("what the site needs on its {noun} is made by hand: Ocim makes none of it")
        }
    }))
}
