//! `ocim events …` and `ocim projections …`: they read the database itself, server or not.

use super::client::{Client, encode};
use super::database::{Database, unavailable};
use super::error::{CliError, Kind};
use super::output::{Output, time};
use crate::config::Config;
use crate::data_folder::HeadFile;
use crate::log_head::check_head;
use crate::read_models::EventQuery;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use futures_util::StreamExt;
use ocim_api_spec::SkipEvent;
use ocim_domain::event::{Position, Recorded, StreamId};
use ocim_engine::projector::{self, ProjectorError};
use ocim_engine::store::{ChainError, Engine, Filter, SubscriptionEvent};
use serde_json::json;

/// What one may do with the log of events.
#[derive(Debug, Subcommand)]
pub(super) enum EventCommand {
    /// Print events as they are appended, until Ctrl-C; protected values stay sealed
    Tail {
        /// Begin with the first event
        #[arg(long)]
        from_start: bool,
        /// Only events of these kinds, e.g. appserver.launched
        #[arg(long = "kind")]
        kinds: Vec<String>,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Check the hash chain of the whole log, and that it ends no earlier than it did before
    Verify,
    /// Go on with a log that lacks events which were there before, e.g. after a restore
    AcceptHead {
        /// Why; it stands in the log
        #[arg(long)]
        reason: String,
    },
}

/// Further choices of events.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Only events of this stream, category-<uuid>
    #[arg(long)]
    stream: Option<StreamId>,
    /// Only events of this actor, e.g. token:alice
    #[arg(long)]
    actor: Option<String>,
    /// Only events of this request or run
    #[arg(long)]
    correlation: Option<String>,
    /// Only events from this time on, e.g. 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

impl Wanted {
    fn query(self, kinds: Vec<String>) -> EventQuery {
        let Self { stream, actor, correlation, since, until } = self;
        EventQuery { stream, kinds, actor, correlation, since, until }
    }
}

/// What one may do with read models.
#[derive(Debug, Subcommand)]
pub(super) enum ProjectionCommand {
    /// Tell a paused read model to step over the event that it stands at
    Skip(SkipArgs),
    #[command(flatten)]
    Direct(DirectCommand),
}

/// What needs no server.
#[derive(Debug, Subcommand)]
pub(super) enum DirectCommand {
    /// Show how far each read model is
    Status,
    /// Build a read model anew from the events, while the old one serves
    Rebuild {
        /// Its name, as `status` shows it
        name: String,
    },
}

/// Which event, and why.
#[derive(Debug, clap::Args)]
pub(super) struct SkipArgs {
    /// The read model's name, as `status` shows it
    name: String,
    /// The id of the event that it is paused at, as `status` shows it
    event: String,
    /// Why; people read it in the log of events
    #[arg(long)]
    reason: String,
}

/// Has a read model step over an event.
///
/// # Errors
/// What the server says.
pub(super) async fn skip_event(
    args: SkipArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let SkipArgs { name, event, reason } = args;
    let path = format!("/projections/{}/skip", encode(&name));
    client.post_without_answer(&path, &SkipEvent { event, reason }).await?;
    if output.json { Ok(()) } else { output.line("it goes on behind the event") }
}

/// Does it.
///
/// # Errors
/// When the database does not answer, or the chain is broken.
pub(super) async fn run_events(
    command: EventCommand,
    config: &Config,
    output: &mut Output,
) -> Result<(), CliError> {
    if let EventCommand::AcceptHead { reason } = command {
        return super::accept_head::run(reason, config, output).await;
    }
    let database = Database::open_existing(config).await?;
    let outcome = match database.open_store(config).await {
        Ok(store) => {
            let outcome = match command {
                EventCommand::Tail { from_start, kinds, wanted } => {
                    tail_events(&*store, from_start, &wanted.query(kinds), output).await
                }
                EventCommand::Verify => {
                    verify_events(&*store, &HeadFile::of(&config.data_dir), &database, output).await
                }
                EventCommand::AcceptHead { .. } => Ok(()),
            };
            store.shutdown().await;
            outcome
        }
        Err(error) => Err(error),
    };
    database.close().await;
    outcome
}

async fn tail_events(
    store: &dyn Engine,
    from_start: bool,
    query: &EventQuery,
    output: &mut Output,
) -> Result<(), CliError> {
    let after =
        if from_start { Position::START } else { store.head().await.map_err(unavailable)? };
    let filter = Filter { categories: vec![], kinds: query.kinds.clone() };
    let mut events = store.subscribe_all(after, filter);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(SubscriptionEvent::Event(event)) if query.admits(&event) => {
                    print_event(&event, output)?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
            _ = &mut interrupted => return Ok(()),
        }
    }
}

