//! Reads by pages, each within its time. All of them ask the leader.

use super::connection::{CallError, Connection};
use super::event::{all_of_ours, decode, position_of, start_at, to_server_filter};
use crate::store::{Filter, ReadError};
use kurrentdb::{
    Client, ReadAllOptions, ReadStream, ReadStreamOptions, ResolvedEvent, StreamPosition,
};
use ocim_domain::event::{Position, Recorded, StreamId};

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;
/// The position of an event whose server does not tell.
const UNTOLD: u64 = u64::MAX;

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        Self(Box::new(error))
    }
}

/// Why events that came can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "KurrentDB tells no positions of the events of a stream: it has to be of version 22.10 or later"
)]
struct NoPosition;

/// At most `limit` of the stream's events from version `from` on.
pub(super) async fn read_stream(
    connection: &Connection,
    stream: &StreamId,
    from: u64,
    limit: usize,
) -> Result<Vec<Recorded>, ReadError> {
    let mut events: Vec<Recorded> = Vec::new();
    let mut next = from;
    // No stream is that long, and the server has no larger numbers.
    while i64::try_from(next).is_ok() && events.len() < limit {
        let wanted = PAGE_EVENTS.min(limit - events.len());
        let page = read_stream_page(connection, stream, next, wanted).await?;
        let is_last = page.len() < PAGE_EVENTS;
        events.extend(page);
        let Some(last) = events.last().filter(|_| !is_last) else { break };
        next = last.version + 1;
    }
    Ok(events)
}

/// At most `count` events of the stream from version `from` on.
pub(super) async fn read_stream_page(
    connection: &Connection,
    stream: &StreamId,
    from: u64,
    count: usize,
) -> Result<Vec<Recorded>, ReadError> {
    let options = ReadStreamOptions::default()
        .position(StreamPosition::Position(from))
        .max_count(count)
        .requires_leader(true);
    read_stream_by(connection, stream, options).await
}

/// The stream's last event.
pub(super) async fn read_last(
    connection: &Connection,
    stream: &StreamId,
) -> Result<Option<Recorded>, ReadError> {
    let options = ReadStreamOptions::default()
        .position(StreamPosition::End)
        .backwards()
        .max_count(1)
        .requires_leader(true);
    Ok(read_stream_by(connection, stream, options).await?.pop())
}

async fn read_stream_by(
    connection: &Connection,
    stream: &StreamId,
    options: ReadStreamOptions,
) -> Result<Vec<Recorded>, ReadError> {
    let name = stream.to_string();
    let ask = |client: Client| {
        let (name, options) = (name.clone(), options.clone());
        async move {
            match drain(client.read_stream(name, &options).await).await {
                Err(kurrentdb::Error::ResourceNotFound) => Ok(vec![]),
                other => other,
            }
        }
    };
    let events = connection.call_again(ask).await?;
    if events.iter().any(|event| position_of(event).0[0] == UNTOLD) {
        return Err(ReadError(Box::new(NoPosition)));
    }
    events.iter().map(decode).collect()
}

/// At most `limit` events after `after` that pass, and how far was looked. `head` is a position
/// that the log had before: where the log's end is reached, all up to there was looked at.
pub(super) async fn read_all(
    connection: &Connection,
    after: Position,
    filter: &Filter,
    limit: usize,
    head: Position,
) -> Result<(Vec<Recorded>, Position), ReadError> {
    let (mut events, mut looked_at) = (Vec::new(), after);
    if limit == 0 {
        return Ok((events, looked_at));
    }
    loop {
        // One more, since the event at the position comes again.
        let wanted = (limit - events.len()).min(PAGE_EVENTS) + 1;
        let options = ReadAllOptions::default()
            .position(start_at(looked_at))
            .filter(to_server_filter(filter))
            .max_count(wanted)
            .requires_leader(true);
        let page = read_all_page(connection, options).await?;
        let is_last = page.len() < wanted;
        for event in page {
            if position_of(&event) <= looked_at {
                continue;
            }
            looked_at = position_of(&event);
            let event = decode(&event)?;
            if filter.admits(&event) {
                events.push(event);
            }
            if events.len() == limit {
                return Ok((events, looked_at));
            }
        }
        if is_last {
            return Ok((events, looked_at.max(head)));
        }
    }
}

/// The last event of all that are ours.
pub(super) async fn read_head(connection: &Connection) -> Result<Option<ResolvedEvent>, CallError> {
    let options = ReadAllOptions::default()
        .position(StreamPosition::End)
        .backwards()
        .filter(all_of_ours())
        .max_count(1)
        .requires_leader(true);
    Ok(read_all_page(connection, options).await?.pop())
}

/// The event at this position, if there is one.
pub(super) async fn read_at(
    connection: &Connection,
    position: Position,
) -> Result<Option<ResolvedEvent>, ReadError> {
    let options =
        ReadAllOptions::default().position(start_at(position)).max_count(1).requires_leader(true);
    match read_all_page(connection, options).await {
        // No event of this log begins there.
        Err(error) if error.is_refusal() => Ok(None),
        Err(error) => Err(error.into()),
        Ok(mut page) => Ok(page.pop().filter(|event| position_of(event) == position)),
    }
}

async fn read_all_page(
    connection: &Connection,
    options: ReadAllOptions,
) -> Result<Vec<ResolvedEvent>, CallError> {
    let ask = |client: Client| {
        let options = options.clone();
        async move { drain(client.read_all(&options).await).await }
    };
    connection.call_again(ask).await
}

async fn drain(opened: kurrentdb::Result<ReadStream>) -> kurrentdb::Result<Vec<ResolvedEvent>> {
    let mut stream = opened?;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await? {
        events.push(event);
    }
    Ok(events)
}
