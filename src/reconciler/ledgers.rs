//! Ledgers follow what is known of machines.

use crate::app::{App, AppError};
use crate::processes::resource::Resource;
use crate::processes::resource::machine::ServerMachine;
use ocim_domain::ids::{AppserverId, InstanceId, ServerId};
use ocim_domain::ledger::Command;
use ocim_domain::server::{Present, Server, Status};

/// Has the ledger of a machine's instance say what the Server says. What it says already is no event.
///
/// # Errors
/// What the store says.
pub(super) async fn follow_server(
    app: &App,
    id: ServerId,
    appserver: AppserverId,
) -> Result<(), AppError> {
    let instance = match app.load_appserver(appserver).await {
        Ok(appserver) => appserver.launched.instance,
        // Its launch is about to freeze it, and tells the ledger itself.
        Err(AppError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    loop {
        let Some(server) = load_server(app, id).await? else { return Ok(()) };
        let status = server.status;
        for command in commands(instance, id, server) {
            app.observe_resource(instance, command).await?;
        }
        // A run may have gone on meanwhile, and have told the ledger before.
        if load_server(app, id).await?.is_some_and(|server| server.status == status) {
            return Ok(());
        }
    }
}

async fn load_server(app: &App, id: ServerId) -> Result<Option<Present>, AppError> {
    Ok(app.journal().load::<Server>(&id.stream()).await?.state.present().cloned())
}

/// What a Server means for the entry of its machine.
fn commands(instance: InstanceId, id: ServerId, server: Present) -> Vec<Command> {
    let (status, machine, reason) =
        (server.status, server.machine.clone(), server.reason.clone().unwrap_or_default());
    let resource = ServerMachine { instance, id, server }.describe();
    let id = resource.id.clone();
    match (status, machine) {
        (Status::Building | Status::Booting | Status::Ready, Some(provider_id)) => {
            vec![Command::Want(resource), Command::FindPresent { id, provider_id }]
        }
        (Status::Vanished | Status::Terminated, _) => vec![Command::FindAbsent { id }],
        (Status::Unknown, _) => vec![Command::LoseSight { id, reason }],
        _ => vec![],
    }
}
