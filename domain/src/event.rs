//! Events as the store keeps them: streams, metadata, and the step from a typed event to JSON and back.

use crate::Timestamp;
use crate::ids::InvalidId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The largest append: payloads as they are stored, metadata and kinds together, in bytes.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024;
/// How deep a payload may nest; JSON readers stop at 128.
pub const PAYLOAD_DEPTH_MAX: usize = 100;

/// A stream's name: `category-<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId {
    category: String,
    id: Uuid,
}

impl StreamId {
    /// The stream `category-<id>`.
    #[must_use]
    pub fn new(category: &str, id: Uuid) -> Self {
        Self { category: category.to_owned(), id }
    }

    /// What kind of aggregate the stream holds, e.g. `appserver`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// The UUID behind the category.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.category, self.id)
    }
}

impl FromStr for StreamId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.split_once('-')
            .filter(|(category, _)| !category.is_empty())
            .and_then(|(category, id)| Some(Self::new(category, Uuid::try_parse(id).ok()?)))
            .ok_or_else(|| InvalidId { text: text.chars().take(80).collect(), prefix: "category-" })
    }
}

impl TryFrom<String> for StreamId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.to_string()
    }
}

/// Who did it, why, and what it belongs to: beside every event, flat text to text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// `token:<name>`, `saga:<run id>`, `local:<os user>` or `system`.
    pub actor: String,
    /// The request or run that this event belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation_id: Option<String>,
    /// The event or request that directly caused this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub causation_id: Option<String>,
    /// W3C trace context of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traceparent: Option<String>,
    /// The caller's address, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_ip: Option<String>,
    /// Why, where a reason is asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl Metadata {
    /// Metadata with an actor and nothing else.
    #[must_use]
    pub fn by(actor: impl Into<String>) -> Self {
        Self { actor: actor.into(), ..Self::default() }
    }
}

/// An event on its way into the store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Makes a repeated append harmless.
    pub id: Uuid,
    /// `noun.verb_past`, e.g. `appserver.launched`.
    pub kind: String,
    /// The payload's schema number, from 1.
    pub schema: u16,
    /// The payload.
    pub data: Value,
    /// Who and why.
    pub meta: Metadata,
}

/// An event as the store returned it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Where it stands in the whole log.
    pub position: Position,
    /// Whose event it is.
    pub stream: StreamId,
    /// Its number in the stream, from 0.
    pub version: u64,
    /// The event's own id.
    pub id: Uuid,
    /// `noun.verb_past`.
    pub kind: String,
    /// The payload's schema number.
    pub schema: u16,
    /// The payload as it was written.
    pub data: Value,
    /// Who and why.
    pub meta: Metadata,
    /// When the store took it; never runs backwards along positions.
    pub recorded_at: Timestamp,
}

/// A place in the whole log. Opaque: compare and store it, never calculate with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub [u64; 2]);

impl Position {
    /// Before the first event.
    pub const START: Self = Self([0, 0]);
}

impl fmt::Display for Position {
    /// Fixed width, so that the text sorts as the position does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}.{:020}", self.0[0], self.0[1])
    }
}

impl FromStr for Position {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // Only as it is written: as texts, others would sort otherwise.
        let part = |text: &str| {
            let is_whole = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_whole { text.parse().ok() } else { None }
        };
        text.split_once('.')
            .and_then(|(a, b)| Some(Self([part(a)?, part(b)?])))
            .ok_or_else(|| InvalidId { text: text.chars().take(80).collect(), prefix: "position" })
    }
}

/// Why a recorded event can't be read as one of ours.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The kind, this schema of it, or what it names is unknown to this version of Ocim.
    #[error("event kind `{kind}` schema {schema} is unknown here")]
    Unknown {
        /// The event's kind.
        kind: String,
        /// Its schema number.
        schema: u16,
    },
    /// The payload does not fit the kind.
    #[error("the payload of `{kind}` schema {schema} can't be read")]
    Payload {
        /// The event's kind.
        kind: String,
        /// Its schema number.
        schema: u16,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
}

