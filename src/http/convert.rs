//! Rows of the read models become wire types.

use super::problem::{HttpError, internal};
use super::sites::{Listens, machine_url};
use crate::app::Told;
use crate::app::tokens::TokenRow;
use crate::logs::lines::cut_at;
use crate::read_models::{
    AppserverRow, DefinitionFigures, InstanceDetailRow, InstanceRow, LoadBalancerRow, OrphanRow,
    ReferenceRow, RegionRow, RegionRunRow, ResourceRow, RunAttemptRow, RunRow, RunStepRow,
    ServerRow, StepFigures,
};
use chrono::{DateTime, Utc};
use ocim_adapters::logs::{Level, LogLine as StoredLine};
use ocim_api_spec as wire;
use ocim_domain::event::Recorded;
use ocim_domain::load_balancer::Trouble;
use ocim_domain::settings::InstanceSettings;
use ocim_domain::token::Scope;
use ocim_engine::projector::{BuildState, ProjectionStatus};
use ocim_projections::history::hide_protected;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// How the actor of what a run does begins, before the run's id.
const RUN_ACTOR: &str = "saga:";

/// The list's form of a site.
pub(super) fn instance(row: InstanceRow) -> Result<wire::Instance, HttpError> {
    let listens = Listens::of(&row);
    let (lms_url, studio_url) =
        (listens.visitor_url(&row.domain), listens.visitor_url(&row.studio_domain));
    let newest_appserver = match (row.newest, row.newest_number, row.newest_status) {
        (Some(id), Some(number), Some(status)) => Some(wire::NewestAppserver {
            id,
            number,
            status: word(status)?,
            is_healthy: row.newest_healthy.unwrap_or(true),
        }),
        _ => None,
    };
    let name_troubles = serde_json::from_value(row.name_troubles);
    Ok(wire::Instance {
        release: row.release,
        lms_url,
        studio_url,
        is_healthy: row.healthy,
        newest_appserver,
        id: row.id,
        name: row.name,
        domain: row.domain,
        appserver_count: row.appserver_count,
        active_appservers: row.active_appservers,
        name_troubles: name_troubles.map_err(|error| internal(&error))?,
        launches: row.launches,
        load_balancer: row.load_balancer,
        successfully_provisioned: row.successfully_provisioned,
        created: row.created_at,
        modified: row.updated_at,
    })
}

/// A site with its settings, and what to tell whoever set them.
pub(super) fn instance_detail(
    row: InstanceRow,
    detail: InstanceDetailRow,
    settings: &InstanceSettings,
    warnings: Vec<String>,
    site: wire::Site,
) -> Result<wire::InstanceDetail, HttpError> {
    Ok(wire::InstanceDetail {
        settings_version: detail.settings_version,
        warnings,
        resources: resources(detail.resources)?,
        settings: wire::Settings(settings.show()),
        site,
        instance: instance(row)?,
    })
}

fn resources(names: Option<Value>) -> Result<Option<wire::ResourceNames>, HttpError> {
    names.map(serde_json::from_value).transpose().map_err(|error| internal(&error))
}

/// The settings as people see them; what is Ocim's own, the master secret before all, falls away.
pub(super) fn settings(opened: Value) -> Result<wire::Settings, HttpError> {
    read_settings(opened).map(|settings| wire::Settings(settings.show()))
}

/// The settings with all that is in them; `opened` has the texts of protected ones.
pub(super) fn read_settings(opened: Value) -> Result<InstanceSettings, HttpError> {
    serde_json::from_value(opened).map_err(|error| internal(&error))
}

/// A word of a read model as one of the wire's.
fn word<T: DeserializeOwned>(text: String) -> Result<T, HttpError> {
    serde_json::from_value(Value::String(text)).map_err(|error| internal(&error))
}

/// A wire's word as the read models have it.
pub(super) fn text_of<T: Serialize>(word: T) -> Option<String> {
    serde_json::to_value(word).ok()?.as_str().map(str::to_owned)
}

/// The list's form of an Appserver.
pub(super) fn appserver(row: AppserverRow) -> Result<wire::Appserver, HttpError> {
    let status: wire::AppserverStatus = word(row.status)?;
    Ok(wire::Appserver {
        id: row.id,
        instance: row.instance,
        instance_name: row.domain,
        name: format!("AppServer {}", row.number),
        machine_url: machine_url(row.public_ip.as_deref(), row.http_port),
        release: row.release,
        number: row.number,
        is_active: row.active,
        status,
        status_name: status.name().to_owned(),
        status_description: status.description().to_owned(),
        is_steady: status.is_steady(),
        is_healthy: row.healthy,
        failure: row.failure,
        server: row.server,
        launch_run: row.launch_run,
        latest_run: row.latest_run,
        configuration_commit: row.configuration_commit,
        last_activated: row.last_activated,
        keeps_server_until: row.keeps_server_until,
        machine_trouble: row.trouble,
        created: row.created_at,
        modified: row.updated_at,
        terminated: row.terminated_at,
    })
}

