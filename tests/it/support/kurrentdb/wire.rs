//! Events of the protocol, as the store in memory holds them.

use super::{Cluster, Node};
use ocim_domain::event::{Metadata, NewEvent, Position, Recorded, StreamId};
use ocim_engine::store::{Appended, EventStore, Expected, Filter};
use ocim_kurrentdb_protocol::event_store::client as shared;
use ocim_kurrentdb_protocol::event_store::client::streams::read_req::options::FilterOption;
use ocim_kurrentdb_protocol::event_store::client::streams::read_req::options::filter_options::{
    Expression, Filter as FilterKind,
};
use ocim_kurrentdb_protocol::event_store::client::streams::read_resp::ReadEvent;
use ocim_kurrentdb_protocol::event_store::client::streams::read_resp::read_event::{
    Position as CommitPosition, RecordedEvent,
};
use serde::{Deserialize, Serialize};
use tonic::Status;
use uuid::Uuid;

/// Events of the log that are looked at in one go.
const PAGE: usize = 500;

/// What a client wrote: the payload of an event of the store in memory, whose own id is another,
/// since KurrentDB lets ids come again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "i")]
    pub(super) id: Uuid,
    #[serde(rename = "d")]
    pub(super) data: String,
    #[serde(rename = "m")]
    pub(super) metadata: String,
}

impl Entry {
    pub(super) fn of(event: &Recorded) -> Self {
        serde_json::from_value(event.data.clone()).unwrap()
    }

    fn into_event(self, kind: &str) -> NewEvent {
        NewEvent {
            id: Uuid::from_u128(rand::random()),
            kind: kind.to_owned(),
            schema: 1,
            data: serde_json::to_value(self).unwrap(),
            meta: Metadata::default(),
        }
    }
}

impl Cluster {
    /// Writes behind whatever the stream has.
    pub(super) async fn append(&self, stream: &StreamId, kind: &str, entry: Entry) -> Appended {
        let _turn = self.turn.lock().await;
        let last = self.log.read_stream(stream, 0).await.unwrap().last().map(|it| it.version);
        let expected = last.map_or(Expected::NoStream, Expected::Exact);
        self.log.append(stream, expected, vec![entry.into_event(kind)]).await.unwrap()
    }

    /// Writes behind that version (-1 for none), after the rules of KurrentDB: an append of the same
    /// ids at the same place is answered as if it were new, whatever else the ids are used for.
    /// Otherwise the stream's last version is the error.
    pub(super) async fn append_at(
        &self,
        stream: &StreamId,
        expected: i64,
        entries: Vec<(String, Entry)>,
    ) -> Result<Result<Appended, i64>, Status> {
        let _turn = self.turn.lock().await;
        let events = self.log.read_stream(stream, 0).await.unwrap();
        let current = events.len() as i64 - 1;
        if expected < current {
            let there = &events[usize::try_from(expected + 1).unwrap()..];
            let are_same = there.len() >= entries.len()
                && there.iter().zip(&entries).all(|(event, (_, it))| Entry::of(event).id == it.id);
            return Ok(match &there[entries.len().min(there.len()) - 1] {
                last if are_same => {
                    Ok(Appended { version: last.version, position: last.position, duplicate: true })
                }
                _ => Err(current),
            });
        }
        if expected > current {
            return Ok(Err(current));
        }
        let expected = u64::try_from(expected).map_or(Expected::NoStream, Expected::Exact);
        let events = entries.into_iter().map(|(kind, entry)| entry.into_event(&kind)).collect();
        let appended = self.log.append(stream, expected, events).await;
        appended.map(Ok).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    /// At most `count` events from that position on, with it, that pass.
    pub(super) async fn read_forwards(
        &self,
        from: Position,
        filter: &EventFilter,
        count: usize,
    ) -> Vec<Recorded> {
        let (mut events, mut after) = (vec![], just_before(from));
        loop {
            let (page, seen) = self.log.read_all(after, &Filter::default(), PAGE).await.unwrap();
            let is_last = page.len() < PAGE;
            events.extend(page.into_iter().filter(|event| filter.admits(event)));
            events.truncate(count);
            if is_last || events.len() == count {
                return events;
            }
            after = seen;
        }
    }

    /// At most `count` events from the log's end backwards that pass.
    pub(super) async fn read_backwards(&self, filter: &EventFilter, count: usize) -> Vec<Recorded> {
        let end = self.log.head().await.unwrap();
        let mut events = self.read_forwards(end, filter, usize::MAX).await;
        if events.len() < count {
            events = self.read_forwards(Position::START, filter, usize::MAX).await;
        }
        events.reverse();
        events.truncate(count);
        events
    }
}

/// Reading from a position gives its event, too.
fn just_before(position: Position) -> Position {
    match position.0 {
        [0, _] => Position::START,
        [commit, _] => Position([commit - 1, u64::MAX]),
    }
}

/// Which events a reader wants.
#[derive(Debug, Clone)]
pub(super) enum EventFilter {
    All,
    Streams(Wanted),
    Kinds(Wanted),
}

/// A regular expression goes before prefixes; the only one that our clients use is the one for what
/// does not begin with `$`.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    NotSystem,
    Prefixes(Vec<String>),
}

