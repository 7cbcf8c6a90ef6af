//! The services of a node: streams, gossip, and what the server can do.

use super::wire::{Entry, EventFilter, to_wire, uuid};
use super::{Answers, Ending, Node};
use futures_util::stream::{self, BoxStream, StreamExt};
use ocim_domain::event::{Position, Recorded};
use ocim_engine::store::{EventStore, Filter, SubscriptionEvent};
use ocim_kurrentdb_protocol::event_store::client as shared;
use ocim_kurrentdb_protocol::event_store::client::gossip::gossip_server::Gossip;
use ocim_kurrentdb_protocol::event_store::client::gossip::member_info::VNodeState;
use ocim_kurrentdb_protocol::event_store::client::gossip::{ClusterInfo, EndPoint, MemberInfo};
use ocim_kurrentdb_protocol::event_store::client::server_features::SupportedMethods;
use ocim_kurrentdb_protocol::event_store::client::server_features::server_features_server::ServerFeatures;
use ocim_kurrentdb_protocol::event_store::client::streams::append_req::options::ExpectedStreamRevision;
use ocim_kurrentdb_protocol::event_store::client::streams::append_req::{
    Content as AppendContent, Options as AppendOptions, ProposedMessage,
};
use ocim_kurrentdb_protocol::event_store::client::streams::append_resp::success::{
    CurrentRevisionOption, PositionOption,
};
use ocim_kurrentdb_protocol::event_store::client::streams::append_resp::wrong_expected_version::{
    CurrentRevisionOption as CurrentOption, ExpectedRevisionOption,
};
use ocim_kurrentdb_protocol::event_store::client::streams::append_resp::{
    self, Success, WrongExpectedVersion,
};
use ocim_kurrentdb_protocol::event_store::client::streams::read_req::Options as ReadOptions;
use ocim_kurrentdb_protocol::event_store::client::streams::read_req::options::all_options::AllOption;
use ocim_kurrentdb_protocol::event_store::client::streams::read_req::options::stream_options::RevisionOption;
use ocim_kurrentdb_protocol::event_store::client::streams::read_req::options::{
    CountOption, ReadDirection, StreamOption, StreamOptions,
};
use ocim_kurrentdb_protocol::event_store::client::streams::read_resp::{
    self, CaughtUp, Checkpoint, Content, StreamNotFound, SubscriptionConfirmation,
};
use ocim_kurrentdb_protocol::event_store::client::streams::streams_server::Streams;
use ocim_kurrentdb_protocol::event_store::client::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq,
    ReadResp, TombstoneReq, TombstoneResp,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

/// The most that a server takes in one append unless it is told otherwise.
const APPEND_BYTES_MAX: usize = 1024 * 1024;

/// All services of one node.
#[derive(Debug, Clone)]
pub(super) struct Services(pub(super) Arc<Node>);

