//! `check_names`: asks the balancer under each real name of a site, once its traffic has moved.

use super::balancers::Site;
use super::step::{Kind, Progress, Step, StepContext, StepError, done};
use super::traffic::{line_names, site_of};
use crate::app::AppError;
use futures_util::future::join_all;
use ocim_adapters::sites::SiteAnswer;
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::{Command, Instance, NameTrouble};
use ocim_domain::port_error::PortError;
use ocim_domain::run_record::TrafficPlan;
use ocim_engine::call;
use std::time::Duration;

/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long the step may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What is still wrong when no more than this is left of its time is recorded.
const MARGIN: chrono::TimeDelta = chrono::TimeDelta::seconds(40);

/// Sees whether visitors get the site under each of its names. Traffic has moved and stays, whatever
/// they get: a wrong answer is recorded for people to see.
pub const CHECK_NAMES: Step =
    Step::new("check_names", call!(check_names), Kind::Retryable("it only asks"), 20, |_| TIMEOUT);

/// What a name has to lead to. The balancer tells by which way an answer came, so that another site
/// that answers well is not taken for this one.
#[derive(Debug, Clone, Copy)]
enum Expected<'a> {
    /// One of these, by one of these ways.
    Site { serving: &'a [AppserverId], routes: &'a [String] },
    /// Another name, which the balancer itself sends visitors to, this way.
    Redirect { route: &'a str },
    /// The page of a site under maintenance, which the balancer itself answers with, this way.
    Page { route: &'a str },
}

async fn check_names(context: StepContext) -> Result<Progress, StepError> {
    if context.output::<TrafficPlan>("plan_traffic")?.is_none() {
        return Ok(Progress::Skipped("no traffic was moved".to_owned()));
    }
    check_names_of_site(context).await
}

/// As the step, of a run that holds the traffic and has no plan of its own.
pub async fn check_names_of_site(context: StepContext) -> Result<Progress, StepError> {
    let Some(site) = site_of(&context).await? else {
        return Ok(Progress::Skipped("the instance has no load balancer".to_owned()));
    };
    if site.instance.active.is_empty() && site.instance.maintenance.is_none() {
        record(&context, &site, vec![]).await?;
        return Ok(Progress::Skipped("nobody serves the site".to_owned()));
    }
    let troubles = find_troubles(&context, &site).await?;
    // Just after a reload or a switch, an answer may be wrong for a moment.
    let may_wait = context.deadline - context.world.app.journal().now() > MARGIN;
    if !troubles.is_empty() && may_wait {
        return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
    }
    for NameTrouble { name, trouble } in &troubles {
        context.say(format!("visitors do not reach the site as {name}: {trouble}")).await;
    }
    record(&context, &site, troubles).await?;
    done(())
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
async fn find_troubles(context: &StepContext, site: &Site) -> Result<Vec<NameTrouble>, StepError> {
    let (serving, routed) = (&site.instance.active, site.instance.routed_names());
    let lines = line_names(context, serving.iter()).await?;
    let backend = site.backend();
    let routes: Vec<_> = lines.iter().map(|line| format!("{backend}/{line}")).collect();
    let (page, redirect) = (format!("{backend}/"), format!("{}/", site.redirect_backend()));
    let (expected, elsewhere) = match site.instance.maintenance {
        Some(_) => (Expected::Page { route: &page }, Expected::Page { route: &redirect }),
        None => {
            (Expected::Site { serving, routes: &routes }, Expected::Redirect { route: &redirect })
        }
    };
    let address = &site.registration.address;
    let to = (address.ip, address.http_port).into();
    let names = routed.domains.iter().map(|name| (name, expected));
    let redirects = routed.redirects.iter().map(|name| (name, elsewhere));
    let asked = names.chain(redirects).map(|(name, expected)| async move {
        let probe = &context.world.ports.site_probe;
        let answer = probe.request_site("GET", to, name, "/heartbeat", ANSWER_WAIT).await;
        let trouble = judge(answer, expected)?;
        Some(NameTrouble { name: name.clone(), trouble })
    });
    Ok(join_all(asked).await.into_iter().flatten().collect())
}

/// What is wrong with an answer. A site that has no heartbeat under a name may say so.
fn judge(answer: Result<SiteAnswer, PortError>, expected: Expected<'_>) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some(error.message),
    };
    let SiteAnswer { status, appserver, route, .. } = answer;
    let came_by = |routes: &[String]| match &route {
        None => Some("who answers is not its balancer".to_owned()),
        Some(route) if routes.contains(route) => None,
        Some(route) => Some(format!("{route} of the balancer answers, which does not serve it")),
    };
    match expected {
        Expected::Site { .. } if status >= 500 => Some(format!("the answer has status {status}")),
        Expected::Site { serving, routes } => came_by(routes).or_else(|| {
            let stranger = appserver.filter(|id| serving.iter().all(|it| it.to_string() != *id))?;
            Some(format!("{stranger} answers, which does not serve it"))
        }),
        Expected::Redirect { .. } if status != 301 => {
            Some(format!("the answer has status {status} instead of 301"))
        }
        Expected::Page { .. } if status != 503 => {
            Some(format!("the answer has status {status} instead of 503"))
        }
        Expected::Redirect { route } | Expected::Page { route } => came_by(&[route.to_owned()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const OURS: &str = "be-ours/appserver-2";

    fn answer(
        status: u16,
        route: &str,
        appserver: Option<AppserverId>,
    ) -> Result<SiteAnswer, PortError> {
        let appserver = appserver.map(|id| id.to_string());
        let route = Some(route.to_owned()).filter(|route| !route.is_empty());
        Ok(SiteAnswer { status, appserver, route, ..SiteAnswer::default() })
    }

    #[test]
    fn a_name_has_to_lead_to_those_who_serve_or_elsewhere_if_it_redirects() {
        let (ours, other) = (AppserverId(Uuid::from_u128(1)), AppserverId(Uuid::from_u128(2)));
        let (serving, routes) = ([ours], [OURS.to_owned()]);
        let site = Expected::Site { serving: &serving, routes: &routes };
        let redirect = Expected::Redirect { route: "be-redirect-ours/" };
        let page = Expected::Page { route: "be-ours/" };
        for (answer, expected, is_right) in [
            (answer(200, OURS, Some(ours)), site, true),
            (answer(200, OURS, None), site, true),
            (answer(404, OURS, Some(ours)), site, true),
            (answer(302, OURS, None), site, true),
            (answer(200, OURS, Some(other)), site, false),
            // Another site's page, one of an appserver that has left, and one of who knows whom.
            (answer(200, "be-theirs/appserver-2", None), site, false),
            (answer(200, "be-ours/appserver-1", None), site, false),
            (answer(200, "be-redirect-ours/", None), site, false),
            (answer(404, "be-theirs/appserver-2", None), site, false),
            (answer(200, "", None), site, false),
            (answer(200, "", Some(ours)), site, false),
            (answer(503, OURS, None), site, false),
            (answer(500, OURS, Some(ours)), site, false),
            (Err(PortError::transient("nobody is there")), site, false),
            (answer(301, "be-redirect-ours/", None), redirect, true),
            (answer(200, "be-redirect-ours/", None), redirect, false),
            (answer(301, "be-redirect-theirs/", None), redirect, false),
            (answer(301, OURS, Some(ours)), redirect, false),
            (answer(301, "", None), redirect, false),
            (answer(503, "unknown-host/", None), redirect, false),
            (answer(503, "be-ours/", None), page, true),
            (answer(200, OURS, Some(ours)), page, false),
            (answer(503, OURS, None), page, false),
            (answer(503, "unknown-host/", None), page, false),
        ] {
            let told = format!("{answer:?} {expected:?}");
            assert_eq!(judge(answer, expected).is_none(), is_right, "{told}");
        }
    }
}
