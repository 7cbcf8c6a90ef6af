//! `publish_test_link`: has the balancer send who comes by a link to one Appserver.

use super::balancers::{Site, apply_recorded_lineup};
use super::deactivate_appserver::{CLAIM, RELEASE};
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::traffic::release_traffic;
use crate::app::AppError;
use ocim_domain::instance::test_links::{Command, Refused};
use ocim_domain::instance::{self, Instance};
use ocim_domain::run_record::TestLinkInput;
use ocim_domain::saga::ErrorCode;
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: until the link is published, a failure or a cancel drops it. Who serves is never
/// touched. What has ended stands in the balancer's configuration until that changes next, and leads
/// to the site.
pub static PUBLISH_TEST_LINK: Definition = Definition {
    name: "publish_test_link",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(release_traffic)),
    settles_on_undo: false,
    steps: &[
        Step::new(
            "confirm_link",
            call!(confirm_link),
            Kind::Compensable(call!(drop_link)),
            5,
            |_| Duration::from_secs(60),
        ),
        CLAIM,
        Step::new(
            "publish_link",
            call!(publish_link),
            Kind::Pivot("the link leads there until it ends"),
            20,
            |_| Duration::from_secs(300),
        ),
        RELEASE,
    ],
};

async fn confirm_link(context: StepContext) -> Result<Progress, StepError> {
    let input: TestLinkInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    let is_live = instance.check_live();
    is_live.map_err(|why| StepError::permanent(ErrorCode::InstanceNotLive, why.to_string()))?;
    if instance.test_links.iter().any(|known| known.id == input.link) {
        return done(());
    }
    Err(StepError::permanent(ErrorCode::StateForbids, "the link is dropped already"))
}

async fn drop_link(context: StepContext) -> Result<Progress, StepError> {
    let input: TestLinkInput = context.input()?;
    let command = Command::Drop { run: context.run, link: input.link };
    let journal = context.world.app.journal();
    let command = instance::Command::TestLink(command);
    let stream = input.instance.stream();
    let dropped = journal.execute::<Instance>(&stream, &context.metadata(), command).await;
    dropped.map_err(AppError::from)?;
    undone("the link leads nowhere")
}

/// All that is recorded goes to the balancer, this link with it.
async fn publish_link(context: StepContext) -> Result<Progress, StepError> {
    let input: TestLinkInput = context.input()?;
    let site = Site::load(&context, input.instance).await?.ok_or_else(|| {
        StepError::permanent(ErrorCode::NoLoadBalancer, Refused::NoBalancer.to_string())
    })?;
    apply_recorded_lineup(&context, &site).await?;
    done(())
}

/// Step of a termination: a link leads to its machine no more, whose address may be another one's soon.
pub async fn close_links(context: StepContext) -> Result<Progress, StepError> {
    let input: ocim_domain::run_record::TrafficInput = context.input()?;
    let appserver = context.world.app.load_appserver(input.appserver).await?;
    let Some(site) = Site::load(&context, appserver.launched.instance).await? else {
        return Ok(Progress::Skipped("the instance has no load balancer".to_owned()));
    };
    if !site.instance.test_links.iter().any(|link| link.appserver == input.appserver) {
        return Ok(Progress::Skipped("no test link leads to it".to_owned()));
    }
    apply_recorded_lineup(&context, &site).await?;
    done(())
}