impl EventFilter {
    pub(super) fn read(option: Option<FilterOption>) -> Result<Self, Status> {
        let Some(FilterOption::Filter(options)) = option else { return Ok(Self::All) };
        match options.filter {
            Some(FilterKind::StreamIdentifier(it)) => Ok(Self::Streams(Wanted::read(it)?)),
            Some(FilterKind::EventType(it)) => Ok(Self::Kinds(Wanted::read(it)?)),
            None => Err(Status::invalid_argument("a filter needs an expression")),
        }
    }

    pub(super) fn admits(&self, event: &Recorded) -> bool {
        match self {
            Self::All => true,
            Self::Streams(wanted) => wanted.admits(&event.stream.to_string()),
            Self::Kinds(wanted) => wanted.admits(&event.kind),
        }
    }
}

impl Wanted {
    fn read(expression: Expression) -> Result<Self, Status> {
        match &*expression.regex {
            "" => Ok(Self::Prefixes(expression.prefix)),
            r"^[^\$].*" => Ok(Self::NotSystem),
            other => Err(Status::unimplemented(format!("the expression {other}"))),
        }
    }

    fn admits(&self, text: &str) -> bool {
        match self {
            Self::NotSystem => !text.starts_with('$'),
            Self::Prefixes(prefixes) => prefixes.iter().any(|it| text.starts_with(it.as_str())),
        }
    }
}

/// An event as the protocol has it.
pub(super) fn to_wire(event: &Recorded) -> ReadEvent {
    let entry = Entry::of(event);
    let [commit, prepare] = event.position.0;
    let ticks = event.recorded_at.timestamp_micros() * 10;
    let metadata = [
        ("type", event.kind.clone()),
        ("content-type", "application/json".to_owned()),
        ("created", ticks.to_string()),
    ];
    let recorded = RecordedEvent {
        id: Some(shared::Uuid { value: Some(shared::uuid::Value::String(entry.id.to_string())) }),
        stream_identifier: Some(shared::StreamIdentifier {
            stream_name: event.stream.to_string().into_bytes(),
        }),
        stream_revision: event.version,
        prepare_position: prepare,
        commit_position: commit,
        metadata: metadata.map(|(name, value)| (name.to_owned(), value)).into(),
        custom_metadata: entry.metadata.into_bytes(),
        data: entry.data.into_bytes(),
    };
    ReadEvent {
        event: Some(recorded),
        link: None,
        position: Some(CommitPosition::CommitPosition(commit)),
    }
}

impl Node {
    /// The stream of that name; others than Ocim's are of no interest here.
    pub(super) fn stream(name: Option<shared::StreamIdentifier>) -> Result<StreamId, Status> {
        let name = name.ok_or_else(|| Status::invalid_argument("no stream"))?.stream_name;
        let name = String::from_utf8(name).map_err(|_| Status::invalid_argument("no UTF-8"))?;
        name.parse().map_err(|_| Status::invalid_argument("a stream is `category-<uuid>` here"))
    }
}

/// A UUID in whichever of its two forms.
pub(super) fn uuid(id: Option<shared::Uuid>) -> Result<Uuid, Status> {
    match id.and_then(|id| id.value) {
        Some(shared::uuid::Value::String(text)) => {
            text.parse().map_err(|_| Status::invalid_argument("no UUID"))
        }
        Some(shared::uuid::Value::Structured(it)) => {
            let [high, low] = [it.most_significant_bits, it.least_significant_bits];
            Ok(Uuid::from_u64_pair(high.cast_unsigned(), low.cast_unsigned()))
        }
        None => Err(Status::invalid_argument("an event needs an id")),
    }
}
