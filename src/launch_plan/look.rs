//! What can be looked at before a launch: whether it is let, its playbooks, its machine with the room for it, its
//! balancer.

use super::outage;
use crate::app::{App, AppError, Caller};
use crate::processes::balancers::{find_candidates, no_load_balancer};
use crate::processes::resolve_playbooks::{
    MAIN_REQUIREMENTS, RESOLVE_PLAYBOOKS, look_at, main_source,
};
use crate::processes::step::StepError;
use crate::processes::world::World;
use ocim_adapters::cloud::Quota;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance;
use ocim_domain::saga::{ErrorClass, ErrorCode};
use ocim_domain::settings::InstanceSettings;
use std::time::Duration;

/// Whatever would stop a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblem {
    /// The step that it would stop; `request` where it would not begin.
    pub step: &'static str,
    /// Its page, where it has one.
    pub code: Option<ErrorCode>,
    /// What is wrong, and what to do.
    pub message: String,
    /// Whether it may pass by itself.
    pub may_pass: bool,
    /// The run that is in the way.
    pub run: Option<RunId>,
}

impl PlanProblem {
    /// One that stays until somebody mends it.
    pub(super) fn new(step: &'static str, message: String) -> Self {
        Self { step, code: None, message, may_pass: false, run: None }
    }

    /// What the step would fail of.
    ///
    /// # Errors
    /// An outage of the store, which says nothing of the launch.
    pub(super) fn of(step: &'static str, error: StepError) -> Result<Self, AppError> {
        if outage(&error) {
            return Err(AppError::unavailable("the event store", error));
        }
        let may_pass = error.class != ErrorClass::Permanent;
        let message = error.message;
        Ok(Self { code: error.code, may_pass, ..Self::new(step, message) })
    }

    /// A quota that has no room for the machine now.
    fn no_room(quota: &Quota) -> Option<Self> {
        let told = describe(quota).filter(|_| !quota.has_room())?;
        let problem = Self::new("create_server", format!("the quota has no room: {told}"));
        Some(Self { code: Some(ErrorCode::QuotaExceeded), may_pass: true, ..problem })
    }

    /// Nobody answered in time.
    pub(super) fn late(after: Duration) -> Self {
        let message = format!(
            "its playbooks and requirements could not be looked at within {} s: a launch waits longer",
            after.as_secs()
        );
        Self { may_pass: true, ..Self::new(RESOLVE_PLAYBOOKS, message) }
    }
}

/// How much of a quota is in use, and how much a machine takes; none where there is no limit.
pub(super) fn describe(quota: &Quota) -> Option<String> {
    let Quota { of, used, limit, needed } = quota;
    limit.map(|limit| format!("{used} of {limit} {of} are in use, the machine takes {needed}"))
}

/// What the versions of playbooks mean now, and what there is room for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// The commit of the site's own; none where it is not known, or comes with Ocim.
    pub commit: Option<String>,
    /// The commit of the one that all sites share.
    pub common_commit: Option<String>,
    /// The quotas that its machine counts for.
    pub quotas: Vec<Quota>,
}

/// Whether a launch would be let begin.
pub(super) async fn check_request(
    app: &App,
    by: &Caller,
    id: InstanceId,
) -> Result<Option<PlanProblem>, AppError> {
    match app.check_launch(by, id).await {
        Ok(()) => Ok(None),
        Err(AppError::Held { detail }) => {
            Ok(Some(PlanProblem { may_pass: true, ..PlanProblem::new("request", detail) }))
        }
        Err(AppError::Rejected { detail, run }) => Ok(Some(PlanProblem {
            run,
            may_pass: run.is_some(),
            ..PlanProblem::new("request", detail)
        })),
        Err(error) => Err(error),
    }
}

/// Looks at playbooks, flavor, image and quotas, all of them whatever the others say.
pub(super) async fn look_at_all(
    world: &World,
    settings: &InstanceSettings,
) -> (LookedAt, Vec<PlanProblem>) {
    let (main, common, machine, quotas) = tokio::join!(
        look_at_main(world, settings),
        look_at_common(world, settings),
        look_at_machine(world, settings),
        look_at_quotas(world, settings)
    );
    let mut problems = vec![];
    let mut note = |step, error: StepError| {
        problems.push(PlanProblem::of(step, error).unwrap_or_else(|error| PlanProblem {
            may_pass: true,
            ..PlanProblem::new(step, error.to_string())
        }));
    };
    let looked_at = LookedAt {
        commit: main.unwrap_or_else(|error| {
            note(RESOLVE_PLAYBOOKS, error);
            None
        }),
        common_commit: common.unwrap_or_else(|error| {
            note(RESOLVE_PLAYBOOKS, error);
            None
        }),
        // Where they can't be read, the look at the machine tells why.
        quotas: quotas.unwrap_or_default(),
    };
    if let Err(error) = machine {
        note("create_server", error);
    }
    problems.extend(looked_at.quotas.iter().filter_map(PlanProblem::no_room));
    (looked_at, problems)
}

async fn look_at_main(
    world: &World,
    settings: &InstanceSettings,
) -> Result<Option<String>, StepError> {
    let source = main_source(world, settings)?;
    let wanted = (&source, settings.configuration_playbook_name.as_str(), MAIN_REQUIREMENTS);
    look_at(world, &settings.openstack_region, wanted).await
}

async fn look_at_common(
    world: &World,
    settings: &InstanceSettings,
) -> Result<Option<String>, StepError> {
    let Some((source, playbook, requirements)) = &world.deployment.common_playbook else {
        return Ok(None);
    };
    let wanted = (source, playbook.as_str(), requirements.as_str());
    look_at(world, &settings.openstack_region, wanted).await
}

async fn look_at_machine(world: &World, settings: &InstanceSettings) -> Result<(), StepError> {
    let cloud = world.cloud(&settings.openstack_region)?;
    let (flavor, image) =
        (&settings.openstack_server_flavor, &settings.openstack_server_base_image);
    Ok(cloud.check_selectors(flavor, image).await?)
}

async fn look_at_quotas(
    world: &World,
    settings: &InstanceSettings,
) -> Result<Vec<Quota>, StepError> {
    let cloud = world.cloud(&settings.openstack_region)?;
    Ok(cloud.read_quotas(&settings.openstack_server_flavor).await?)
}

/// Whether the instance has a balancer, or gets one.
pub(super) async fn check_balancer(
    world: &World,
    id: InstanceId,
    instance: &instance::Present,
) -> Result<Option<PlanProblem>, AppError> {
    const STEP: &str = "assign_load_balancer";
    if instance.load_balancer.is_some() {
        return Ok(None);
    }
    match find_candidates(world, id, &instance.settings.openstack_region).await {
        Ok(found) if found.accepting.is_empty() && !found.is_on_its_way => {
            PlanProblem::of(STEP, no_load_balancer()).map(Some)
        }
        Ok(_) => Ok(None),
        // The look at the machine has told of it.
        Err(error) if error.code == Some(ErrorCode::RegionNotConfigured) => Ok(None),
        Err(error) => PlanProblem::of(STEP, error).map(Some),
    }
}
