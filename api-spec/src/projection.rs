//! Projections: how far each read model is, and what it stands at.

use crate::examples::{Example, second};
use crate::texts::{EventKind, LogPosition, NeededReason, Prose, StreamName, Word};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One build of a read model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Projection {
    /// The read model's name, e.g. `instances`.
    #[schema(value_type = Word)]
    pub name: String,
    /// Its version.
    #[schema(minimum = 0)]
    pub version: i32,
    /// Counts the builds of this read model, from 1.
    #[schema(minimum = 1)]
    pub generation: i32,
    /// What it is doing.
    pub state: ProjectionState,
    /// Whether readers see it.
    pub is_serving: bool,
    /// All events up to here are in it.
    #[schema(value_type = LogPosition)]
    pub position: String,
    /// Why it is paused.
    pub failure: Option<ProjectionFailure>,
    /// When it last moved.
    pub modified: DateTime<Utc>,
}

/// What a build is doing. None is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionState {
    /// It follows the log, and readers see it.
    Running,
    /// It stands at an event that it can't take in.
    Paused,
    /// It catches up; readers see another one.
    Rebuilding,
}

/// The event that a build can't take in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectionFailure {
    /// The event's id.
    #[schema(format = Uuid)]
    pub event: String,
    /// Its kind.
    #[schema(value_type = EventKind)]
    pub kind: String,
    /// Its stream, `category-<uuid>`.
    #[schema(value_type = StreamName)]
    pub stream: String,
    /// Where it stands in the log.
    #[schema(value_type = LogPosition)]
    pub position: String,
    /// What is wrong with it, without what it holds.
    #[schema(value_type = Prose)]
    pub error: String,
}

/// An event to step over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipEvent {
    /// The id of the event that the projection is paused at.
    #[schema(format = Uuid)]
    pub event: String,
    /// Why; people read it in the log of events.
    #[schema(value_type = NeededReason)]
    pub reason: String,
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
