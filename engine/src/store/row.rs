//! Events as an engine keeps them: checked and written as JSON text, and chained by their hashes.

use super::{AppendError, Expected, ReadError};
use chrono::DateTime;
use ocim_domain::Timestamp;
use ocim_domain::event::{
    APPEND_BYTES_MAX, NewEvent, PAYLOAD_DEPTH_MAX, Position, Recorded, StreamId,
};
use ocim_domain::text::nests_within;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The longest category or kind, in bytes; both are indexed.
const NAME_BYTES_MAX: usize = 200;
/// Microseconds from the Unix epoch to 2000-01-01, from where PostgreSQL counts.
const EPOCH_2000_MICROS: i64 = 946_684_800_000_000;

/// SHA-256 over an event's every column and the hash before it.
pub type Hash = [u8; 32];

/// What the first event's hash takes as the one before it.
pub(super) const GENESIS: Hash = [0; 32];

/// Why events can't go in, whatever the state of the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("an event id is used by another event, or twice")]
    IdTaken,
    #[error("a category or kind is empty, longer than {NAME_BYTES_MAX} bytes or not plain text")]
    Name,
    #[error("a payload nests deeper than {PAYLOAD_DEPTH_MAX}")]
    Depth,
    #[error("an event has no JSON form")]
    Json(#[source] serde_json::Error),
}

impl From<Refusal> for AppendError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// One event of an append, as JSON text.
#[derive(Debug)]
pub(super) struct EncodedEvent {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) schema: u16,
    pub(super) data: String,
    pub(super) meta: String,
}

/// An append that the rules common to all engines allow.
#[derive(Debug)]
pub(super) struct EncodedAppend {
    pub(super) stream: StreamId,
    pub(super) expected: Expected,
    pub(super) events: Vec<EncodedEvent>,
    pub(super) bytes: usize,
}

impl EncodedAppend {
    /// Checks the events and writes them as JSON.
    pub(super) fn encode(
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Self, AppendError> {
        check_name(stream.category())?;
        let events = events.into_iter().map(encode_event).collect::<Result<Vec<_>, _>>()?;
        let bytes = events.iter().map(|e| e.kind.len() + e.data.len() + e.meta.len()).sum();
        if events.is_empty() || bytes > APPEND_BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        let mut ids: Vec<Uuid> = events.iter().map(|e| e.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::IdTaken.into());
        }
        Ok(Self { stream: stream.clone(), expected, events, bytes })
    }
}

fn encode_event(event: NewEvent) -> Result<EncodedEvent, Refusal> {
    check_name(&event.kind)?;
    if !nests_within(&event.data, PAYLOAD_DEPTH_MAX) {
        return Err(Refusal::Depth);
    }
    Ok(EncodedEvent {
        id: event.id,
        kind: event.kind,
        schema: event.schema,
        data: serde_json::to_string(&event.data).map_err(Refusal::Json)?,
        meta: serde_json::to_string(&event.meta).map_err(Refusal::Json)?,
    })
}

/// A category must not contain `-`, which ends it in a stream's text; no kind needs one either.
fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = !name.chars().any(|c| c.is_control() || c == '-');
    if plain && !name.is_empty() && name.len() <= NAME_BYTES_MAX {
        Ok(())
    } else {
        Err(Refusal::Name)
    }
}

/// One row of the log, its payload and metadata as they were written.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) position: Position,
    pub(super) stream: StreamId,
    pub(super) version: u64,
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) schema: u16,
    pub(super) data: String,
    pub(super) meta: String,
    pub(super) recorded_at: Timestamp,
    pub(super) hash: Hash,
}

impl Row {
    /// The hash this row must have after a row with hash `previous`; `es.envelope` and `es.link`
    /// compute the same.
    pub(super) fn hash_after(&self, previous: &Hash) -> Hash {
        let mut digest = Sha256::new();
        let stream = self.stream.to_string();
        let micros = self.recorded_at.timestamp_micros() - EPOCH_2000_MICROS;
        let fields: [&[u8]; 10] = [
            previous,
            &self.position.0[0].to_be_bytes(),
            stream.as_bytes(),
            &self.version.to_be_bytes(),
            self.id.as_bytes(),
            self.kind.as_bytes(),
            &u32::from(self.schema).to_be_bytes(),
            self.data.as_bytes(),
            self.meta.as_bytes(),
            &micros.to_be_bytes(),
        ];
        for field in fields {
            // No field comes near 4 GiB: an append has at most 1 MiB.
            digest.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(field);
        }
        digest.finalize().into()
    }