/// A machine.
pub(super) fn server(row: ServerRow) -> Result<wire::Server, HttpError> {
    let status: wire::ServerStatus = word(row.status)?;
    Ok(wire::Server {
        id: row.id,
        appserver: row.appserver,
        name: row.name,
        openstack_id: row.machine,
        openstack_region: row.region,
        status,
        status_name: status.name().to_owned(),
        status_description: status.description().to_owned(),
        reason: row.reason,
        power: row.power.map(word).transpose()?,
        public_ip: row.public_ip,
        ssh_port: row.ssh_port,
        http_port: row.http_port,
        ssh_user: row.ssh_user,
        host_keys: row.host_keys.unwrap_or_default(),
        created: row.created_at,
        modified: row.updated_at,
    })
}

/// Something that an instance has outside.
pub(super) fn resource(row: ResourceRow) -> Result<wire::Resource, HttpError> {
    Ok(wire::Resource {
        instance: row.instance_id,
        kind: word(row.kind)?,
        key: row.key,
        name: row.name,
        place: row.place,
        owner: row.owner,
        state: word(row.state)?,
        provider_id: row.provider_id,
        reason: row.reason,
        since: row.since,
    })
}

/// A machine that nobody accounts for.
pub(super) fn orphan(row: OrphanRow) -> Result<wire::Orphan, HttpError> {
    Ok(wire::Orphan {
        region: row.region,
        machine: row.machine,
        name: row.name,
        key: row.made_with_key,
        power: word(row.power)?,
        deletion_run: row.deletion_run,
        found: row.found_at,
    })
}

/// A balancer.
pub(super) fn load_balancer(row: LoadBalancerRow) -> Result<wire::LoadBalancer, HttpError> {
    let troubles: Vec<Trouble> =
        serde_json::from_value(row.troubles).map_err(|error| internal(&error))?;
    Ok(wire::LoadBalancer {
        id: row.id,
        domain: row.domain,
        public_ip: row.public_ip,
        http_port: row.http_port,
        also_listens: row.also_listens,
        accepts_new_backends: row.accepts_new_backends,
        troubles: troubles.iter().map(ToString::to_string).collect(),
        preparation_run: row.preparation_run,
        created: row.created_at,
        modified: row.updated_at,
    })
}

/// A thing that a text stands for.
pub(super) fn reference(row: ReferenceRow) -> Result<wire::Reference, HttpError> {
    Ok(wire::Reference { kind: word(row.kind)?, id: row.id, name: row.name })
}

/// The regions, each with its runs of all, which come in their order.
pub(super) fn regions(rows: Vec<RegionRow>, runs: &[RegionRunRow]) -> Vec<wire::Region> {
    let with_runs = |row: RegionRow| {
        let id = row.id.as_str();
        let own = |state| runs.iter().filter(move |it| it.region == id && it.state == state);
        let queued = own("queued").zip(1..);
        let queued = queued.map(|(it, position)| wire::QueuedRun {
            run: it.run.clone(),
            position,
            since: it.since,
        });
        wire::Region {
            running: own("running").map(|it| it.run.clone()).collect(),
            queued: queued.collect(),
            id: row.id.clone(),
            name: row.name.clone(),
            launches_max: row.launches_max,
            created: row.created_at,
            modified: row.updated_at,
        }
    };
    rows.into_iter().map(with_runs).collect()
}

/// A build of a read model; none for one that is given up.
pub(super) fn projection(status: ProjectionStatus) -> Option<wire::Projection> {
    let state = match status.state {
        BuildState::Running => wire::ProjectionState::Running,
        BuildState::Paused => wire::ProjectionState::Paused,
        BuildState::Rebuilding => wire::ProjectionState::Rebuilding,
        BuildState::Retired => return None,
    };
    let failure = status.failure.map(|it| wire::ProjectionFailure {
        event: it.event.to_string(),
        kind: it.kind,
        stream: it.stream,
        position: it.position,
        error: it.error,
    });
    Some(wire::Projection {
        name: status.build.name,
        version: status.build.version,
        generation: status.build.generation,
        state,
        is_serving: status.serving,
        position: status.position.to_string(),
        failure,
        modified: status.updated_at,
    })
}

