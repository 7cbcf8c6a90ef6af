//! `check_names`: asks the balancer under each real name of a site, once its traffic has moved.

use super::balancers::Site;
use super::step::{Kind, Progress, Step, StepContext, StepError, done};
use super::traffic::{TrafficPlan, site_of};
use crate::app::AppError;
use crate::ports::PortError;
use crate::ports::load_balancer::SiteAnswer;
use futures_util::future::join_all;
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::{Command, Instance, NameTrouble};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long the step may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What is still wrong when no more than this is left of its time is recorded.
const MARGIN: chrono::TimeDelta = chrono::TimeDelta::seconds(40);

/// Sees whether visitors get the site under each of its names. Traffic has moved and stays, whatever
/// they get: a wrong answer is recorded for people to see.
pub const CHECK_NAMES: Step = Step::new(
    "check_names",
    |c| Box::pin(check_names(c)),
    Kind::Retryable("it only asks"),
    20,
    |_| TIMEOUT,
);

/// What a name has to lead to.
#[derive(Debug, Clone, Copy)]
enum Expected<'a> {
    /// One of these.
    Site(&'a [AppserverId]),
    /// Another name.
    Redirect,
}

async fn check_names(context: StepContext) -> Result<Progress, StepError> {
    let Some(plan) = context.output::<TrafficPlan>("plan_traffic")? else {
        return Ok(Progress::Skipped("no traffic was moved".to_owned()));
    };
    let Some(site) = site_of(&context).await? else {
        return Ok(Progress::Skipped("the instance has no load balancer".to_owned()));
    };
    if plan.after.is_empty() {
        record(&context, &site, vec![]).await?;
        return Ok(Progress::Skipped("nobody serves the site".to_owned()));
    }
    let troubles = find_troubles(&context, &site, &plan).await;
    // Just after a reload or a switch, an answer may be wrong for a moment.
    let may_wait = context.deadline - context.world.app.journal().now() > MARGIN;
    if !troubles.is_empty() && may_wait {
        return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
    }
    for NameTrouble { name, trouble } in &troubles {
        context.say(format!("visitors do not reach the site as {name}: {trouble}")).await;
    }
    record(&context, &site, troubles).await?;
    done(Value::Null)
}

async fn record(
    context: &StepContext,
    site: &Site,
    troubles: Vec<NameTrouble>,
) -> Result<(), StepError> {
    let command = Command::ObserveNames { troubles };
    let journal = context.world.app.journal();
    let stream = site.id.stream();
    let recorded = journal.execute::<Instance>(&stream, &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}

/// The names that lead elsewhere, in their order.
async fn find_troubles(context: &StepContext, site: &Site, plan: &TrafficPlan) -> Vec<NameTrouble> {
    let address = &site.registration.address;
    let to = (address.ip, address.http_port).into();
    let names = plan.names.domains.iter().map(|name| (name, Expected::Site(&plan.after)));
    let redirects = plan.names.redirects.iter().map(|name| (name, Expected::Redirect));
    let asked = names.chain(redirects).map(|(name, expected)| async move {
        let probe = &context.world.site_probe;
        let answer = probe.request_site("GET", to, name, "/heartbeat", ANSWER_WAIT).await;
        let trouble = judge(answer, expected)?;
        Some(NameTrouble { name: name.clone(), trouble })
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What is wrong with an answer. A site that has no heartbeat under a name may say so.
fn judge(answer: Result<SiteAnswer, PortError>, expected: Expected<'_>) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some(error.message),
    };
    let SiteAnswer { status, appserver, .. } = answer;
    match (expected, appserver) {
        (Expected::Site(serving), Some(id)) if !serving.iter().any(|it| it.to_string() == id) => {
            Some(format!("{id} answers, which does not serve it"))
        }
        (Expected::Site(_), _) if status >= 500 => Some(format!("the answer has status {status}")),
        (Expected::Redirect, Some(id)) => Some(format!("{id} answers instead of a redirect")),
        (Expected::Redirect, None) if status != 301 => {
            Some(format!("the answer has status {status} instead of 301"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn answer(status: u16, appserver: Option<AppserverId>) -> Result<SiteAnswer, PortError> {
        let appserver = appserver.map(|id| id.to_string());
        Ok(SiteAnswer { status, appserver, ..SiteAnswer::default() })
    }

    #[test]
    fn a_name_has_to_lead_to_those_who_serve_or_elsewhere_if_it_redirects() {
        let (ours, other) = (AppserverId(Uuid::from_u128(1)), AppserverId(Uuid::from_u128(2)));
        let site = Expected::Site(&[ours]);
        for (answer, expected, is_right) in [
            (answer(200, Some(ours)), site, true),
            (answer(200, None), site, true),
            (answer(404, Some(ours)), site, true),
            (answer(302, None), site, true),
            (answer(200, Some(other)), site, false),
            (answer(503, None), site, false),
            (answer(500, Some(ours)), site, false),
            (Err(PortError::transient("nobody is there")), site, false),
            (answer(301, None), Expected::Redirect, true),
            (answer(200, None), Expected::Redirect, false),
            (answer(301, Some(ours)), Expected::Redirect, false),
            (answer(503, None), Expected::Redirect, false),
        ] {
            let told = format!("{answer:?} {expected:?}");
            assert_eq!(judge(answer, expected).is_none(), is_right, "{told}");
        }
    }
}
