//! Appends at the expected version: tried again while the server is away, found out when in doubt.

use super::connection::{CallError, Connection};
use super::event::{encode, position};
use super::read::{read_last, read_stream_page};
use crate::store::row::{EncodedAppend, Refusal};
use crate::store::{AppendError, Appended, Expected, ReadError};
use kurrentdb::{AppendToStreamOptions, Error, EventData, StreamState, WriteResult};
use ocim_domain::event::{NewEvent, Position, StreamId};
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

/// An append that the rules common to all engines allow.
pub(super) struct Proposal {
    stream: StreamId,
    expected: Expected,
    events: Vec<EventData>,
    ids: Vec<Uuid>,
}

impl Proposal {
    /// Checks the events and writes them as KurrentDB keeps them.
    pub(super) fn new(
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Self, AppendError> {
        let encoded = events.iter().map(encode).collect::<Result<_, _>>();
        let ids = events.iter().map(|event| event.id).collect();
        EncodedAppend::encode(stream, expected, events)?;
        let encoded = encoded.map_err(Refusal::Json)?;
        Ok(Self { stream: stream.clone(), expected, events: encoded, ids })
    }

    /// The version of its first event.
    fn first(&self) -> u64 {
        match self.expected {
            Expected::NoStream => 0,
            Expected::Exact(version) => version.saturating_add(1),
        }
    }

    /// Writes it. `head` is a position that the log has already: what is answered to be there, or
    /// before, was appended earlier.
    pub(super) async fn append(
        self,
        connection: &Connection,
        head: Position,
    ) -> Result<Appended, AppendError> {
        // The server knows no larger numbers, and no stream has them.
        if i64::try_from(self.first()).is_err() {
            return self.look_back(connection).await;
        }
        let written = match self.write(connection).await {
            Ok(written) => written,
            Err(Failure::WrongVersion) => return self.look_back(connection).await,
            Err(Failure::Error(error)) => return Err(error),
        };
        let (at, version) = (position(written.position), written.next_expected_version);
        if at > head {
            return Ok(Appended { version, position: at, duplicate: false });
        }
        self.look_back(connection).await
    }

    /// The server's answer. Repeating the same append is exact: what is in the stream at these
    /// versions with these ids is answered as it was the first time.
    async fn write(&self, connection: &Connection) -> Result<WriteResult, Failure> {
        let state = match self.expected {
            Expected::NoStream => StreamState::NoStream,
            Expected::Exact(version) => StreamState::StreamRevision(version),
        };
        let timings = connection.timings();
        let options = AppendToStreamOptions::default()
            .stream_state(state)
            .deadline(timings.call)
            .requires_leader(true);
        let give_up_at = Instant::now() + timings.retry_for;
        let mut in_doubt = false;
        loop {
            let (name, events) = (self.stream.to_string(), self.events.clone());
            let options = options.clone();
            let ask = |client: kurrentdb::Client| async move {
                client.append_to_stream(name, &options, events).await
            };
            let error = match connection.call(ask).await {
                Ok(written) => return Ok(written),
                Err(CallError::Client(Error::WrongExpectedVersion { .. })) => {
                    return Err(Failure::WrongVersion);
                }
                Err(error) => error,
            };
            in_doubt |= !error.is_unsent() && error.is_passing();
            if !error.is_passing() || Instant::now() >= give_up_at {
                return Err(Failure::Error(refuse(error, in_doubt)));
            }
            // An outage is told once, by who listens.
            debug!(error = ?error, in_doubt, "an append is tried again");
            tokio::time::sleep(timings.retry_pause).await;
        }
    }

    /// What the stream has where these events would be: themselves, or a conflict.
    async fn look_back(&self, connection: &Connection) -> Result<Appended, AppendError> {
        let page = if i64::try_from(self.first()).is_ok() {
            read_stream_page(connection, &self.stream, self.first(), self.ids.len()).await
        } else {
            Ok(vec![])
        };
        let page = page.map_err(unread)?;
        let are_there = page.iter().map(|event| event.id).eq(self.ids.iter().copied());
        if let Some(last) = page.last().filter(|_| are_there) {
            let (version, position) = (last.version, last.position);
            return Ok(Appended { version, position, duplicate: true });
        }
        let last = read_last(connection, &self.stream).await.map_err(unread)?;
        Err(AppendError::Conflict { current: last.map(|event| event.version) })
    }
}

/// Why the server did not write.
enum Failure {
    /// The stream is not where it was expected to be.
    WrongVersion,
    Error(AppendError),
}

/// Nobody knows yet what the append came to; the caller may repeat it.
fn unread(error: ReadError) -> AppendError {
    AppendError::OutcomeUnknown(error.0)
}

fn refuse(error: CallError, in_doubt: bool) -> AppendError {
    if error.is_too_large() {
        return AppendError::TooLarge;
    }
    let is_refusal = error.is_refusal();
    let error = Box::new(error);
    match (in_doubt, is_refusal) {
        (true, _) => AppendError::OutcomeUnknown(error),
        (false, true) => AppendError::Refused(error),
        (false, false) => AppendError::Unavailable(error),
    }
}
