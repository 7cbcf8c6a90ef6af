//! `ocim redeploy`, `ocim archive-instances` and `ocim bulk …`.

use super::client::Client;
use super::error::{CliError, Kind};
use super::list::ListArgs;
use super::output::{Output, time};
use super::runs::wait_for_run;
use clap::{Args, Subcommand};
use ocim_api_spec::{
    ArchiveInstances, BulkItem, BulkOperation, BulkPlan, RedeployInstances, StartedBulkOperation,
    SteerBulkOperation,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// How many instances are redeployed.
#[derive(Debug, Args)]
pub(super) struct RedeployArgs {
    /// Instances are tagged TAG-ongoing, TAG-success and TAG-failure; those that bear one of them are
    /// left out, so that the same command goes on where an earlier one ended
    #[arg(long)]
    tag: String,
    /// Only instances of which all of this holds: a YAML mapping such as
    /// `openedx_release__contains: hawthorn`, or @FILE
    #[arg(long, value_name = "YAML")]
    filter: Option<String>,
    /// Not those of which all of this holds
    #[arg(long, value_name = "YAML")]
    exclude: Option<String>,
    /// Settings to be changed before the launch
    #[arg(long, value_name = "YAML")]
    update: Option<String>,
    /// SQL that runs on each one's main database before that, once: a YAML list such as
    /// `[DELETE FROM django_session]`, or @FILE
    #[arg(long, value_name = "YAML")]
    preupgrade_sql_commands: Option<String>,
    /// Launch only: do not activate, nor deactivate others
    #[arg(long)]
    no_activate: bool,
    /// Most instances at a time
    #[arg(long, default_value_t = 2, value_name = "NUMBER")]
    batch_size: u32,
    /// Shortest time between the beginnings of two batches
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    batch_frequency: u32,
    /// How often each launch is attempted
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    num_attempts: u32,
    /// One instance goes first, and the others once it serves
    #[arg(long)]
    canary: bool,
    /// After so many failures nothing more is begun
    #[arg(long, value_name = "NUMBER")]
    stop_after: Option<u32>,
    #[command(flatten)]
    ask: AskArgs,
}

/// Which instances are archived.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, args = ["domains", "file"])]
pub(super) struct ArchiveArgs {
    /// The internal domains of their LMS, with commas between
    #[arg(long, value_name = "DOMAINS")]
    domains: Option<String>,
    /// A file with one of them on each line
    #[arg(long)]
    file: Option<PathBuf>,
    /// Most instances at a time
    #[arg(long, default_value_t = 2, value_name = "NUMBER")]
    batch_size: u32,
    #[command(flatten)]
    ask: AskArgs,
}

/// How it is asked for.
#[derive(Debug, Args)]
struct AskArgs {
    /// Why
    #[arg(long)]
    reason: String,
    /// Only tell which instances it would be
    #[arg(long)]
    dry_run: bool,
    /// Do not ask whether it is meant
    #[arg(long)]
    force: bool,
    /// Wait until it is over, and tell how it goes
    #[arg(long)]
    wait: bool,
}

/// What one may do with bulk operations.
#[derive(Debug, Subcommand)]
pub(super) enum BulkCommand {
    /// List bulk operations, newest first
    List(ListArgs),
    /// Show a bulk operation: how far it is, and when it will probably be over
    Show {
        /// Its id
        id: String,
    },
    /// List the instances of a bulk operation
    Instances {
        /// Its id
        id: String,
        #[command(flatten)]
        wanted: ListArgs,
    },
    /// Begin with no more instances for now
    Pause {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Go on
    Resume {
        /// Its id
        id: String,
    },
    /// Begin with no more instances; those that were begun come to their end
    Stop {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Redeploys many instances.
///
/// # Errors
/// What the server says.
pub(super) async fn redeploy(
    args: RedeployArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let body = RedeployInstances {
        tag: args.tag,
        filter: read_mapping("--filter", args.filter.as_deref())?,
        exclude: read_mapping("--exclude", args.exclude.as_deref())?,
        update: read_mapping("--update", args.update.as_deref())?,
        preupgrade_sql_commands: read_texts(
            "--preupgrade-sql-commands",
            args.preupgrade_sql_commands.as_deref(),
        )?,
        attempts: args.num_attempts,
        activate: !args.no_activate,
        batch_size: args.batch_size,
        frequency_seconds: args.batch_frequency,
        canary: args.canary,
        failures_max: args.stop_after,
        reason: args.ask.reason.clone(),
        dry_run: false,
    };
    let dry = RedeployInstances { dry_run: true, ..body.clone() };
    ask("/bulk_operations/redeploy", (&dry, &body), "redeploy", &args.ask, client, output).await
}

/// Archives many instances.
///
/// # Errors
/// What the server says.
pub(super) async fn archive(
    args: ArchiveArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let domains = match (args.domains, args.file) {
        (Some(domains), _) => domains.split(',').map(str::to_owned).collect(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file).map_err(|error| {
                CliError::new(Kind::Usage, format!("can't read {}: {error}", file.display()))
            })?;
            text.lines().map(str::to_owned).collect()
        }
        (None, None) => vec![],
    };
    let body = ArchiveInstances {
        domains,
        batch_size: args.batch_size,
        reason: args.ask.reason.clone(),
        dry_run: false,
    };
    let dry = ArchiveInstances { dry_run: true, ..body.clone() };
    ask("/bulk_operations/archive", (&dry, &body), "archive", &args.ask, client, output).await
}

/// Looks which instances it would be, asks whether that is meant, and has it done.
async fn ask<Body: Serialize>(
    path: &str,
    (dry, body): (&Body, &Body),
    verb: &str,
    args: &AskArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let plan: BulkPlan = client.post(path, dry).await?;
    if args.dry_run && output.json {
        return output.document(&plan);
    }
    if args.dry_run || !args.force {
        for chosen in &plan.instances {
            let why = chosen.left_out.as_ref().map(|why| format!(": would be left out: {why}"));
            let why = why.unwrap_or_default();
            output.progress(format!("{} ({}) [{}]{why}", chosen.name, chosen.domain, chosen.id))?;
        }
    }
    for domain in &plan.unknown {
        output.progress(format!("{domain}: no instance in service has this domain"))?;
    }
    if args.dry_run {
        return output.line(format!("would {verb} {} instances", plan.instance_count));
    }
    if !args.force && plan.instance_count > 0 && !confirm(verb, plan.instance_count)? {
        return output.line("cancelled: nothing was begun");
    }
    let started: StartedBulkOperation = client.post(path, body).await?;
    if args.wait {
        output.progress(format!("{} by {}", started.id, started.run))?;
        wait_for_run(&started.run, client, output).await?;
        let operation: BulkOperation =
            client.get(&format!("/bulk_operations/{}", started.id)).await?;
        return match operation.failed {
            0 => Ok(()),
            failed => Err(CliError::new(Kind::RunFailed, format!("{failed} instances failed"))),
        };
    }
    output.record(&started)
}

/// Whether a person says yes. Where nobody can be asked, it is a fault of the command line.
fn confirm(verb: &str, count: usize) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        let what =
            "nobody can be asked whether this is meant: give --force, or --dry-run to look first";
        return Err(CliError::new(Kind::Usage, what));
    }
    let mut errors = std::io::stderr();
    write!(errors, "{verb} {count} instances? [yes/No] ")?;
    errors.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_lowercase().starts_with('y'))
}