/// A typed event of one aggregate: an enum serialised as `{"kind": …, "data": …}`.
pub trait DomainEvent: Serialize + DeserializeOwned + Clone + fmt::Debug + PartialEq {
    /// Every kind with its current schema number.
    const KINDS: &'static [(&'static str, u16)];

    /// What stands before the enum's own names in its kinds: for one enum whose aggregates are several.
    const PREFIX: &'static str = "";

    /// Brings a payload of an older schema to the current one; the identity until a kind changes.
    #[must_use]
    fn upcast(_kind: &str, _schema: u16, data: Value) -> Value {
        data
    }

    /// Whether this version of Ocim knows all that the payload names, once it is brought to the current
    /// schema; if not, a newer one wrote it.
    #[must_use]
    fn is_known(_kind: &str, _data: &Value) -> bool {
        true
    }

    /// Kind, schema number and payload.
    ///
    /// # Errors
    /// Only if the payload has no JSON form.
    fn encode(&self) -> Result<(String, u16, Value), serde_json::Error> {
        let mut object = serde_json::to_value(self)?;
        let kind = format!("{}{}", Self::PREFIX, object["kind"].as_str().unwrap_or_default());
        let schema = Self::KINDS.iter().find(|(k, _)| *k == kind).map_or(1, |(_, s)| *s);
        Ok((kind, schema, object["data"].take()))
    }

    /// The typed event.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] for a kind, a newer schema or a name that this version does not know.
    fn decode(kind: &str, schema: u16, data: &Value) -> Result<Self, DecodeError> {
        let is_ours = |(k, newest): &(&str, u16)| *k == kind && schema >= 1 && schema <= *newest;
        let unknown = || DecodeError::Unknown { kind: kind.to_owned(), schema };
        if !Self::KINDS.iter().any(is_ours) {
            return Err(unknown());
        }
        let data = Self::upcast(kind, schema, data.clone());
        if !Self::is_known(kind, &data) {
            return Err(unknown());
        }
        let own = kind.strip_prefix(Self::PREFIX).unwrap_or(kind);
        serde_json::from_value(serde_json::json!({ "kind": own, "data": data }))
            .map_err(|source| DecodeError::Payload { kind: kind.to_owned(), schema, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Invented: its first schema called the port `number`, and told it as a text; nobody writes that
    /// any more.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "data")]
    enum Invented {
        #[serde(rename = "test.moved")]
        Moved { port: u16 },
        #[serde(rename = "test.ended")]
        Ended {},
    }

    impl DomainEvent for Invented {
        const KINDS: &'static [(&'static str, u16)] = &[("test.moved", 2), ("test.ended", 1)];

        fn upcast(kind: &str, schema: u16, data: Value) -> Value {
            match (kind, schema) {
                ("test.moved", 1) => {
                    let port = data["number"].as_str().and_then(|text| text.parse::<u16>().ok());
                    json!({ "port": port })
                }
                _ => data,
            }
        }

        fn is_known(_: &str, data: &Value) -> bool {
            data.as_object().is_some_and(|members| members.keys().all(|name| name == "port"))
        }
    }

    #[test]
    fn metadata_by_somebody_name_that_actor_and_nothing_else() {
        let expected = json!({ "actor": "token:alice" });
        assert_eq!(serde_json::to_value(Metadata::by("token:alice")).unwrap(), expected);
    }

    #[test]
    fn an_event_of_a_former_schema_reads_as_one_of_the_current() {
        let moved = Invented::Moved { port: 8080 };
        let former = json!({ "number": "8080" });
        assert_eq!(Invented::decode("test.moved", 1, &former).unwrap(), moved);
        let (kind, schema, data) = moved.encode().unwrap();
        assert_eq!((kind.as_str(), schema, &data), ("test.moved", 2, &json!({ "port": 8080 })));
        assert_eq!(Invented::decode(&kind, schema, &data).unwrap(), moved);
        assert_eq!(Invented::decode("test.ended", 1, &json!({})).unwrap(), Invented::Ended {});
    }

    #[test]
    fn what_a_newer_program_wrote_is_unknown_and_what_makes_no_sense_is_not_read() {
        let port = json!({ "port": 1 });
        let newer = [
            Invented::decode("test.moved", 3, &port),
            Invented::decode("test.ended", 2, &json!({})),
            Invented::decode("test.begun", 1, &json!({})),
            Invented::decode("test.moved", 0, &port),
            Invented::decode("test.moved", 2, &json!({ "port": 1, "of_tomorrow": true })),
        ];
        for refused in newer {
            assert!(matches!(refused, Err(DecodeError::Unknown { .. })), "{refused:?}");
        }
        let senseless = [
            Invented::decode("test.moved", 1, &json!({ "number": "many" })),
            Invented::decode("test.moved", 2, &json!({})),
        ];
        for refused in senseless {
            assert!(matches!(refused, Err(DecodeError::Payload { .. })), "{refused:?}");
        }
    }
}