    /// The row as readers get it.
    pub(super) fn into_recorded(self) -> Result<Recorded, ReadError> {
        let unreadable = |error: serde_json::Error| ReadError(Box::new(error));
        Ok(Recorded {
            position: self.position,
            stream: self.stream,
            version: self.version,
            id: self.id,
            kind: self.kind,
            schema: self.schema,
            data: serde_json::from_str(&self.data).map_err(unreadable)?,
            meta: serde_json::from_str(&self.meta).map_err(unreadable)?,
            recorded_at: self.recorded_at,
        })
    }
}

/// The position of the `pos`-th event of a log without gaps, counted from 1.
pub(super) fn position(pos: u64) -> Position {
    Position([pos, 0])
}

/// Without the nanoseconds, which PostgreSQL does not keep.
pub(super) fn whole_micros(time: Timestamp) -> Timestamp {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::event::Metadata;
    use serde_json::{Value, json};

    fn row() -> Row {
        Row {
            position: position(7),
            stream: StreamId::new("instance", Uuid::from_u128(1)),
            version: 3,
            id: Uuid::from_u128(2),
            kind: "instance.created".to_owned(),
            schema: 1,
            data: r#"{"name":"a"}"#.to_owned(),
            meta: r#"{"actor":"system"}"#.to_owned(),
            recorded_at: DateTime::from_timestamp_micros(1_790_000_000_000_001).unwrap(),
            hash: GENESIS,
        }
    }

    #[test]
    fn every_column_changes_the_hash() {
        let original = row().hash_after(&GENESIS);
        let changes: [fn(&mut Row); 9] = [
            |row| row.position = position(8),
            |row| row.stream = StreamId::new("instance", Uuid::from_u128(9)),
            |row| row.version += 1,
            |row| row.id = Uuid::from_u128(9),
            |row| row.kind.push('x'),
            |row| row.schema += 1,
            |row| row.data.push(' '),
            |row| row.meta.push(' '),
            |row| row.recorded_at += chrono::TimeDelta::microseconds(1),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = row();
            change(&mut changed);
            assert_ne!(changed.hash_after(&GENESIS), original, "column {number}");
        }
        assert_ne!(row().hash_after(&[1; 32]), original, "the hash before");
    }

    #[test]
    fn text_moved_between_columns_changes_the_hash() {
        let mut moved = row();
        moved.data.push('x');
        moved.meta.insert(0, 'x');
        let mut other = row();
        other.data.push_str("xx");
        assert_ne!(moved.hash_after(&GENESIS), other.hash_after(&GENESIS));
    }

    fn encode(kind: &str, data: Value) -> Result<EncodedAppend, AppendError> {
        let stream = StreamId::new("instance", Uuid::from_u128(1));
        let event = NewEvent {
            id: Uuid::from_u128(2),
            kind: kind.to_owned(),
            schema: 1,
            data,
            meta: Metadata::by("system"),
        };
        EncodedAppend::encode(&stream, Expected::NoStream, vec![event])
    }

    #[test]
    fn refuses_names_and_payloads_that_no_engine_could_give_back() {
        assert!(encode("instance.created", json!({})).is_ok());
        for kind in ["", "a-b", "a\0b", &"x".repeat(NAME_BYTES_MAX + 1)] {
            let refused = encode(kind, json!({}));
            assert!(matches!(refused, Err(AppendError::Refused(_))), "{kind:?}");
        }
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(encode("k", nested(PAYLOAD_DEPTH_MAX)).is_ok());
        assert!(matches!(encode("k", nested(PAYLOAD_DEPTH_MAX + 1)), Err(AppendError::Refused(_))));
    }
}
