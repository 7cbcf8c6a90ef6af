//! Commands on test links: who comes by one is sent to one Appserver.

use super::error::AppError;
use super::{App, Caller, Done};
use chrono::TimeDelta;
use ocim_domain::appserver::Status;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::test_links::{Command, Refused, TestLink};
use ocim_domain::instance::{self, Instance, Rejected};
use ocim_domain::name::Kind;
use ocim_domain::names::{Service, effective_host};
use ocim_domain::settings::InstanceSettings;
use ocim_engine::journal::ExecuteError;

/// A link that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeLink {
    /// The run that publishes it.
    pub run: RunId,
    /// The link.
    pub link: TestLink,
    /// Whose it is.
    pub instance: InstanceId,
    /// What stands in it. Secret.
    pub secret: String,
    /// The names of the LMS and of Studio.
    pub hosts: [String; 2],
}

impl App {
    /// Makes a link that leads who comes by it to a running Appserver, for so many minutes.
    ///
    /// # Errors
    /// [`AppError::Rejected`] unless it runs; [`AppError::Invalid`] for a time that is too long;
    /// [`AppError::Held`] by somebody else.
    pub async fn make_test_link(
        &self,
        by: &Caller,
        id: AppserverId,
        minutes: u32,
    ) -> Result<Done<MadeLink>, AppError> {
        let appserver = self.load_appserver(id).await?;
        appserver.check_staying().map_err(AppError::rejected)?;
        if appserver.status != Status::Running {
            let status = appserver.status;
            return Err(AppError::rejected(format!(
                "the appserver is {status:?}: links lead to those that are Running"
            )));
        }
        let until = self.journal.now() + TimeDelta::minutes(minutes.into());
        let link = TestLink { id: self.new_id(by, "link"), appserver: id, until };
        let run = RunId(self.new_id(by, "run"));
        let owner = appserver.launched.instance;
        let command = instance::Command::TestLink(Command::Make { run, link });
        let (stream, meta) = (owner.stream(), by.metadata());
        let made = self.journal.execute_once::<Instance>(&stream, &meta, by.ask(command)).await;
        let executed = made.map_err(|error| match error {
            ExecuteError::Rejected(Rejected::TestLink(why @ Refused::Until)) => {
                AppError::invalid("minutes", why.to_string())
            }
            ExecuteError::Rejected(why) => super::appservers::instance_rejected(why),
            error => error.into(),
        })?;
        // Asked once more, it is the link that was made then.
        let link = executed.events.iter().find_map(|event| match event {
            instance::Event::TestLinkMade { link, .. } => Some(*link),
            _ => None,
        });
        let link = link.unwrap_or(TestLink { id: self.new_id(by, "link"), appserver: id, until });
        let (instance, _) = self.load_instance(owner).await?;
        let secret = link.secret(&instance.settings).map_err(AppError::internal)?;
        let hosts = link_hosts(&instance, &appserver.launched.settings);
        let value = MadeLink { run, link, instance: owner, secret, hosts };
        Ok(Done { value, position: executed.position })
    }
}

/// Under which names of the LMS and Studio one gets to an Appserver that was frozen with these settings.
///
/// Its own, or what the site is called now where those are not the instance's any more: they may be
/// somebody else's by now.
#[must_use]
pub fn link_hosts(instance: &instance::Present, frozen: &InstanceSettings) -> [String; 2] {
    [Service::Lms, Service::Studio].map(|service| {
        let own = effective_host(frozen, service);
        if instance.holds(Kind::Domain, &own) {
            return own;
        }
        effective_host(&instance.settings, service)
    })
}
