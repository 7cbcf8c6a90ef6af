//! Events: what the live stream tells of one, and all that may be shown of it.

use crate::texts::{
    Actor, EventKind, IpAddress, LogPosition, Reason, SearchText, StreamName, TraceParent,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
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
