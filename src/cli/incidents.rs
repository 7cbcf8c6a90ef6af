//! `ocim pause`, `ocim resume` and `ocim incidents`.

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::output::{Output, time};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use ocim_api_spec::{Incident, IncidentSubject, PauseWork, ResumeWork, Trouble};

/// What may stand still.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// All work
    All,
    /// That of a region
    Region,
    /// That at a provider
    Provider,
}

/// What to pause.
#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    what: Named,
    /// Why; everybody who waits is told
    #[arg(long)]
    reason: String,
    /// When it ends by itself, e.g. 2026-11-30T12:00:00Z
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

/// What to let go on.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    what: Named,
    /// So many runs a minute, the oldest first: `6` or `6/min`; else all at once
    #[arg(long, value_name = "N/min", value_parser = read_rate)]
    rate: Option<u32>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
}

/// A subject on the command line.
#[derive(Debug, Args)]
struct Named {
    /// What stands still: `all`, `region` or `provider`
    #[arg(value_enum)]
    what: What,
    /// The region, or the provider as messages call it, e.g. `DNS`
    #[arg(required_if_eq_any([("what", "region"), ("what", "provider")]))]
    name: Option<String>,
}

/// Which incidents.
#[derive(Debug, Args)]
pub(super) struct IncidentArgs {
    /// Only those that are open
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    wanted: ListArgs,
}

impl Named {
    fn subject(&self) -> IncidentSubject {
        match self.what {
            What::All => IncidentSubject::All,
            What::Region => IncidentSubject::Region,
            What::Provider => IncidentSubject::Provider,
        }
    }
}

fn read_rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/min").unwrap_or(text);
    let rate = number.parse().map_err(|_| "is a number of runs a minute, e.g. 6/min".to_owned());
    rate.and_then(|rate| if rate == 0 { Err("is at least 1/min".to_owned()) } else { Ok(rate) })
}

/// Has no work begin on something.
///
/// # Errors
/// What the server says.
pub(super) async fn pause(
    args: PauseArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let PauseArgs { what, reason, until } = args;
    let body = PauseWork { about: what.subject(), name: what.name, until, reason };
    let incident: Incident = client.post("/incidents/pause", &body).await?;
    print(&[incident], output)
}

/// Lets it go on.
///
/// # Errors
/// What the server says.
pub(super) async fn resume(
    args: ResumeArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let ResumeArgs { what, rate, reason } = args;
    let (about, name) = (what.subject(), what.name);
    let body = ResumeWork { about, name, rate_per_minute: rate, reason };
    let incident: Incident = client.post("/incidents/resume", &body).await?;
    print(&[incident], output)
}

/// Lists incidents, newest first.
///
/// # Errors
/// What the server says.
pub(super) async fn list(
    args: IncidentArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let query: &[(&str, &str)] = if args.open { &[("is_open", "true")] } else { &[] };
    let incidents: Vec<Incident> = client.list("/incidents", query, &args.wanted).await?;
    print(&incidents, output)
}

fn print(incidents: &[Incident], output: &mut Output) -> Result<(), CliError> {
    output.wide_table(
        incidents,
        &[
            ("WHAT", &tell_subject),
            ("TROUBLE", &tell_trouble),
            ("SINCE", &|it| time(it.began)),
            ("UNTIL", &|it| it.until.map(time).unwrap_or_default()),
            ("ENDED", &|it| it.ended.map(time).unwrap_or_default()),
            ("WHY", &|it| it.reason.clone()),
        ],
        &[
            ("ID", &|it| it.id.clone()),
            ("BY", &|it| it.actor.clone()),
            ("ENDED BY", &|it| it.ended_by.clone().unwrap_or_default()),
        ],
    )
}

fn tell_subject(incident: &Incident) -> String {
    match (incident.about, &incident.name) {
        (IncidentSubject::Region, Some(name)) => format!("region {name}"),
        (_, Some(name)) => name.clone(),
        (_, None) => "all work".to_owned(),
    }
}

fn tell_trouble(incident: &Incident) -> String {
    match (incident.trouble, incident.rate_per_minute) {
        (Trouble::Outage, _) => "keeps failing".to_owned(),
        (Trouble::Pause, None) => "paused".to_owned(),
        (Trouble::Pause, Some(rate)) => format!("goes on, {rate}/min"),
    }
}
