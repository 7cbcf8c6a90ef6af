//! Steps that move traffic: prove a site, switch it over, record it, let old connections end.

use super::balancers::{Lineup, Site, apply_lineup, apply_recorded_lineup, server_line_name};
use super::step::{Progress, StepContext, StepError, done, undone};
use crate::app::{AppError, ExecuteError};
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::fragment::probe_host;
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance::{self, Instance};
use ocim_domain::names::RoutedNames;
use ocim_domain::port_error::Class;
use ocim_domain::run_record::{MoveInput, TrafficInput, TrafficPlan};
use ocim_domain::saga::ErrorCode;
use std::time::Duration;

/// Longest wait for one answer of a site that is being proved.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// What a drain leaves of its step's time, so that it ends well before the step times out.
pub const DRAIN_MARGIN: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Who serves once it is carried out.
fn lineup_of(site: &Site, plan: &TrafficPlan) -> Lineup {
    Lineup::serving(&site.instance, plan.names.clone(), plan.after.clone())
}

/// The site whose traffic the run moves. Without a balancer there is none to move.
pub async fn site_of(context: &StepContext) -> Result<Option<Site>, StepError> {
    Site::load(context, instance_of(context).await?).await
}

async fn need_site(context: &StepContext) -> Result<Site, StepError> {
    let site = site_of(context).await?;
    site.ok_or_else(|| {
        StepError::permanent(ErrorCode::NoLoadBalancer, "the instance has no load balancer")
    })
}

/// Waits until no other run moves the instance's traffic, and keeps others from it.
pub async fn claim_traffic(context: StepContext) -> Result<Progress, StepError> {
    let instance = instance_of(&context).await?;
    let claim = instance::Command::ClaimTraffic { run: context.run };
    let journal = context.world.app.journal();
    let stream = instance.stream();
    match journal.execute::<Instance>(&stream, &context.metadata(), claim).await {
        Ok(_) => done(()),
        Err(ExecuteError::Rejected(instance::Rejected::TrafficClaimed { .. })) => {
            Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
        }
        Err(error) => Err(AppError::from(error).into()),
    }
}

/// Lets the next run move the instance's traffic.
pub async fn release_traffic(context: StepContext) -> Result<Progress, StepError> {
    let instance = instance_of(&context).await?;
    let release = instance::Command::ReleaseTraffic { run: context.run };
    let journal = context.world.app.journal();
    let stream = instance.stream();
    let released = journal.execute::<Instance>(&stream, &context.metadata(), release).await;
    released.map_err(AppError::from)?;
    context.world.app.release_domains(&context.metadata(), instance).await?;
    undone("the next run may move the traffic")
}

/// The instance whose traffic the run moves.
pub(super) async fn instance_of(context: &StepContext) -> Result<InstanceId, StepError> {
    match context.input::<MoveInput>()? {
        MoveInput::Appserver(input) => {
            Ok(context.world.app.load_appserver(input.appserver).await?.launched.instance)
        }
        MoveInput::Instance(input) => Ok(input.instance),
        MoveInput::TestLink(input) => Ok(input.instance),
    }
}

/// Whether the run may leave a site to nobody.
fn may_empty(context: &StepContext) -> Result<bool, StepError> {
    Ok(match context.input::<MoveInput>()? {
        MoveInput::Appserver(input) => input.force,
        MoveInput::Instance(_) | MoveInput::TestLink(_) => true,
    })
}

/// As [`claim_traffic`], for an activation: it does not wait for a run that takes its Appserver
/// away.
pub async fn claim_for_activation(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    load_staying(&context, input.appserver).await?;
    claim_traffic(context).await
}

async fn load_staying(
    context: &StepContext,
    id: AppserverId,
) -> Result<appserver::Present, StepError> {
    let appserver = context.world.app.load_appserver(id).await?;
    appserver
        .check_staying()
        .map_err(|why| StepError::permanent(ErrorCode::AppserverLeaving, why.to_string()))?;
    Ok(appserver)
}

/// Decides who is to serve, before anything is touched.
pub async fn plan_activation(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    let appserver = load_staying(&context, input.appserver).await?;
    if appserver.status != appserver::Status::Running && !input.force {
        let status = appserver.status;
        return Err(StepError::permanent(
            ErrorCode::AppserverNotRunning,
            format!("it is {status:?}, not Running any more"),
        ));
    }
    let site = need_site(&context).await?;
    let is_live = site.instance.check_live();
    is_live.map_err(|why| StepError::permanent(ErrorCode::InstanceNotLive, why.to_string()))?;
    let before = site.instance.active.clone();
    let mut after: Vec<_> = if input.deactivate_others { vec![] } else { before.clone() };
    if !after.contains(&input.appserver) {
        after.push(input.appserver);
    }
    let names = RoutedNames::new(&site.instance.settings);
    done(TrafficPlan { before, after, names })
}

