//! Launches, rehearsed.

use super::Api;
use super::appservers::APPSERVERS;
use super::extract::{Params, read_flag};
use super::instances::INSTANCE_ID;
use super::problem::HttpError;
use super::routes::{Access, Answer, Content, Input, Link, Route, Verb, handler};
use super::settings_history::show_change;
use super::variables::{show_edit, show_layer};
use crate::app::Caller;
use crate::launch_plan;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{
    LaunchPlan, PlanProblem, PlannedSetting, PlannedStep, Playbook, VariableDifference,
};
use ocim_domain::ids::InstanceId;
use ocim_domain::right::Right;
use serde::Deserialize;
use utoipa::IntoParams;

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(plan_launch),
    method: Verb::Get,
    path: "/api/v1/instances/{id}/launch_plan",
    tag: APPSERVERS,
    summary: "Rehearses a launch, and changes nothing",
    description: "Composes the variables, compares them with those of the Appserver in traffic, and \
        looks at repositories, versions, playbooks, flavor and image as a launch does: what is wrong \
        is told all at once. Fetching a repository for the first time may take minutes.",
    access: Access::Granted(Right::AppserversRead),
    takes: Input::NOTHING.path(&[INSTANCE_ID]).query::<PlanParams>(),
    answers: &[Answer {
        status: 200,
        description: "What the launch would make and do now",
        content: &[Content::json::<LaunchPlan>()],
        headers: &[],
        links: &[Link {
            name: "compared_with",
            to: "read_appserver",
            parameter: "id",
            from: "$response.body#/compared_with",
        }],
    }],
    refuses: &[],
}];

/// What the launch would be asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PlanParams {
    /// Bring the Appserver into traffic once it runs.
    #[serde(default, deserialize_with = "read_flag")]
    activate_on_success: bool,
}

/// Rehearses a launch of an instance.
async fn plan_launch(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Params(params): Params<PlanParams>,
) -> Result<HttpResponse, HttpError> {
    let ask = launch_plan::PlanAsk { activate: params.activate_on_success };
    let plan = api.planner.plan_launch(&by, *id, ask).await?;
    Ok(HttpResponse::Ok().json(LaunchPlan {
        number: plan.number,
        settings_version: plan.settings_version,
        problems: plan.problems.into_iter().map(show_problem).collect(),
        notes: plan.notes,
        configuration_commit: plan.looked_at.commit,
        common_commit: plan.looked_at.common_commit,
        compared_with: plan.compared_with.map(|(id, _)| id.to_string()),
        settings: plan.settings.into_iter().map(show_setting).collect(),
        differences: plan.differences.into_iter().map(show_difference).collect(),
        steps: plan.steps.into_iter().map(show_step).collect(),
        variables: plan.variables,
        users_variables: plan.users_variables,
        common_variables: plan.common_variables,
    }))
}

fn show_problem(problem: launch_plan::PlanProblem) -> PlanProblem {
    PlanProblem {
        step: problem.step.to_owned(),
        code: problem.code.map(|code| code.to_string()),
        message: problem.message,
        may_pass: problem.may_pass,
        run: problem.run.map(|run| run.to_string()),
    }
}

fn show_setting(difference: launch_plan::SettingDifference) -> PlannedSetting {
    PlannedSetting { change: show_change(difference.change), set: difference.set.map(show_edit) }
}

fn show_difference(difference: launch_plan::VariableDifference) -> VariableDifference {
    VariableDifference {
        playbook: match difference.playbook {
            launch_plan::Playbook::Main => Playbook::Main,
            launch_plan::Playbook::Users => Playbook::Users,
            launch_plan::Playbook::Common => Playbook::Common,
        },
        variable: difference.variable,
        planned: difference.planned,
        live: difference.live,
        because: difference.because,
        layers: difference.layers.into_iter().map(show_layer).collect(),
    }
}

fn show_step(step: launch_plan::PlannedStep) -> PlannedStep {
    PlannedStep { step: step.step.to_owned(), skipped: step.skipped }
}
