//! `archive_instance`: takes a site out of service; its data, settings, names and history stay.

use super::deactivate_appserver::{CLAIM, PLAN, RECORD, RELEASE, WITHDRAW};
use super::lifecycle::{CONFIRM, delete_servers, give_up, record, recording, removal};
use super::resource::monitor::remove_monitors;
use super::resource::removal::{remove_fragments, remove_names};
use super::step::{Definition, Progress, Step, StepContext, StepError, done};
use super::traffic::plan_emptying;
use ocim_domain::instance::lifecycle::Command;
use ocim_domain::run_record::LifecycleInput;
use ocim_engine::call;

/// Takes all out of service that a site has; a deletion begins with it, too.
pub(super) const OUT_OF_SERVICE: [Step; 10] = [
    CONFIRM,
    CLAIM,
    Step { run: call!(plan_emptying), ..PLAN },
    WITHDRAW,
    RECORD,
    removal("remove_fragments", call!(remove_fragments)),
    RELEASE,
    removal("remove_names", call!(remove_names)),
    removal("delete_servers", call!(delete_servers)),
    removal("remove_monitors", call!(remove_monitors)),
];

/// The process.
///
/// Failure policy: until the traffic has moved, a failure or a cancel leaves the site as it was. From
/// `record_traffic` on it only goes forward: who does not answer is asked again. One that is abandoned
/// leaves the instance half archived: it can be archived again, un-archived or deleted.
pub static ARCHIVE_INSTANCE: Definition = Definition {
    name: "archive_instance",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(give_up)),
    settles_on_undo: false,
    steps: &ROWS,
};

const ROWS: [Step; 11] = {
    let [confirm, claim, plan, withdraw, record, fragments, release, names, servers, monitors] =
        OUT_OF_SERVICE;
    let archived =
        recording("record_archived", call!(record_archived), "nothing is left that it serves by");
    [confirm, claim, plan, withdraw, record, fragments, release, names, servers, monitors, archived]
};

async fn record_archived(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    // Its fragment is gone: the balancer need not wait for it to be retired.
    context.world.app.release_balancers(&context.metadata(), input.instance).await?;
    record(&context, Command::RecordArchived { run: context.run }).await?;
    context.say("the instance is archived").await;
    done(())
}