/// Decides who is to serve once the Appserver is out. The last one leaves by force alone.
pub async fn plan_withdrawal(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    let Some(site) = site_of(&context).await? else {
        return Ok(Progress::Skipped("the instance has no load balancer".to_owned()));
    };
    let before = site.instance.active.clone();
    if !before.contains(&input.appserver) {
        return Ok(Progress::Skipped("it receives no traffic".to_owned()));
    }
    let after: Vec<_> = before.iter().filter(|id| **id != input.appserver).copied().collect();
    if after.is_empty() && !input.force {
        return Err(StepError::permanent(
            ErrorCode::LastActiveAppserver,
            instance::Rejected::LastActive.to_string(),
        ));
    }
    let names = if after.is_empty() {
        RoutedNames::new(&site.instance.settings) // Those of the preliminary page.
    } else {
        site.instance.routed_names()
    };
    done(TrafficPlan { before, after, names })
}

/// Decides that nobody is to serve.
pub async fn plan_emptying(context: StepContext) -> Result<Progress, StepError> {
    let Some(site) = site_of(&context).await? else {
        return Ok(Progress::Skipped("the instance has no load balancer".to_owned()));
    };
    let before = site.instance.active.clone();
    if before.is_empty() {
        return Ok(Progress::Skipped("nobody serves the site".to_owned()));
    }
    let names = RoutedNames::new(&site.instance.settings);
    done(TrafficPlan { before, after: vec![], names })
}

/// Puts the Appserver on the balancer, reached by its probe host alone.
pub async fn publish_probe(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    let plan: TrafficPlan = context.need("plan_traffic")?;
    let site = need_site(&context).await?;
    apply_lineup(&context, &site, &standing_by(&site, &plan, input.appserver)).await?;
    done(())
}

/// Takes the probe host away again: the balancer serves who served before.
pub async fn undo_publish_probe(context: StepContext) -> Result<Progress, StepError> {
    let Some(site) = site_of(&context).await? else { return undone("there is no balancer") };
    apply_recorded_lineup(&context, &site).await?;
    undone("the balancer serves who served before")
}

/// Those who serve, under the names that they serve, and one that waits.
fn standing_by(site: &Site, plan: &TrafficPlan, appserver: AppserverId) -> Lineup {
    let standby = if plan.before.contains(&appserver) { vec![] } else { vec![appserver] };
    // A backend of disabled servers alone would answer 503 where nothing answered before.
    let standby = if plan.before.is_empty() { vec![] } else { standby };
    Lineup {
        standby,
        probed: Some((appserver, plan.names.site.clone())),
        ..Lineup::serving(&site.instance, site.instance.routed_names(), plan.before.clone())
    }
}

/// Asks the site through the balancer, until it answers its heartbeat.
pub async fn prove_site(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    if input.force {
        return Ok(Progress::Skipped("the activation is forced".to_owned()));
    }
    let site = need_site(&context).await?;
    let appserver = context.world.app.load_appserver(input.appserver).await?;
    let number = appserver.launched.number;
    let host = probe_host(site.id, number);
    let address = &site.registration.address;
    let to = (address.ip, address.http_port).into();
    let probe = &context.world.ports.site_probe;
    match probe.request_site("GET", to, &host, "/heartbeat", ANSWER_WAIT).await {
        Ok(answer) if answer.status == 200 => {
            let route = format!("{}/{}", site.probe_backend(), server_line_name(number));
            if answer.route.as_ref() != Some(&route) {
                let who =
                    answer.route.unwrap_or_else(|| "nobody that the balancer knows".to_owned());
                let text = format!("{who} answered in place of {route}");
                return Err(StepError::permanent(ErrorCode::WrongAppserverAnswered, text));
            }
            let other = |id: &String| *id != input.appserver.to_string();
            if let Some(id) = answer.appserver.filter(other) {
                return Err(StepError::permanent(
                    ErrorCode::WrongAppserverAnswered,
                    format!("{id} answered in its place"),
                ));
            }
            context.say("the site answers through the balancer").await;
            done(())
        }
        Err(error) if error.class == Class::Permanent => Err(error.into()),
        Ok(_) | Err(_) => Ok(Progress::NotYet { again_in: context.world.limits.poll_interval }),
    }
}

/// Gives traffic to those of the plan: in one instant where somebody serves already, and then for
/// good by the fragment.
pub async fn switch_traffic(context: StepContext) -> Result<Progress, StepError> {
    let plan: TrafficPlan = context.need("plan_traffic")?;
    let site = need_site(&context).await?;
    move_servers(&context, &site, &plan.before, &plan.after).await?;
    apply_lineup(&context, &site, &lineup_of(&site, &plan)).await?;
    done(())
}

/// Gives traffic back to those who are recorded to have it: those of before, unless the run was
/// forced back after it had recorded the change.
pub async fn undo_switch_traffic(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    let Some(plan) = context.output::<TrafficPlan>("plan_traffic")? else {
        return undone("no traffic was moved");
    };
    let site = need_site(&context).await?;
    let plan = TrafficPlan { before: site.instance.active.clone(), ..plan };
    apply_lineup(&context, &site, &standing_by(&site, &plan, input.appserver)).await?;
    move_servers(&context, &site, &plan.after, &plan.before).await?;
    apply_recorded_lineup(&context, &site).await?;
    undone("those who are recorded serve again")
}