fn print_event(event: &Recorded, output: &mut Output) -> Result<(), CliError> {
    let (position, stream) = (event.position, &event.stream);
    if output.json {
        return output.json_line(&json!({
            "position": position.to_string(), "stream": stream, "version": event.version,
            "id": event.id, "kind": event.kind, "schema": event.schema, "at": event.recorded_at,
            "meta": event.meta, "data": event.data,
        }));
    }
    let (at, actor) = (time(event.recorded_at), &event.meta.actor);
    output.line(format!("{at} {:<34} {stream} by {actor}", event.kind))
}

async fn verify_events(
    store: &dyn Engine,
    file: &HeadFile,
    database: &Database,
    output: &mut Output,
) -> Result<(), CliError> {
    let known = file.read().map_err(unavailable)?;
    // What is known first: the log only grows from here on.
    let checked = check_head(known.as_ref(), store, &database.pool).await;
    checked.map_err(|error| CliError::from_error(Kind::Failed, &error))?;
    let head = store.head().await.map_err(unavailable)?;
    let verified = store.verify_chain(Position::START, head).await.map_err(|error| {
        let kind = match &error {
            ChainError::Broken { .. } => Kind::Failed,
            ChainError::NotKept => Kind::Refused,
            ChainError::Unreadable(_) => Kind::Unavailable,
        };
        CliError::from_error(kind, &error)
    })?;
    output.record(&json!({ "events": verified.events, "head": verified.head.to_string() }))
}

/// Does it.
///
/// # Errors
/// When the database does not answer, or there is no such read model.
pub(super) async fn run_projections(
    command: DirectCommand,
    config: &Config,
    output: &mut Output,
) -> Result<(), CliError> {
    let database = Database::open_existing(config).await?;
    let outcome = match command {
        DirectCommand::Status => show_projections(&database, output).await,
        DirectCommand::Rebuild { name } => rebuild_projection(&database, &name, output).await,
    };
    database.close().await;
    outcome
}

async fn show_projections(database: &Database, output: &mut Output) -> Result<(), CliError> {
    let builds = projector::load_status(&database.pool).await.map_err(unavailable)?;
    let rows: Vec<_> = builds
        .into_iter()
        .map(|it| {
            json!({
                "name": it.build.name, "version": it.build.version,
                "generation": it.build.generation, "serving": it.serving,
                "state": format!("{:?}", it.state).to_lowercase(),
                "position": it.position.to_string(), "failure": it.failure,
            })
        })
        .collect();
    let text = |row: &serde_json::Value, field: &str| match &row[field] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    output.table(
        &rows,
        &[
            ("NAME", &|it| text(it, "name")),
            ("VERSION", &|it| text(it, "version")),
            ("STATE", &|it| text(it, "state")),
            ("SERVING", &|it| text(it, "serving")),
            ("POSITION", &|it| text(it, "position")),
            ("EVENT", &|it| text(&it["failure"], "event")),
            ("FAILURE", &|it| text(&it["failure"], "error")),
        ],
    )
}

async fn rebuild_projection(
    database: &Database,
    name: &str,
    output: &mut Output,
) -> Result<(), CliError> {
    let build = projector::request_rebuild(&database.pool, ocim_projections::ALL, name)
        .await
        .map_err(|error| {
            let kind = match &error {
                ProjectorError::UnknownProjection { .. } => Kind::NotFound,
                _ => Kind::Unavailable,
            };
            CliError::from_error(kind, &error)
        })?;
    if output.json {
        return output.document(&json!({ "name": build.name, "generation": build.generation }));
    }
    output
        .line("a server takes it up within a second, or at its start; `status` shows how far it is")
}
