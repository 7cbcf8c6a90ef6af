//! The security groups of a launch's machine: shared by all machines of the region, so never removed.

use super::super::machines::{load_server, server_of};
use super::super::step::{StepContext, StepError};
use super::{Resource, Wanted};
use async_trait::async_trait;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Kind, ResourceKey};
use ocim_domain::run_record::LaunchInput;

/// Security groups of one region.
#[derive(Debug)]
pub struct SecurityGroups {
    instance: InstanceId,
    region: String,
    /// The first one is ours, the others must exist.
    names: Vec<String>,
}

#[async_trait]
impl Resource for SecurityGroups {
    type Output = ();

    async fn wanted(context: &StepContext) -> Result<Wanted<Self>, StepError> {
        let input: LaunchInput = context.input()?;
        let requested = load_server(context, server_of(context)).await?.requested;
        if let Some(reason) = context.world.cloud(&requested.region)?.lacks_security_groups() {
            return Ok(Wanted::Nothing(reason.to_owned()));
        }
        let (region, names) = (requested.region, requested.security_groups);
        Ok(Wanted::These(vec![Self { instance: input.instance, region, names }]))
    }

    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn describe(&self) -> ledger::Resource {
        ledger::Resource {
            id: ResourceKey::new(Kind::SecurityGroups, &self.region),
            name: self.name(),
            place: self.region.clone(),
            owner: self.instance.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        context.world.cloud(&self.region)?.ensure_security_groups(&self.names).await?;
        Ok(self.name())
    }

    async fn find(&self, context: &StepContext) -> Result<Option<String>, StepError> {
        let are_there =
            context.world.cloud(&self.region)?.find_security_groups(&self.names).await?;
        Ok(are_there.then(|| self.name()))
    }

    /// Other instances' machines use them, too.
    async fn remove(&self, _: &StepContext, _: &str) -> Result<(), StepError> {
        Ok(())
    }

    fn output(_: &[(Self, String)]) -> Result<(), StepError> {
        Ok(())
    }
}

impl SecurityGroups {
    /// Ours, and how many others: there may be a hundred of them.
    fn name(&self) -> String {
        match &self.names[..] {
            [] => String::new(),
            [ours] => ours.clone(),
            [ours, _] => format!("{ours} and another"),
            [ours, others @ ..] => format!("{ours} and {} others", others.len()),
        }
    }
}