/// A YAML mapping, as it is written or in a file.
fn read_mapping(option: &str, text: Option<&str>) -> Result<Map<String, Value>, CliError> {
    let Some(text) = text else { return Ok(Map::new()) };
    let text = super::instances::read_text(option, text)?;
    ocim_domain::configuration::yaml::parse_mapping(&text)
        .map_err(|error| CliError::new(Kind::Usage, format!("{option}: {error}")))
}

/// A YAML list of texts, as it is written or in a file.
fn read_texts(option: &str, text: Option<&str>) -> Result<Vec<String>, CliError> {
    let Some(text) = text else { return Ok(vec![]) };
    let text = super::instances::read_text(option, text)?;
    ocim_domain::configuration::yaml::parse_texts(&text)
        .map_err(|error| CliError::new(Kind::Usage, format!("{option}: {error}")))
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: BulkCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = |id: &str| format!("/bulk_operations/{id}");
    let operation: BulkOperation = match command {
        BulkCommand::List(wanted) => {
            let items: Vec<BulkOperation> = client.list("/bulk_operations", &[], &wanted).await?;
            return list(&items, output);
        }
        BulkCommand::Instances { id, wanted } => {
            let path = format!("/bulk_operations/{id}/instances");
            let items: Vec<BulkItem> = client.list(&path, &[], &wanted).await?;
            return list_items(&items, output);
        }
        BulkCommand::Show { id } => client.get(&path(&id)).await?,
        BulkCommand::Pause { id, reason } => {
            client.post(&format!("{}/pause", path(&id)), &SteerBulkOperation { reason }).await?
        }
        BulkCommand::Resume { id } => {
            client.post(&format!("{}/resume", path(&id)), &Map::<String, Value>::new()).await?
        }
        BulkCommand::Stop { id, reason } => {
            client.post(&format!("{}/stop", path(&id)), &SteerBulkOperation { reason }).await?
        }
    };
    output.record(&operation)
}

fn list(items: &[BulkOperation], output: &mut Output) -> Result<(), CliError> {
    output.wide_table(
        items,
        &[
            ("ID", &|it| it.id.clone()),
            ("WORK", &|it| word(&it.work)),
            ("TAG", &|it| it.tag.clone().unwrap_or_default()),
            ("STATE", &|it| word(&it.state)),
            ("PENDING", &|it| it.pending.to_string()),
            ("ONGOING", &|it| it.ongoing.to_string()),
            ("SUCCEEDED", &|it| it.succeeded.to_string()),
            ("FAILED", &|it| it.failed.to_string()),
            ("SKIPPED", &|it| it.skipped.to_string()),
            ("END", &|it| it.ended.or(it.forecast_end).map(time).unwrap_or_default()),
        ],
        &[
            ("RUN", &|it| it.run.clone()),
            ("BY", &|it| it.actor.clone()),
            ("BECAUSE", &|it| it.because.clone().unwrap_or_default()),
        ],
    )
}

fn list_items(items: &[BulkItem], output: &mut Output) -> Result<(), CliError> {
    output.table(
        items,
        &[
            ("PLACE", &|it| it.place.to_string()),
            ("INSTANCE", &|it| it.domain.clone()),
            ("STATE", &|it| word(&it.state)),
            ("BEGUN", &|it| it.begun.map(time).unwrap_or_default()),
            ("DONE", &|it| it.settled.map(time).unwrap_or_default()),
            ("WHY", &|it| it.why.clone().unwrap_or_default()),
        ],
    )
}

/// A word of the API's, as it is on the wire.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