impl Services {
    /// What comes before each call: faults, the login, and whether this node may answer.
    async fn enter(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let (hangs, refused) = {
            let mut faults = self.0.faults();
            let refused = faults.refusals > 0;
            faults.refusals = faults.refusals.saturating_sub(1);
            (faults.hangs, refused)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if refused {
            return Err(Status::unavailable("Server Is Not Ready"));
        }
        let text = |name: &str| metadata.get(name).and_then(|it| it.to_str().ok());
        if let Some(login) = &*self.0.login.lock().unwrap() {
            let expected = format!("Basic {}", base64(login));
            if text("authorization") != Some(&expected) {
                return Err(Status::permission_denied("Access Denied"));
            }
        }
        if text("requires-leader") == Some("true") && !self.0.leads() {
            return Err(self.not_leader());
        }
        Ok(())
    }

    fn not_leader(&self) -> Status {
        let Some(leader) = self.0.cluster.leader().filter(|leader| leader.is_alive) else {
            return Status::unknown("No leader info available in response");
        };
        let mut metadata = MetadataMap::new();
        metadata.insert("exception", "not-leader".parse().unwrap());
        metadata.insert("leader-endpoint-host", "127.0.0.1".parse().unwrap());
        metadata.insert("leader-endpoint-port", leader.port.to_string().parse().unwrap());
        Status::with_metadata(tonic::Code::NotFound, "Leader info available", metadata)
    }

    async fn read_stream(
        &self,
        options: StreamOptions,
        backwards: bool,
        count: usize,
    ) -> Result<Vec<ReadResp>, Status> {
        let stream = Node::stream(options.stream_identifier.clone())?;
        let mut events = self.0.cluster.log.read_stream(&stream, 0).await.map_err(internal)?;
        if events.is_empty() {
            let stream_identifier = options.stream_identifier;
            return Ok(vec![say(Content::StreamNotFound(StreamNotFound { stream_identifier }))]);
        }
        let last = events.len() as u64 - 1;
        match (options.revision_option, backwards) {
            (Some(RevisionOption::Revision(from)), false) => {
                if i64::try_from(from).is_err() {
                    return Err(Status::invalid_argument("no such revision"));
                }
                events.retain(|event| event.version >= from);
            }
            (Some(RevisionOption::Start(_)), false) => {}
            (Some(RevisionOption::End(_)), true) => events.reverse(),
            other => return Err(Status::unimplemented(format!("{other:?}"))),
        }
        events.truncate(count);
        let mut answers: Vec<_> = events.iter().map(say_event).collect();
        answers.push(say(Content::LastStreamPosition(last)));
        Ok(answers)
    }

    async fn read_all(
        &self,
        from: Option<AllOption>,
        filter: EventFilter,
        backwards: bool,
        count: usize,
    ) -> Result<Vec<ReadResp>, Status> {
        let cluster = &self.0.cluster;
        let events = match (from, backwards) {
            (Some(AllOption::Start(_)), false) => {
                cluster.read_forwards(Position::START, &filter, count).await
            }
            (Some(AllOption::Position(it)), false) => {
                let from = Position([it.commit_position, it.prepare_position]);
                let at = cluster.read_forwards(from, &EventFilter::All, 1).await;
                if at.first().is_some_and(|event| event.position != from) {
                    return Err(Status::invalid_argument(
                        "Trying to read from an invalid position.",
                    ));
                }
                cluster.read_forwards(from, &filter, count).await
            }
            (Some(AllOption::End(_)), true) => {
                self.0.looks.fetch_add(1, Ordering::SeqCst);
                cluster.read_backwards(&filter, count).await
            }
            other => return Err(Status::unimplemented(format!("{other:?}"))),
        };
        Ok(events.iter().map(say_event).collect())
    }

    fn subscribe(
        &self,
        from: Option<AllOption>,
        filter: EventFilter,
    ) -> Result<Answers<ReadResp>, Status> {
        let after = match from {
            Some(AllOption::Start(_)) => Position::START,
            Some(AllOption::Position(it)) => Position([it.commit_position, it.prepare_position]),
            other => return Err(Status::unimplemented(format!("{other:?}"))),
        };
        let number = self.0.subscriptions.fetch_add(1, Ordering::SeqCst);
        let subscription_id = format!("subscription {number}");
        let confirmation = say(Content::Confirmation(SubscriptionConfirmation { subscription_id }));
        let node = Arc::clone(&self.0);
        let told = self.0.cluster.log.subscribe_all(after, Filter::default());
        let told = told.filter_map(move |told| {
            let is_silent = node.faults().is_silent;
            std::future::ready((!is_silent).then(|| tell(told, &filter)))
        });
        let told = stream::iter([confirmation]).chain(told).boxed();
        let mut endings = self.0.endings.subscribe();
        endings.mark_unchanged();
        Ok(stream::unfold((told, endings, false), until_ended).boxed())
    }
}

type Told = BoxStream<'static, ReadResp>;
type Endings = tokio::sync::watch::Receiver<Option<Ending>>;

/// The messages of a subscription until somebody ends all of them.
async fn until_ended(
    (mut told, mut endings, is_over): (Told, Endings, bool),
) -> Option<(Result<ReadResp, Status>, (Told, Endings, bool))> {
    if is_over {
        return None;
    }
    tokio::select! {
        next = told.next() => next.map(|next| (Ok(next), (told, endings, false))),
        _ = endings.changed() => {
            let ending = *endings.borrow_and_update();
            let error = Status::unavailable("the subscription was dropped");
            matches!(ending, Some(Ending::Broken)).then_some((Err(error), (told, endings, true)))
        }
    }
}

fn tell(told: SubscriptionEvent, filter: &EventFilter) -> ReadResp {
    let checkpoint = |position: Position| {
        let [commit_position, prepare_position] = position.0;
        say(Content::Checkpoint(Checkpoint { commit_position, prepare_position, timestamp: None }))
    };
    match told {
        SubscriptionEvent::Event(event) if filter.admits(&event) => say_event(&event),
        SubscriptionEvent::Event(event) => checkpoint(event.position),
        SubscriptionEvent::Checkpoint(position) => checkpoint(position),
        SubscriptionEvent::CaughtUp(position) => {
            let [commit_position, prepare_position] = position.0;
            let position = read_resp::Position { commit_position, prepare_position };
            let position = (commit_position > 0).then_some(position);
            say(Content::CaughtUp(CaughtUp { timestamp: None, stream_revision: None, position }))
        }
    }
}

fn say(content: Content) -> ReadResp {
    ReadResp { content: Some(content) }
}

fn say_event(event: &Recorded) -> ReadResp {
    say(Content::Event(to_wire(event)))
}

fn internal(error: impl std::fmt::Debug) -> Status {
    Status::internal(format!("{error:?}"))
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

/// The events of an append: kind, and the rest; and how large they are on the server's disk.
fn read_message(message: ProposedMessage) -> Result<(String, Entry, usize), Status> {
    let property = |name: &str| {
        let missing = || Status::invalid_argument(format!("Required Metadata Property '{name}'"));
        message.metadata.get(name).cloned().ok_or_else(missing)
    };
    let kind = property("type")?;
    if property("content-type")? != "application/json" {
        return Err(Status::unimplemented("payloads that are no JSON"));
    }
    let bytes = 2 * kind.len() + message.data.len() + message.custom_metadata.len();
    let text = |bytes| String::from_utf8(bytes).map_err(|_| Status::unimplemented("no UTF-8"));
    let (data, metadata) = (text(message.data)?, text(message.custom_metadata)?);
    Ok((kind, Entry { id: uuid(message.id)?, data, metadata }, bytes))
}

fn expected_of(options: &AppendOptions) -> Result<i64, Status> {
    match options.expected_stream_revision {
        Some(ExpectedStreamRevision::NoStream(_)) => Ok(-1),
        Some(ExpectedStreamRevision::Revision(it)) => {
            i64::try_from(it).map_err(|_| Status::invalid_argument("no such revision"))
        }
        ref other => Err(Status::unimplemented(format!("{other:?}"))),
    }
}

fn wrong_version(expected: i64, current: i64) -> append_resp::Result {
    let current = match u64::try_from(current) {
        Ok(current) => CurrentOption::CurrentRevision(current),
        Err(_) => CurrentOption::CurrentNoStream(shared::Empty {}),
    };
    let expected = match u64::try_from(expected) {
        Ok(expected) => ExpectedRevisionOption::ExpectedRevision(expected),
        Err(_) => ExpectedRevisionOption::ExpectedNoStream(shared::Empty {}),
    };
    append_resp::Result::WrongExpectedVersion(WrongExpectedVersion {
        current_revision_option: Some(current),
        expected_revision_option: Some(expected),
        ..WrongExpectedVersion::default()
    })
}

#[tonic::async_trait]
impl Streams for Services {
    type ReadStream = Answers<ReadResp>;
    type BatchAppendStream = Answers<BatchAppendResp>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        self.enter(request.metadata()).await?;
        let options = request.into_inner().options;
        let options: ReadOptions = options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let backwards = options.read_direction() == ReadDirection::Backwards;
        let filter = EventFilter::read(options.filter_option)?;
        let answers = match (options.stream_option, options.count_option) {
            (Some(StreamOption::Stream(stream)), Some(CountOption::Count(count))) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.read_stream(stream, backwards, count).await?
            }
            (Some(StreamOption::All(all)), Some(CountOption::Count(count))) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.read_all(all.all_option, filter, backwards, count).await?
            }
            (Some(StreamOption::All(all)), Some(CountOption::Subscription(_))) => {
                return Ok(Response::new(self.subscribe(all.all_option, filter)?));
            }
            other => return Err(Status::unimplemented(format!("{other:?}"))),
        };
        Ok(Response::new(stream::iter(answers.into_iter().map(Ok)).boxed()))
    }

    async fn append(
        &self,
        request: Request<Streaming<AppendReq>>,
    ) -> Result<Response<AppendResp>, Status> {
        self.enter(request.metadata()).await?;
        let mut messages = request.into_inner();
        let first = messages.message().await?.and_then(|it| it.content);
        let Some(AppendContent::Options(options)) = first else {
            return Err(Status::invalid_argument("the options come first"));
        };
        let (mut entries, mut bytes) = (vec![], 0);
        while let Some(message) = messages.message().await? {
            let Some(AppendContent::ProposedMessage(message)) = message.content else {
                return Err(Status::invalid_argument("options come once"));
            };
            let (kind, entry, size) = read_message(message)?;
            entries.push((kind, entry));
            bytes += size;
        }
        if bytes > APPEND_BYTES_MAX {
            let told = format!("Maximum Append Size of {APPEND_BYTES_MAX} Exceeded.");
            return Err(Status::invalid_argument(told));
        }
        let expected = expected_of(&options)?;
        let stream = Node::stream(options.stream_identifier)?;
        let outcome = self.0.cluster.append_at(&stream, expected, entries).await?;
        {
            let mut faults = self.0.faults();
            if faults.lost_answers > 0 {
                faults.lost_answers -= 1;
                return Err(Status::unavailable("the connection was lost"));
            }
        }
        let result = match outcome {
            Ok(appended) => {
                let [commit_position, prepare_position] = appended.position.0;
                let position = append_resp::Position { commit_position, prepare_position };
                append_resp::Result::Success(Success {
                    current_revision_option: Some(CurrentRevisionOption::CurrentRevision(
                        appended.version,
                    )),
                    position_option: Some(PositionOption::Position(position)),
                })
            }
            Err(current) => wrong_version(expected, current),
        };
        Ok(Response::new(AppendResp { result: Some(result) }))
    }

    async fn delete(&self, _: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        Err(Status::unimplemented("Ocim deletes nothing"))
    }

    async fn tombstone(&self, _: Request<TombstoneReq>) -> Result<Response<TombstoneResp>, Status> {
        Err(Status::unimplemented("Ocim deletes nothing"))
    }

    async fn batch_append(
        &self,
        _: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        Err(Status::unimplemented("Ocim appends to one stream at a time"))
    }
}

#[tonic::async_trait]
impl Gossip for Services {
    async fn read(&self, _: Request<shared::Empty>) -> Result<Response<ClusterInfo>, Status> {
        if self.0.faults().hangs {
            std::future::pending::<()>().await;
        }
        let members = self.0.cluster.members().clone();
        let members = members.into_iter().map(|member| MemberInfo {
            instance_id: None,
            time_stamp: 0,
            state: match member.is_leader {
                true => VNodeState::Leader.into(),
                false => VNodeState::Follower.into(),
            },
            is_alive: member.is_alive,
            http_end_point: Some(EndPoint {
                address: "127.0.0.1".to_owned(),
                port: member.port.into(),
            }),
        });
        Ok(Response::new(ClusterInfo { members: members.collect() }))
    }
}

#[tonic::async_trait]
impl ServerFeatures for Services {
    async fn get_supported_methods(
        &self,
        _: Request<shared::Empty>,
    ) -> Result<Response<SupportedMethods>, Status> {
        if self.0.faults().hangs {
            std::future::pending::<()>().await;
        }
        let event_store_server_version = self.0.version.lock().unwrap().clone();
        Ok(Response::new(SupportedMethods { methods: vec![], event_store_server_version }))
    }
}