async fn move_servers(
    context: &StepContext,
    site: &Site,
    before: &[AppserverId],
    after: &[AppserverId],
) -> Result<(), StepError> {
    if before.is_empty() || after.is_empty() {
        return Ok(());
    }
    let to = line_names(context, after.iter().filter(|id| !before.contains(id))).await?;
    let from = line_names(context, before.iter().filter(|id| !after.contains(id))).await?;
    if to.is_empty() && from.is_empty() {
        return Ok(());
    }
    let balancer = &context.world.ports.load_balancer;
    Ok(balancer.switch_servers(&site.host(), &site.backend(), &to, &from).await?)
}

/// What the lines of these Appservers are called on their balancer.
pub(super) async fn line_names(
    context: &StepContext,
    ids: impl Iterator<Item = &AppserverId>,
) -> Result<Vec<String>, StepError> {
    let mut names = Vec::new();
    for id in ids {
        let appserver = context.world.app.load_appserver(*id).await?;
        names.push(server_line_name(appserver.launched.number));
    }
    Ok(names)
}

/// Records who serves now, on the instance and on each Appserver.
pub async fn record_traffic(context: StepContext) -> Result<Progress, StepError> {
    let Some(plan) = context.output::<TrafficPlan>("plan_traffic")? else {
        return Ok(Progress::Skipped("no traffic was moved".to_owned()));
    };
    let site = need_site(&context).await?;
    let only_in = |ids: &[AppserverId], others: &[AppserverId]| -> Vec<AppserverId> {
        ids.iter().filter(|id| !others.contains(id)).copied().collect()
    };
    let (add, remove) = (only_in(&plan.after, &plan.before), only_in(&plan.before, &plan.after));
    let may_empty = may_empty(&context)?;
    let command = instance::Command::AssignTraffic {
        add: add.clone(),
        remove: remove.clone(),
        names: plan.names,
        may_empty,
    };
    let journal = context.world.app.journal();
    let meta = context.metadata();
    let assigned = journal.execute::<Instance>(&site.id.stream(), &meta, command).await;
    assigned.map_err(AppError::from)?;
    let activations = add.into_iter().map(|id| (id, appserver::Command::Activate));
    let deactivations = remove.into_iter().map(|id| (id, appserver::Command::Deactivate));
    for (id, command) in activations.chain(deactivations) {
        let recorded = journal.execute::<Appserver>(&id.stream(), &meta, command).await;
        recorded.map_err(AppError::from)?;
    }
    done(())
}

/// Waits until those who left have no connection any more, or the drain wait is over. Traffic has
/// moved by then, so a balancer that can't tell is asked again, and never fails the run.
pub async fn drain_connections(context: StepContext) -> Result<Progress, StepError> {
    let Some(plan) = context.output::<TrafficPlan>("plan_traffic")? else {
        return Ok(Progress::Skipped("no traffic was moved".to_owned()));
    };
    let left: Vec<_> = plan.before.iter().filter(|id| !plan.after.contains(id)).collect();
    if left.is_empty() {
        return Ok(Progress::Skipped("nobody left".to_owned()));
    }
    let waited = context.deadline - context.time.now() < DRAIN_MARGIN;
    if waited {
        context.say("connections are left to end by themselves").await;
        return undone("the drain wait is over");
    }
    let site = need_site(&context).await?;
    let balancer = &context.world.ports.load_balancer;
    for name in line_names(&context, left.into_iter()).await? {
        match balancer.count_connections(&site.host(), &site.backend(), &name).await {
            Ok(0) => {}
            Ok(_) | Err(_) => {
                return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
            }
        }
    }
    done(())
}

/// Takes the Appserver off the balancer; those who stay take its share first.
pub async fn withdraw_traffic(context: StepContext) -> Result<Progress, StepError> {
    let Some(plan) = context.output::<TrafficPlan>("plan_traffic")? else {
        return Ok(Progress::Skipped("it receives no traffic".to_owned()));
    };
    let site = need_site(&context).await?;
    move_servers(&context, &site, &plan.before, &plan.after).await?;
    apply_lineup(&context, &site, &lineup_of(&site, &plan)).await?;
    done(())
}

/// Puts it back on the balancer, unless the run was forced back after it had recorded the change.
pub async fn undo_withdraw_traffic(context: StepContext) -> Result<Progress, StepError> {
    let Some(site) = site_of(&context).await? else { return undone("there is no balancer") };
    apply_recorded_lineup(&context, &site).await?;
    // A fragment that the balancer still has is not loaded again: what was switched stays so.
    if let Some(plan) = context.output::<TrafficPlan>("plan_traffic")? {
        move_servers(&context, &site, &plan.after, &site.instance.active).await?;
    }
    undone("those who are recorded serve again")
}
