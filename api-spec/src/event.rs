//! Events: what the live stream tells of one, and all that may be shown of it.

use crate::examples::{Example, reason, second};
use crate::texts::{
    Actor, EventKind, IpAddress, LogPosition, Reason, RunId, SearchText, StreamName, TraceParent,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// An event that was appended to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppendedEvent {
    /// Where it stands in the log. Opaque; sorts as text.
    #[schema(value_type = LogPosition)]
    pub position: String,
    /// What happened, e.g. `appserver.running_started`.
    #[schema(value_type = EventKind)]
    pub kind: String,
    /// To what: `category-<uuid>`.
    #[schema(value_type = StreamName)]
    pub stream: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// An event with what it holds; protected values are shown as `<protected>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedEvent {
    /// Where it stands in the log. Opaque; sorts as text.
    #[schema(value_type = LogPosition)]
    pub position: String,
    /// Whose event it is: `category-<uuid>`.
    #[schema(value_type = StreamName)]
    pub stream: String,
    /// Its number in the stream, from 0.
    #[schema(minimum = 0)]
    pub version: u64,
    /// Its own id.
    #[schema(format = Uuid)]
    pub id: String,
    /// What happened, e.g. `appserver.running_started`.
    #[schema(value_type = EventKind)]
    pub kind: String,
    /// The payload's schema number, from 1.
    #[schema(minimum = 1)]
    pub schema: u16,
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it: `token:<name>`, `local:<os user>`, `saga:<run>` or `system`.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// The request or run that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<SearchText>)]
    pub correlation: Option<String>,
    /// The event, request or command that directly caused it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<SearchText>)]
    pub causation: Option<String>,
    /// W3C trace context of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<TraceParent>)]
    pub traceparent: Option<String>,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<IpAddress>)]
    pub source_ip: Option<String>,
    /// Why, where a reason was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
    /// The payload.
    pub data: serde_json::Value,
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