/// A run, as it is now.
pub(super) fn run(row: RunRow, now: DateTime<Utc>) -> Result<wire::Run, HttpError> {
    let duration = row.ended_at.unwrap_or(now) - row.created_at;
    let phase = word(row.phase)?;
    let cause = row.trouble.or(row.cause);
    Ok(wire::Run {
        outcome: outcome(phase, row.current_step.as_deref(), cause.as_deref()),
        subject_name: row.subject_name,
        providers: row.providers,
        duration_s: duration.as_seconds_f64().max(0.0),
        id: row.id,
        definition: row.definition,
        version: row.version,
        subject: row.subject,
        phase,
        cause,
        stuck_code: row.stuck_code,
        error_code: row.error_code,
        current_step: row.current_step,
        cancel_requested: row.cancel_requested,
        started_by: row.actor.strip_prefix(RUN_ACTOR).map(str::to_owned),
        actor: row.actor,
        created: row.created_at,
        modified: row.updated_at,
        ended: row.ended_at,
    })
}

/// Which way a run goes, or how it ended, in the words of people.
fn outcome(phase: wire::RunPhase, step: Option<&str>, cause: Option<&str>) -> String {
    let cause = cause.unwrap_or("it did not say why");
    match phase {
        wire::RunPhase::Forward => match step {
            Some(step) => format!("under way at {step}"),
            None => "about to begin".to_owned(),
        },
        wire::RunPhase::Unwinding => format!("turning back, {cause}"),
        wire::RunPhase::Completed => "completed".to_owned(),
        wire::RunPhase::Abandoned => format!("given up: {cause}"),
        wire::RunPhase::Stuck | wire::RunPhase::Unwound => cause.to_owned(),
    }
}

/// The steps of a run, each with its attempts.
pub(super) fn run_steps(
    steps: Vec<RunStepRow>,
    attempts: Vec<RunAttemptRow>,
) -> Result<Vec<wire::RunStep>, HttpError> {
    let mut by_step = BTreeMap::<String, Vec<wire::RunAttempt>>::new();
    for row in attempts {
        by_step.entry(row.step.clone()).or_default().push(run_attempt(row));
    }
    let with_attempts = |row: RunStepRow| {
        let attempts = by_step.remove(&row.step).unwrap_or_default();
        run_step(row, attempts)
    };
    steps.into_iter().map(with_attempts).collect()
}

fn run_attempt(row: RunAttemptRow) -> wire::RunAttempt {
    let outcome = row.outcome.map(|outcome| match outcome.as_str() {
        "done" => wire::AttemptOutcome::Done,
        "failed" => wire::AttemptOutcome::Failed,
        _ => wire::AttemptOutcome::Superseded,
    });
    let failed = outcome == Some(wire::AttemptOutcome::Failed);
    wire::RunAttempt {
        attempt: row.attempt,
        is_undo: row.is_undo,
        started: row.started_at,
        ended: row.ended_at,
        duration_s: row.ended_at.map(|end| (end - row.started_at).as_seconds_f64()),
        outcome,
        class: row.class.filter(|_| failed),
        code: row.code.filter(|_| failed),
        error: row.note.filter(|_| failed),
    }
}

/// How runs went.
pub(super) fn run_statistics(
    since: DateTime<Utc>,
    definitions: Vec<DefinitionFigures>,
    steps: &[StepFigures],
) -> wire::RunStatistics {
    let with_steps = |it: DefinitionFigures| {
        let own = steps.iter().filter(|step| step.definition == it.definition);
        wire::DefinitionStatistics {
            steps: own.map(step_statistics).collect(),
            durations: durations(it.p50, it.p90, it.p99, it.max),
            definition: it.definition,
            runs: it.runs,
            open: it.open,
            stuck: it.stuck,
            completed: it.completed,
            unwound: it.unwound,
        }
    };
    wire::RunStatistics { since, definitions: definitions.into_iter().map(with_steps).collect() }
}

fn step_statistics(it: &StepFigures) -> wire::StepStatistics {
    wire::StepStatistics {
        step: it.step.clone(),
        done: it.done,
        skipped: it.skipped,
        attempts: it.attempts,
        retries: it.retries,
        failures: it.failures,
        undos: it.undos,
        undo_failures: it.undo_failures,
        durations: durations(it.p50, it.p90, it.p99, it.max),
    }
}

fn durations(
    p50_s: Option<f64>,
    p90_s: Option<f64>,
    p99_s: Option<f64>,
    max_s: Option<f64>,
) -> wire::Durations {
    wire::Durations { p50_s, p90_s, p99_s, max_s }
}

/// An event with all that may be shown of it.
pub(super) fn event(recorded: Recorded) -> wire::RecordedEvent {
    wire::RecordedEvent {
        position: recorded.position.to_string(),
        stream: recorded.stream.to_string(),
        version: recorded.version,
        id: recorded.id.to_string(),
        kind: recorded.kind,
        schema: recorded.schema,
        at: recorded.recorded_at,
        actor: recorded.meta.actor,
        correlation: recorded.meta.correlation_id,
        causation: recorded.meta.causation_id,
        traceparent: recorded.meta.traceparent,
        source_ip: recorded.meta.source_ip,
        reason: recorded.meta.reason,
        data: hide_protected(recorded.data),
    }
}

