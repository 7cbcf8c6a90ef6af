//! `clean_up_appserver`: takes the machine away of an Appserver that failed long ago, or is obsolete.

use super::deactivate_appserver::{CLAIM, RELEASE};
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::terminate_appserver::{CLOSE_LINKS, DELETE, RECORD_TERMINATED, record};
use super::traffic::release_traffic;
use chrono::TimeDelta;
use ocim_domain::appserver;
use ocim_domain::run_record::TrafficInput;
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: until the machine is touched, a failure or a cancel leaves the Appserver as it
/// was, with its machine; then somebody keeps it until a new date, or asks for the clean-up again.
/// From `delete_server` on it only goes forward: a cloud that does not answer is asked again. One
/// that is abandoned comes again by itself: of one that failed, as late as after a failed configuration;
/// of one that is obsolete, with the next daily clean-up.
pub static CLEAN_UP_APPSERVER: Definition = Definition {
    name: "clean_up_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(put_off_clean_up)),
    settles_on_undo: false,
    steps: &[
        CLAIM,
        Step::new(
            "start_clean_up",
            call!(start_clean_up),
            Kind::Compensable(call!(stop_clean_up)),
            5,
            |_| Duration::from_secs(60),
        ),
        Step { kind: Kind::NoUndo("a link is made anew by whoever wants it"), ..CLOSE_LINKS },
        Step { kind: Kind::NoUndo("it was to be out of traffic anyway"), ..RELEASE },
        Step { kind: Kind::Pivot("a deleted machine does not come back"), ..DELETE },
        RECORD_TERMINATED,
    ],
};

/// Looks once more whether it may go, while nobody can move its traffic; from then on it can't be
/// given any.
async fn start_clean_up(context: StepContext) -> Result<Progress, StepError> {
    let run = context.run;
    let input: TrafficInput = context.input()?;
    let app = &context.world.app;
    let appserver = app.load_appserver(input.appserver).await?;
    let known = appserver.clean_up.filter(|it| it.run == run);
    if known.is_some_and(|it| it.is_obsolete && !it.is_started) {
        // The run may have waited for long: what was obsolete may be needed by now.
        app.check_obsolete(input.appserver, run).await?;
    }
    record(&context, appserver::Command::StartCleanUp { run }).await?;
    context.say(format!("the machine of AppServer {} goes now", appserver.launched.number)).await;
    done(())
}

async fn stop_clean_up(context: StepContext) -> Result<Progress, StepError> {
    let run = context.run;
    record(&context, appserver::Command::StopCleanUp { run }).await?;
    undone("the machine stays until somebody decides anew")
}

/// Gives the traffic back, and what is left of the machine a new date.
async fn put_off_clean_up(context: StepContext) -> Result<Progress, StepError> {
    release_traffic(context.clone()).await?;
    let input: TrafficInput = context.input()?;
    let appserver = context.world.app.load_appserver(input.appserver).await?;
    let is_own = appserver.clean_up.is_some_and(|clean_up| clean_up.run == context.run);
    if !is_own || appserver.server_gone {
        return undone("there is nothing left to be done");
    }
    record(&context, appserver::Command::StopCleanUp { run: context.run }).await?;
    if appserver.clean_up.is_some_and(|clean_up| clean_up.is_obsolete) {
        return undone("the next daily clean-up looks at it anew");
    }
    let until = context.world.app.journal().now() + context.world.limits.failed_server_kept;
    // Another date than before: that one is noted as used.
    let next = appserver.keeps_server_until.map(|before| before + TimeDelta::seconds(1));
    let until = next.map_or(until, |next| next.max(until));
    let reason = "its clean-up was abandoned".to_owned();
    record(&context, appserver::Command::KeepServer { until, reason }).await?;
    undone("the clean-up comes again")
}
