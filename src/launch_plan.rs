//! Rehearses a launch: what it would make, what differs from what serves now and why, and every problem
//! that can be seen before. Nothing is recorded, and nothing is made.

mod differences;
mod look;
mod steps;

pub use differences::{Playbook, SettingDifference, VariableDifference};
pub use look::{LookedAt, PlanProblem};
pub use steps::PlannedStep;
pub(crate) use steps::foresee_balancer;

use crate::app::{AppError, Caller, Frozen};
use crate::processes::launch_appserver::{Composed, compose, list_warnings};
use crate::processes::shared_servers::find_services;
use crate::processes::step::StepError;
use crate::processes::world::World;
use differences::{Live, list_setting_differences, list_variable_differences};
use ocim_domain::configuration::layer::Source;
use ocim_domain::configuration::shown_variables::hide_secrets;
use ocim_domain::configuration::{CronTime, LayerContext, Variables};
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance;
use ocim_domain::shared_server::SharedServers;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What stands for a value that chance will give.
const DRAWN: &str = "<drawn at the launch>";
/// Rehearsals at a time: each may fetch repositories and packages.
const PLANS_MAX: usize = 2;
/// Longest look at playbooks, also behind other rehearsals.
const LOOK_MAX: Duration = Duration::from_secs(300);

/// What a launch would be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanAsk {
    /// Bring the Appserver into traffic once it runs.
    pub activate: bool,
}

/// A launch, rehearsed.
#[derive(Debug)]
pub struct LaunchPlan {
    /// The number that the Appserver would have.
    pub number: u32,
    /// The version of the settings that it would be made from.
    pub settings_version: u64,
    /// The Appserver that it is compared with; none where none is in traffic.
    pub compared_with: Option<(AppserverId, u32)>,
    /// What the versions of playbooks mean now.
    pub looked_at: LookedAt,
    /// The variables of the site's own playbook, without secrets; none where none can be composed.
    pub variables: Option<Variables>,
    /// Of the playbook that makes LMS users.
    pub users_variables: Option<Variables>,
    /// Of the playbook that all sites share.
    pub common_variables: Option<Variables>,
    /// The settings that have changed since.
    pub settings: Vec<SettingDifference>,
    /// The variables that would be others.
    pub differences: Vec<VariableDifference>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// Whatever would stop the launch.
    pub problems: Vec<PlanProblem>,
    /// What is worth knowing, and stops nothing.
    pub notes: Vec<String>,
}

/// Rehearses launches.
#[derive(Debug, Clone)]
pub struct LaunchPlanner {
    world: Arc<World>,
    door: Arc<Semaphore>,
}

/// What could be composed, and for whom.
struct Rehearsed {
    composed: Option<Composed>,
    servers: SharedServers,
    /// Names of accounts that were made up for now.
    made_up: Vec<String>,
}

impl LaunchPlanner {
    /// One that asks these ports.
    #[must_use]
    pub fn new(world: Arc<World>) -> Self {
        Self { world, door: Arc::new(Semaphore::new(PLANS_MAX)) }
    }

    /// Rehearses a launch of the instance. What is wrong is a problem of the plan, not an error.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and what the store says.
    pub async fn plan_launch(
        &self,
        by: &Caller,
        id: InstanceId,
        ask: PlanAsk,
    ) -> Result<LaunchPlan, AppError> {
        let app = &self.world.app;
        let (instance, _) = app.load_instance(id).await?;
        let number = instance.appservers.len();
        let number = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        let (mut problems, mut notes) = (vec![], vec![]);
        problems.extend(look::check_request(app, by, id).await?);
        let Rehearsed { composed, servers, made_up } =
            self.compose(id, &instance, number, &mut problems, &mut notes).await?;
        let (looked_at, found) = self.look(&instance).await;
        problems.extend(found);
        notes.extend(looked_at.quotas.iter().filter_map(look::describe));
        problems.extend(look::check_balancer(&self.world, id, &instance).await?);
        let live = Live::find(app, by, &instance).await?;
        let edits = app.list_edits_until(id, instance.settings_version).await?;
        let frozen = composed.as_ref().map(|composed| {
            let site = &composed.site;
            Frozen::new(site.variables.clone(), site.provenance.clone(), &instance.settings)
        });
        if let Some(frozen) = &frozen {
            notes.extend(list_warnings(&instance.settings, &frozen.variables));
        }
        let mut differences = match (&live, &composed, &frozen) {
            (Some(live), Some(composed), Some(frozen)) => {
                list_variable_differences(live, composed, frozen, &edits)?
            }
            _ => vec![],
        };
        let planned = differences.iter_mut().filter_map(|difference| difference.planned.as_mut());
        planned.for_each(|value| mark_drawn(value, &made_up));
        let steps = steps::plan_steps(&self.world, id, &instance, &servers, ask).await?;
        let settings = live.as_ref().map(|live| {
            list_setting_differences(&live.launched.settings, &instance.settings, &edits)
        });
        Ok(LaunchPlan {
            number,
            settings_version: instance.settings_version,
            compared_with: live.as_ref().map(|live| (live.id, live.launched.number)),
            looked_at,
            variables: frozen.map(|frozen| show_drawn(frozen, &made_up)),
            users_variables: composed.as_ref().map(|composed| hide_secrets(&composed.users)),
            common_variables: composed.as_ref().map(|composed| hide_secrets(&composed.common)),
            settings: settings.unwrap_or_default(),
            differences,
            steps,
            problems,
            notes,
        })
    }