/// An event told for people.
pub(super) fn timeline_item(told: Told) -> wire::TimelineItem {
    wire::TimelineItem {
        position: told.event.position.to_string(),
        at: told.event.recorded_at,
        actor: told.event.meta.actor,
        kind: told.event.kind,
        subject: told.subject,
        sentence: told.sentence,
    }
}

fn run_step(row: RunStepRow, attempts: Vec<wire::RunAttempt>) -> Result<wire::RunStep, HttpError> {
    Ok(wire::RunStep {
        step: row.step,
        state: word(row.state)?,
        attempt: row.attempt,
        note: row.note,
        retry_at: row.retry_at,
        started: row.started_at,
        modified: row.updated_at,
        attempts,
    })
}

/// A token as everybody may know it.
pub(super) fn token(row: TokenRow, now: DateTime<Utc>) -> wire::Token {
    let state = match (row.revoked_at, row.expires_at) {
        (Some(_), _) => wire::TokenState::Revoked,
        (None, Some(expires)) if expires <= now => wire::TokenState::Expired,
        (None, _) => wire::TokenState::Active,
    };
    let scope = match row.scope {
        Scope::Read => wire::TokenScope::Read,
        Scope::All => wire::TokenScope::All,
    };
    wire::Token {
        id: row.id.to_string(),
        name: row.name,
        scope,
        state,
        created: row.created_at,
        expires: row.expires_at,
        last_used: row.last_used_at,
    }
}

/// What a token is asked to allow.
pub(super) fn domain_scope(scope: wire::TokenScope) -> Scope {
    match scope {
        wire::TokenScope::Read => Scope::Read,
        wire::TokenScope::All => Scope::All,
    }
}

/// Longest text of a log line that is shown whole, bytes; the raw download has all.
const SHOWN_BYTES: usize = 16 * 1024;

/// A line of a log.
pub(super) fn log_line(line: StoredLine) -> wire::LogLine {
    let (text, more_bytes) = cut_at(&line.line.text, SHOWN_BYTES);
    wire::LogLine {
        number: line.number,
        at: line.line.at,
        level: match line.line.level {
            Level::Info => wire::LogLevel::Info,
            Level::Warning => wire::LogLevel::Warning,
            Level::Error => wire::LogLevel::Error,
        },
        text: text.to_owned(),
        more_bytes: more_bytes as u64,
        step: line.line.step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::protected::{MARK, Protected};
    use ocim_domain::settings::{SETTINGS, Setting};
    use ocim_domain::{appserver, server};
    use serde_json::json;

    /// Settings as they are recorded, with the example of each.
    fn sample_settings() -> Value {
        let value = |setting: &Setting| match ((setting.example)(), setting.is_protected) {
            (Value::String(text), true) => json!(Protected::new("inst_1", text)),
            (Value::Array(texts), true) => texts
                .iter()
                .map(|text| json!(Protected::new("inst_1", text.as_str().unwrap())))
                .collect(),
            (value, _) => value,
        };
        SETTINGS.iter().map(|setting| (setting.name.to_owned(), value(setting))).collect()
    }

    #[test]
    fn every_setting_of_peoples_is_shown_and_the_master_secret_is_not() {
        let shown = settings(sample_settings()).unwrap();
        for setting in SETTINGS {
            let expected = setting.is_peoples.then(|| (setting.example)());
            assert_eq!(shown.0.get(setting.name), expected.as_ref(), "{}", setting.name);
        }
        assert!(!shown.0.contains_key("secret_key_b64encoded"));
    }

    #[test]
    fn a_shredded_text_is_called_that() {
        let mut shredded = sample_settings();
        shredded["email"] = json!({MARK: {"subject": "inst_1"}});
        assert_eq!(settings(shredded).unwrap().0["email"], "[shredded]");
    }

    #[test]
    fn the_wire_knows_every_status_and_agrees_on_its_meaning() {
        for status in appserver::Status::ALL {
            let text = serde_json::to_value(status).unwrap().as_str().unwrap().to_owned();
            let shown: wire::AppserverStatus = word(text).unwrap();
            assert_eq!(shown.is_steady(), status.is_steady());
            assert_eq!(shown.is_healthy(), status.is_healthy());
        }
        for status in server::Status::ALL {
            let text = serde_json::to_value(status).unwrap().as_str().unwrap().to_owned();
            word::<wire::ServerStatus>(text).unwrap();
        }
    }
}
