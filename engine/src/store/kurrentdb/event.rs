//! Events as KurrentDB keeps them: the payload as JSON, the metadata with the schema number as texts.

use crate::store::row::{GENESIS, Hash, Row};
use crate::store::{Filter, ReadError};
use chrono::{DateTime, TimeDelta};
use kurrentdb::{EventData, RecordedEvent, ResolvedEvent, SubscriptionFilter};
use ocim_domain::Timestamp;
use ocim_domain::event::{Metadata, NewEvent, Position, Recorded};
use serde::{Deserialize, Serialize};

/// The metadata of an event: flat, and texts alone, as KurrentDB wants them.
#[derive(Debug, Serialize, Deserialize)]
struct StoredMetadata {
    schema: String,
    #[serde(flatten)]
    meta: Metadata,
}

/// Why an event is none of ours.
#[derive(Debug, thiserror::Error)]
#[error(
    "the event {number} of the stream {stream} in KurrentDB is none of Ocim's ({what}): Ocim needs a \
     KurrentDB that nobody else writes to"
)]
struct Foreign {
    stream: String,
    number: u64,
    what: &'static str,
}

/// An event as the client sends it.
pub(super) fn encode(event: &NewEvent) -> serde_json::Result<EventData> {
    let meta = StoredMetadata { schema: event.schema.to_string(), meta: event.meta.clone() };
    EventData::json(&event.kind, &event.data)?.id(event.id).metadata_as_json(&meta)
}

/// An event as readers get it.
pub(super) fn decode(event: &ResolvedEvent) -> Result<Recorded, ReadError> {
    to_row(event.get_original_event())?.into_recorded()
}

/// What tells this event from any other: there is no chain, so it covers this one alone.
pub(super) fn hash(event: &ResolvedEvent) -> Result<Hash, ReadError> {
    Ok(to_row(event.get_original_event())?.hash_after(&GENESIS))
}

/// Where the event stands in the whole log.
pub(super) fn position_of(event: &ResolvedEvent) -> Position {
    position(event.get_original_event().position)
}

/// A position of KurrentDB's.
pub(super) fn position(position: kurrentdb::Position) -> Position {
    Position([position.commit, position.prepare])
}

/// Where reading goes on behind `after`.
pub(super) fn start_at(after: Position) -> kurrentdb::StreamPosition<kurrentdb::Position> {
    let [commit, prepare] = after.0;
    if after == Position::START {
        return kurrentdb::StreamPosition::Start;
    }
    kurrentdb::StreamPosition::Position(kurrentdb::Position { commit, prepare })
}

fn to_row(event: &RecordedEvent) -> Result<Row, ReadError> {
    let foreign = |what| {
        let stream = event.stream_id().chars().take(80).collect();
        ReadError(Box::new(Foreign { stream, number: event.revision, what }))
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    let stored: StoredMetadata =
        serde_json::from_slice(&event.custom_metadata).map_err(|_| foreign("its metadata"))?;
    Ok(Row {
        position: position(event.position),
        stream: event.stream_id().parse().map_err(|_| foreign("the stream's name"))?,
        version: event.revision,
        id: event.id,
        kind: event.event_type.clone(),
        schema: stored.schema.parse().map_err(|_| foreign("its schema number"))?,
        data: text(&event.data).map_err(|_| foreign("its data"))?,
        meta: text(&event.custom_metadata).map_err(|_| foreign("its metadata"))?,
        recorded_at: recorded_at(event).ok_or_else(|| foreign("its time"))?,
        hash: GENESIS,
    })
}

/// The client's own field knows no parts of seconds: the server tells ticks of 100 ns.
fn recorded_at(event: &RecordedEvent) -> Option<Timestamp> {
    let ticks: i64 = event.metadata.get("created")?.parse().ok()?;
    DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::microseconds(ticks / 10))
}

/// What the server leaves out beforehand. It knows one kind of filter at a time and compares
/// beginnings, so that [`Filter::admits`] has to look again.
pub(super) fn to_server_filter(filter: &Filter) -> SubscriptionFilter {
    if !filter.categories.is_empty() {
        let by_stream = SubscriptionFilter::on_stream_name();
        let prefix = |category: &String| format!("{category}-");
        return filter
            .categories
            .iter()
            .map(prefix)
            .fold(by_stream, SubscriptionFilter::add_prefix);
    }
    if !filter.kinds.is_empty() {
        let by_kind = SubscriptionFilter::on_event_type();
        return filter.kinds.iter().fold(by_kind, SubscriptionFilter::add_prefix);
    }
    all_of_ours()
}

/// All but what KurrentDB writes for itself.
pub(super) fn all_of_ours() -> SubscriptionFilter {
    SubscriptionFilter::on_stream_name().exclude_system_events()
}
