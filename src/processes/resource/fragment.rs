//! A balancer's part for one instance, as it is to be.

use super::super::balancers::{Site, record_applied};
use super::super::step::{StepContext, StepError};
use super::{Resource, Wanted};
use async_trait::async_trait;
use ocim_adapters::balancer::Fragment;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Kind, ResourceKey};
use ocim_domain::port_error::PortError;

/// The fragment of a site. Whoever makes or removes it holds the balancer's lock.
#[derive(Debug)]
pub struct SiteFragment<'a> {
    /// The site.
    pub site: &'a Site,
    /// What its fragment is to be.
    pub fragment: Fragment,
}

#[async_trait]
impl Resource for SiteFragment<'_> {
    type Output = ();

    /// Steps that move traffic make it, each as its plan says.
    async fn wanted(_: &StepContext) -> Result<Wanted<Self>, StepError> {
        Ok(Wanted::Nothing("the traffic's plan says what it is to be".to_owned()))
    }

    fn instance(&self) -> InstanceId {
        self.site.id
    }

    fn describe(&self) -> ledger::Resource {
        ledger::Resource {
            id: ResourceKey::new(Kind::Fragment, &self.fragment.name),
            name: self.fragment.name.clone(),
            place: self.site.registration.domain.clone(),
            owner: self.site.id.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        self.apply(context, &self.fragment).await?;
        Ok(self.fragment.name.clone())
    }

    async fn find(&self, context: &StepContext) -> Result<Option<String>, StepError> {
        let (host, name) = (self.site.host(), &self.fragment.name);
        let found = context.world.ports.load_balancer.read_fragment(&host, name).await?;
        Ok(found.map(|fragment| fragment.name))
    }

    /// When this returns, `HAProxy` serves it no more.
    async fn remove(&self, context: &StepContext, name: &str) -> Result<(), StepError> {
        let empty = Fragment { name: name.to_owned(), ..Fragment::default() };
        self.apply(context, &empty).await
    }

    async fn note_present(&self, context: &StepContext, _: &str) -> Result<(), StepError> {
        record_applied(context, self.site.load_balancer, &self.fragment).await
    }

    async fn note_absent(&self, context: &StepContext) -> Result<(), StepError> {
        let empty = Fragment { name: self.fragment.name.clone(), ..Fragment::default() };
        record_applied(context, self.site.load_balancer, &empty).await
    }

    fn output(_: &[(Self, String)]) -> Result<(), StepError> {
        Ok(())
    }
}

impl SiteFragment<'_> {
    async fn apply(&self, context: &StepContext, fragment: &Fragment) -> Result<(), StepError> {
        let applied =
            context.world.ports.load_balancer.apply_fragment(&self.site.host(), fragment).await;
        // HAProxy quotes the line that it does not like, which may hold the site's credentials.
        let masker = self.site.masker();
        let warnings = applied.map_err(|error| {
            let message = masker.mask(&error.message);
            PortError { message, ..error }
        })?;
        for warning in warnings {
            context.say(format!("haproxy: {}", masker.mask(&warning))).await;
        }
        Ok(())
    }
}
