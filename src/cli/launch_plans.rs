//! `ocim appserver plan`: a launch, rehearsed.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::Output;
use super::variables::tell_edit;
use ocim_api_spec::{LaunchPlan, PlanProblem, PlannedSetting, ReferenceKind, VariableDifference};
use serde_json::{Map, Value};

/// Tells what a launch of an instance would make and do.
///
/// # Errors
/// [`Kind::NeedsYou`] where something would stop it; what the server says.
pub(super) async fn plan_launch(
    instance: &str,
    activate: bool,
    with_variables: bool,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, instance).await?;
    let path = format!("/instances/{id}/launch_plan");
    let query = [("activate_on_success", activate.to_string())];
    let plan: LaunchPlan = client.get_patiently(&path, &query).await?;
    if output.json {
        output.record(&plan)?;
    } else {
        lines(&plan, with_variables).into_iter().try_for_each(|line| output.line(line))?;
    }
    match plan.problems.len() {
        0 => Ok(()),
        1 => Err(CliError::new(Kind::NeedsYou, "1 problem would stop this launch")),
        count => {
            Err(CliError::new(Kind::NeedsYou, format!("{count} problems would stop this launch")))
        }
    }
}

fn lines(plan: &LaunchPlan, with_variables: bool) -> Vec<String> {
    let (number, version) = (plan.number, plan.settings_version);
    let mut lines = vec![format!("AppServer {number} from version {version} of the settings")];
    let commit = plan.configuration_commit.iter().map(|commit| format!("plays commit {commit}"));
    lines.extend(commit);
    lines.extend(plan.problems.iter().map(tell_problem));
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    match &plan.compared_with {
        None => lines.push("no appserver is in traffic to compare it with".to_owned()),
        Some(live) => {
            lines.push(format!("compared with {live}:"));
            if plan.settings.is_empty() && plan.differences.is_empty() {
                lines.push("  nothing differs".to_owned());
            }
            lines.extend(plan.settings.iter().map(tell_setting));
            lines.extend(plan.differences.iter().flat_map(tell_difference));
        }
    }
    lines.push("steps:".to_owned());
    lines.extend(plan.steps.iter().map(|step| match &step.skipped {
        None => format!("  {}", step.step),
        Some(why) => format!("  {}: skipped, {why}", step.step),
    }));
    if with_variables {
        let all = [
            ("the site's own playbook", &plan.variables),
            ("the playbook that makes LMS users", &plan.users_variables),
            ("the playbook that all sites share", &plan.common_variables),
        ];
        for (what, variables) in all {
            lines.extend(variables.iter().flat_map(|variables| tell_variables(what, variables)));
        }
    }
    lines
}

fn tell_problem(problem: &PlanProblem) -> String {
    let code = problem.code.iter().map(|code| format!(" (`ocim explain {code}`)"));
    let may_pass = if problem.may_pass { "; it may pass by itself" } else { "" };
    let (step, message) = (&problem.step, &problem.message);
    format!("problem at {step}: {message}{}{may_pass}", code.collect::<String>())
}

fn tell_setting(setting: &PlannedSetting) -> String {
    let change = &setting.change;
    let value = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    let what = match change.is_protected {
        true => "has another value".to_owned(),
        false => format!("{} -> {}", value(&change.before), value(&change.since)),
    };
    let by = setting.set.as_ref().map(tell_edit).unwrap_or_default();
    format!("  setting {}: {what}{by}", change.setting)
}

fn tell_difference(difference: &VariableDifference) -> Vec<String> {
    let value = |value: &Option<Value>| match value {
        Some(value) => value.to_string(),
        None => "(not there)".to_owned(),
    };
    let (live, planned) = (value(&difference.live), value(&difference.planned));
    let mut lines = vec![format!("  {}: {live} -> {planned}", difference.variable)];
    lines.extend(difference.because.iter().map(|why| format!("    because: {why}")));
    lines
}

fn tell_variables(what: &str, variables: &Map<String, Value>) -> Vec<String> {
    let mut lines = vec![format!("variables of {what}:")];
    lines.extend(variables.iter().map(|(name, value)| format!("  {name}: {value}")));
    lines
}
