//! What each body looks like: an example of every type that a request or an answer can be.
//!
//! They are values of the types, so that a type without one, or one that has changed since, does not
//! compile. All of them tell of the same site.

mod appserver;
mod instance;
mod log;
mod operator;
mod resource;
mod run;
mod server;
mod token;

use crate::health::{Health, Readiness};
use crate::texts::{
    Actor, AppserverId, EventKind, InstanceId, LogPosition, Reason, RunId, StreamName,
};
use crate::{
    AppendedEvent, Need, NeedCode, Projection, ProjectionFailure, ProjectionState, RecordedEvent,
    Reference, ReferenceKind, Running, SkipEvent, Status, TimelineItem,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use utoipa::ToSchema;

/// A wire type that can show what it looks like.
pub trait Example: ToSchema + Serialize + DeserializeOwned {
    /// One that could be real.
    fn example() -> Self;
}

/// So many seconds after the site was made: 2026-03-02T09:15:00Z.
fn second(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_772_442_900 + seconds)
}

fn reason() -> Option<String> {
    Some(Reason::EXAMPLE.to_owned())
}

impl Example for Health {
    fn example() -> Self {
        Self {
            status: "ok".to_owned(),
            version: "0.1.0".to_owned(),
            head: Some(LogPosition::EXAMPLE.to_owned()),
        }
    }
}

impl Example for Readiness {
    fn example() -> Self {
        Self { status: "ready".to_owned() }
    }
}

impl Example for Status {
    fn example() -> Self {
        let need = Need {
            code: NeedCode::RunStuck,
            id: RunId::EXAMPLE.to_owned(),
            name: "alpha.example.com/2".to_owned(),
            sentence: "launch_appserver is stuck at delete_server: the cloud does not answer"
                .to_owned(),
            since: Some(second(4_200)),
            advice: format!("ocim run explain {}", RunId::EXAMPLE),
        };
        let running = Running {
            run: RunId::EXAMPLE.to_owned(),
            definition: "launch_appserver".to_owned(),
            name: "alpha.example.com/2".to_owned(),
            sentence: "under way at run_main_playbook".to_owned(),
            started: second(120),
            duration_s: 612.4,
        };
        Self { needs: vec![need], running: vec![running] }
    }
}

impl Example for TimelineItem {
    fn example() -> Self {
        Self {
            position: LogPosition::EXAMPLE.to_owned(),
            at: second(3_000),
            actor: format!("saga:{}", RunId::EXAMPLE),
            kind: EventKind::EXAMPLE.to_owned(),
            subject: AppserverId::EXAMPLE.to_owned(),
            sentence: "AppServer 2 is running".to_owned(),
        }
    }
}

impl Example for RecordedEvent {
    fn example() -> Self {
        Self {
            position: LogPosition::EXAMPLE.to_owned(),
            stream: StreamName::EXAMPLE.to_owned(),
            version: 4,
            id: "01985f70-91b5-7f11-8c24-1d0e9b8a7c60".to_owned(),
            kind: "instance.traffic_claimed".to_owned(),
            schema: 1,
            at: second(3_000),
            actor: Actor::EXAMPLE.to_owned(),
            correlation: Some(RunId::EXAMPLE.to_owned()),
            causation: None,
            traceparent: None,
            source_ip: Some("192.0.2.10".to_owned()),
            reason: reason(),
            data: json!({ "run": RunId::EXAMPLE }),
        }
    }
}

impl Example for AppendedEvent {
    fn example() -> Self {
        Self {
            position: LogPosition::EXAMPLE.to_owned(),
            kind: EventKind::EXAMPLE.to_owned(),
            stream: StreamName::EXAMPLE.to_owned(),
            at: second(3_000),
        }
    }
}

impl Example for Reference {
    fn example() -> Self {
        Self {
            kind: ReferenceKind::Instance,
            id: InstanceId::EXAMPLE.to_owned(),
            name: "alpha.example.com".to_owned(),
        }
    }
}

impl Example for Projection {
    fn example() -> Self {
        let failure = ProjectionFailure {
            event: "01985f70-91b5-7f11-8c24-1d0e9b8a7c60".to_owned(),
            kind: "instance.created".to_owned(),
            stream: StreamName::EXAMPLE.to_owned(),
            position: LogPosition::EXAMPLE.to_owned(),
            error: "the payload of `instance.created` schema 1 can't be read".to_owned(),
        };
        Self {
            name: "instances".to_owned(),
            version: 1,
            generation: 2,
            state: ProjectionState::Paused,
            is_serving: true,
            position: LogPosition::EXAMPLE.to_owned(),
            failure: Some(failure),
            modified: second(3_000),
        }
    }
}

impl Example for SkipEvent {
    fn example() -> Self {
        Self {
            event: "01985f70-91b5-7f11-8c24-1d0e9b8a7c60".to_owned(),
            reason: "its site was removed by hand".to_owned(),
        }
    }
}
