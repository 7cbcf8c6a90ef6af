//! `ocim clean-up`, `ocim instance clean-up`.

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::output::{Output, time};
use clap::Args;
use ocim_api_spec::{
    ChangeCleanUp, CleanUpMode, CleanUpPlan, CleanUpReason, PlannedAppserver, ReferenceKind,
    RunTimer, StartedRun,
};
use ocim_domain::instance::clean_up::DAYS_MAX;

/// How to clean up.
#[derive(Debug, Args)]
pub(super) struct CleanUpArgs {
    /// Do nothing: tell which appservers would go, and until when and why others stay
    #[arg(long, conflicts_with = "reason")]
    dry_run: bool,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    wanted: ListArgs,
}

/// Which instance is to have which rule.
#[derive(Debug, Args)]
pub(super) struct CleanUpRuleArgs {
    /// Which: name, domain, its first label, id or the beginning of it
    id: String,
    #[command(flatten)]
    rule: RuleArgs,
    /// Why; it stands in the timeline
    #[arg(long)]
    reason: String,
}

/// By which rule obsolete appservers go.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct RuleArgs {
    /// After so many days
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=i64::from(DAYS_MAX)))]
    days: Option<u16>,
    /// Never by themselves, failed ones neither
    #[arg(long)]
    off: bool,
    /// When those of all other instances do
    #[arg(long)]
    default: bool,
}

/// One line of the plan.
type Line<'a> = (&'a CleanUpPlan, Option<&'a PlannedAppserver>);

/// Does it, or tells what would be done.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    args: &CleanUpArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    if !args.dry_run {
        let body = RunTimer { reason: args.reason.clone() };
        let path = "/timers/clean_up_appservers/run";
        let started: StartedRun = client.post(path, &body).await?;
        return if output.json { output.document(&started) } else { output.line(started.run) };
    }
    let plans: Vec<CleanUpPlan> = client.list("/clean_up", &[], &args.wanted).await?;
    if output.json {
        return output.document(&plans);
    }
    let lines: Vec<Line<'_>> = plans.iter().flat_map(list_lines).collect();
    output.table(
        &lines,
        &[
            ("INSTANCE", &|(plan, _)| plan.instance_name.clone()),
            ("APPSERVER", &|(_, it)| it.map(|it| it.name.clone()).unwrap_or_default()),
            ("UNTIL", &|(_, it)| it.and_then(|it| it.verdict.until).map(time).unwrap_or_default()),
            ("WHAT", &|(plan, it)| match it {
                Some(it) => it.verdict.told.clone(),
                None => plan.failure.clone().unwrap_or_default(),
            }),
        ],
    )
}

/// Each of an instance's appservers but those that serve; one line where it can't be told.
fn list_lines(plan: &CleanUpPlan) -> Vec<Line<'_>> {
    if plan.failure.is_some() {
        return vec![(plan, None)];
    }
    let idle = plan.appservers.iter().filter(|it| it.verdict.why != CleanUpReason::Serves);
    idle.map(|it| (plan, Some(it))).collect()
}

/// Changes the rule of one instance.
///
/// # Errors
/// What the server says.
pub(super) async fn change_clean_up(
    args: CleanUpRuleArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let CleanUpRuleArgs { id, rule, reason } = args;
    let (mode, said) = match rule.days {
        Some(days) => (CleanUpMode::Days, format!("its obsolete appservers go after {days} days")),
        None if rule.off => (CleanUpMode::Off, "its appservers stay, however old".to_owned()),
        None => {
            (CleanUpMode::Default, "its obsolete appservers go when those of others do".to_owned())
        }
    };
    let id = client.find_id(ReferenceKind::Instance, &id).await?;
    let body = ChangeCleanUp { mode, days: rule.days, reason };
    client.post_without_answer(&format!("/instances/{id}/clean_up"), &body).await?;
    if output.json { Ok(()) } else { output.line(said) }
}
