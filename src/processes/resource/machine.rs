//! The machine of a Server: its id is the key that the machine is made with.

use super::super::machines::{load_server, record_server, server_of};
use super::super::step::{StepContext, StepError};
use super::{Resource, Wanted};
use async_trait::async_trait;
use ocim_adapters::cloud::MachineSpec;
use ocim_domain::ids::{InstanceId, ServerId};
use ocim_domain::ledger::{self, Kind, ResourceKey};
use ocim_domain::run_record::{CreatedServer, LaunchInput};
use ocim_domain::saga::{ErrorClass, ErrorCode};
use ocim_domain::server::{self, Command, Status};

/// The machine of a Server.
#[derive(Debug)]
pub struct ServerMachine {
    /// Whose it is.
    pub instance: InstanceId,
    /// The Server.
    pub id: ServerId,
    /// What is known of it.
    pub server: server::Present,
}

#[async_trait]
impl Resource for ServerMachine {
    type Output = CreatedServer;

    async fn wanted(context: &StepContext) -> Result<Wanted<Self>, StepError> {
        let input: LaunchInput = context.input()?;
        let id = server_of(context);
        let server = load_server(context, id).await?;
        Ok(Wanted::These(vec![Self { instance: input.instance, id, server }]))
    }

    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn describe(&self) -> ledger::Resource {
        let requested = &self.server.requested;
        ledger::Resource {
            id: ResourceKey::new(Kind::Machine, self.id),
            name: requested.name.clone(),
            place: requested.region.clone(),
            owner: requested.appserver.to_string(),
        }
    }

    /// The intent is on the Server before the cloud hears of it.
    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        if self.server.status == Status::Pending {
            record_server(context, self.id, Command::StartBuilding).await?;
        }
        let requested = &self.server.requested;
        let spec = MachineSpec {
            key: self.id.0,
            name: requested.name.clone(),
            flavor: requested.flavor.clone(),
            image: requested.image.clone(),
            keyname: requested.keyname.clone(),
            security_groups: requested.security_groups.clone(),
        };
        context.say(format!("asking region {} for `{}`", requested.region, spec.name)).await;
        let cloud = context.world.cloud(&requested.region)?;
        let created = match cloud.check_selectors(&spec.flavor, &spec.image).await {
            Ok(()) => cloud.create_machine(&spec).await,
            Err(error) => Err(error),
        };
        match created.map_err(StepError::from) {
            Ok(machine) => Ok(machine.id),
            Err(error) => {
                if error.class == ErrorClass::Permanent {
                    let reason = error.message.clone();
                    record_server(context, self.id, Command::FailBuild { reason }).await?;
                }
                Err(error)
            }
        }
    }

    /// The recorded one stays where there are two: a late duplicate bears the same key.
    async fn find(&self, context: &StepContext) -> Result<Option<String>, StepError> {
        if self.server.status == Status::Terminated {
            return Ok(None);
        }
        let cloud = context.world.cloud(&self.server.requested.region)?;
        let recorded = match &self.server.machine {
            Some(machine) => cloud.read_machine(machine).await?,
            None => None,
        };
        let found = match recorded {
            None => cloud.find_machine(self.id.0).await?,
            recorded => recorded,
        };
        Ok(found.map(|machine| machine.id))
    }

    async fn remove(&self, context: &StepContext, provider_id: &str) -> Result<(), StepError> {
        let cloud = context.world.cloud(&self.server.requested.region)?;
        Ok(cloud.delete_machine(provider_id).await?)
    }

    async fn note_present(&self, context: &StepContext, machine: &str) -> Result<(), StepError> {
        let machine = machine.to_owned();
        record_server(context, self.id, Command::RecordMachine { machine }).await
    }

    async fn note_absent(&self, context: &StepContext) -> Result<(), StepError> {
        record_server(context, self.id, Command::Terminate).await
    }

    async fn note_unknown(&self, context: &StepContext, reason: &str) -> Result<(), StepError> {
        let command = Command::LoseSight { reason: reason.to_owned() };
        // From Pending or Failed there is no way to Unknown: the refusal is of no interest.
        drop(record_server(context, self.id, command).await);
        Ok(())
    }

    fn output(made: &[(Self, String)]) -> Result<CreatedServer, StepError> {
        match made {
            [(server, machine)] => {
                Ok(CreatedServer { server: server.id, machine: machine.clone() })
            }
            _ => Err(StepError::permanent(ErrorCode::Defect, "a launch has one machine")),
        }
    }
}