    /// Looks at playbooks and what the machine is to be, for so long; others look meanwhile.
    async fn look(&self, instance: &instance::Present) -> (LookedAt, Vec<PlanProblem>) {
        let look = async {
            let _place = self.door.acquire().await;
            look::look_at_all(&self.world, &instance.settings).await
        };
        match tokio::time::timeout(LOOK_MAX, look).await {
            Ok(looked) => looked,
            Err(_) => (LookedAt::default(), vec![PlanProblem::late(LOOK_MAX)]),
        }
    }

    async fn compose(
        &self,
        id: InstanceId,
        instance: &instance::Present,
        number: u32,
        problems: &mut Vec<PlanProblem>,
        notes: &mut Vec<String>,
    ) -> Result<Rehearsed, AppError> {
        let (app, deployment) = (&self.world.app, &self.world.deployment);
        let settings = &instance.settings;
        let resources = match &instance.resources {
            Some(names) => names.clone(),
            None => {
                notes.push("its databases and buckets get their names at this launch".to_owned());
                let (domain, prefixes) =
                    (&settings.internal_lms_domain, &deployment.resource_prefixes);
                match app.foresee_resources(id, domain, prefixes).await {
                    Ok(names) => names,
                    Err(AppError::Rejected { detail, .. }) => {
                        problems.push(PlanProblem::new("name_resources", detail));
                        let (servers, made_up) = (instance.servers.clone(), vec![]);
                        return Ok(Rehearsed { composed: None, servers, made_up });
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let (servers, choices) = app.foresee_servers(id, &instance.servers).await?;
        let made_up = list_accounts(&servers.clone().beyond(&instance.servers));
        notes.extend(choices.into_iter().map(|(noun, count)| match count {
            1 => format!("the site gets an account on the one {noun} that accepts clients"),
            _ => format!("the {noun} is drawn at the launch, of {count} that accept clients"),
        }));
        let services = match find_services(app, &servers).await {
            Ok(services) => services,
            Err(error) => {
                problems.push(PlanProblem::of("create_appserver", error)?);
                return Ok(Rehearsed { composed: None, servers, made_up });
            }
        };
        let of = LayerContext {
            instance: id,
            appserver_number: number,
            clearsessions_cron: CronTime { hour: 0, minute: 0 },
            resources,
            services,
            successfully_provisioned: instance.successfully_provisioned,
            site_wide: deployment.site_wide.clone(),
        };
        match compose(settings, &of) {
            Ok(composed) => Ok(Rehearsed { composed: Some(composed), servers, made_up }),
            Err(error) => {
                problems.push(PlanProblem::of("create_appserver", error)?);
                Ok(Rehearsed { composed: None, servers, made_up })
            }
        }
    }
}

/// The accounts of an instance on shared servers, by name.
fn list_accounts(servers: &SharedServers) -> Vec<String> {
    let mysql = servers.mysql.iter().map(|used| used.user.clone());
    let mongodb = servers.mongodb.iter().map(|used| used.user.clone());
    let rabbitmq = servers.rabbitmq.iter();
    let rabbitmq = rabbitmq.flat_map(|used| [used.vhost.clone(), used.provider.user.clone()]);
    mysql.chain(mongodb).chain(rabbitmq).collect()
}

/// Says of each text that was made up for now that chance will give another one.
fn mark_drawn(value: &mut Value, made_up: &[String]) {
    match value {
        Value::String(text) => {
            for name in made_up {
                *text = text.replace(name, DRAWN);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mark_drawn(item, made_up)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| mark_drawn(member, made_up));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The variables as people may see them; what chance gives is not known yet.
fn show_drawn(frozen: Frozen, made_up: &[String]) -> Variables {
    let is_drawn = |name: &String| frozen.sources(name).contains(&Source::Chance);
    let drawn: Vec<_> = frozen.variables.keys().filter(|name| is_drawn(name)).cloned().collect();
    let mut shown = frozen.shown;
    shown.values_mut().for_each(|value| mark_drawn(value, made_up));
    shown.extend(drawn.into_iter().map(|name| (name, Value::from(DRAWN))));
    shown
}

/// An outage is the caller's to know; all else is a problem of the plan.
fn outage(error: &StepError) -> bool {
    matches!(error.costs, ocim_engine::sagas::definition::Costs::Outage)
}
