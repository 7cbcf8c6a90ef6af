//! The live stream: every event as it is appended, and on request the lines of one run.

use super::Api;
use super::extract::Params;
use super::logs::{check_run, log_message};
use super::problem::{HttpError, bad_request};
use super::routes::{Access, Answer, Content, Input, RequestHeader, Route, Tag, Verb, handler};
use super::sse::{self, Message};
use crate::app::Caller;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use ocim_adapters::logs::LogLine;
use ocim_api_spec::{AppendedEvent, ProblemType, texts};
use ocim_domain::event::Position;
use ocim_domain::ids::RunId;
use ocim_domain::right::Right;
use ocim_engine::store::{Filter, SubscriptionEvent};
use serde::Deserialize;
use serde_json::json;
use std::future::ready;
use utoipa::IntoParams;

const STREAM: Tag = Tag { name: "stream", description: "What happens, live" };

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(stream_events),
    method: Verb::Get,
    path: "/api/v1/stream",
    tag: STREAM,
    summary: "Tells live what happens",
    description: "`appended` events, `caught_up` once all that was missed is sent, and `log` lines of a \
        run. Server-sent events; resumes by `Last-Event-ID`. What events hold is not told here.",
    access: Access::Granted(Right::EventsRead),
    takes: Input::NOTHING.query::<StreamParams>().headers(&[RequestHeader {
        name: "Last-Event-ID",
        description: "Go on after this message",
        pattern: r"^(0[0-9]|1[0-7])[0-9]{18}\.(0[0-9]|1[0-7])[0-9]{18}/[0-9]{1,18}$",
        example: "00000000000000000042.00000000000000000000/0",
    }]),
    answers: &[Answer {
        status: 200,
        description: "Server-sent events: `appended` with an `AppendedEvent` as its data, `caught_up` \
            with a position, `log` with a `LogLine`",
        content: &[Content::events(
            "id: 00000000000000000042.00000000000000000000/0\nevent: appended\n\
             data: {\"kind\":\"instance.created\",…}\n\n",
        )],
        headers: &[],
        links: &[],
    }],
    refuses: &[ProblemType::NotFound],
}];

/// What the stream is to tell.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// Also the log lines of this run, `run_…`.
    #[param(value_type = Option<texts::RunId>)]
    run: Option<RunId>,
    /// Go on after this id of a message; `Last-Event-ID` wins. Without either, from now on.
    #[param(pattern = r"^(0[0-9]|1[0-7])[0-9]{18}\.(0[0-9]|1[0-7])[0-9]{18}(/[0-9]{1,18})?$")]
    after: Option<String>,
}

/// How far a reader is; as text the id of a message, `<position>/<line>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    position: Position,
    line: u64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.position, self.line)
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, line) = text.split_once('/').unwrap_or((text, "0"));
        Ok(Self {
            position: position.parse().map_err(|_| ())?,
            line: line.parse().map_err(|_| ())?,
        })
    }
}

/// Tells live what happens: `appended` events, `caught_up` once all that was missed is sent, and
/// `log` lines of a run. Server-sent events; resumes by `Last-Event-ID`.
async fn stream_events(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<StreamParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let from = match (resume_after(&request)?, params.after) {
        (Some(cursor), _) => cursor,
        (None, Some(text)) => {
            text.parse().map_err(|()| bad_request("after", "must be the id of a message"))?
        }
        (None, None) => Cursor { position: api.events(&by).head().await?, line: 0 },
    };
    let events = api.events(&by).subscribe_all(from.position, Filter::default());
    if let Some(run) = params.run {
        check_run(&api, &by, run).await?;
    }
    let lines = match params.run {
        Some(run) => api.app.logs().follow(run, from.line.saturating_add(1)),
        None => stream::pending().boxed(),
    };
    Ok(sse::respond(merge(events, lines, from), api.stopping.clone()))
}

fn resume_after(request: &HttpRequest) -> Result<Option<Cursor>, HttpError> {
    let Some(value) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let cursor = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    cursor.map(Some).ok_or_else(|| bad_request("Last-Event-ID", "must be the id of a message"))
}

enum Item {
    Event(SubscriptionEvent),
    Line(LogLine),
}

/// Both sources in one, each message with an id from which both can be resumed.
fn merge(
    events: BoxStream<'static, SubscriptionEvent>,
    lines: BoxStream<'static, LogLine>,
    from: Cursor,
) -> impl Stream<Item = Message> {
    stream::select(events.map(Item::Event), lines.map(Item::Line))
        .scan(from, |cursor, item| {
            let message = match item {
                Item::Event(SubscriptionEvent::Event(event)) => {
                    cursor.position = event.position;
                    let appended = AppendedEvent {
                        position: event.position.to_string(),
                        kind: event.kind,
                        stream: event.stream.to_string(),
                        at: event.recorded_at,
                    };
                    Some(Message::new("appended", &appended))
                }
                Item::Event(SubscriptionEvent::Checkpoint(position)) => {
                    cursor.position = position;
                    None
                }
                Item::Event(SubscriptionEvent::CaughtUp(position)) => {
                    cursor.position = position;
                    let position = position.to_string();
                    Some(Message::new("caught_up", &json!({ "position": position })))
                }
                Item::Line(line) => {
                    cursor.line = line.number;
                    Some(log_message(line))
                }
            };
            ready(Some(message.map(|message| message.id(*cursor))))
        })
        .filter_map(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use ocim_adapters::logs::{Level, NewLine};
    use ocim_domain::event::{Metadata, Recorded, StreamId};
    use uuid::Uuid;

    #[test]
    fn a_cursor_reads_back_from_the_id_of_a_message() {
        let cursor = Cursor { position: Position([0, 41]), line: 7 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(cursor.position.to_string().parse(), Ok(Cursor { line: 0, ..cursor }));
        assert_eq!("41/x".parse::<Cursor>(), Err(()));
        assert_eq!("".parse::<Cursor>(), Err(()));
    }

    #[tokio::test]
    async fn a_message_tells_that_an_event_happened_but_not_what_it_holds() {
        let event = Recorded {
            position: Position([0, 5]),
            stream: StreamId::new("instance", Uuid::from_u128(1)),
            version: 0,
            id: Uuid::from_u128(2),
            kind: "instance.created".into(),
            schema: 1,
            data: json!({"settings": "hidden"}),
            meta: Metadata::by("token:hidden"),
            recorded_at: DateTime::UNIX_EPOCH,
        };
        let line = LogLine {
            number: 9,
            line: NewLine {
                at: DateTime::UNIX_EPOCH,
                level: Level::Info,
                step: "create_server".into(),
                text: "made".into(),
            },
        };
        let events = vec![
            SubscriptionEvent::Checkpoint(Position([0, 4])),
            SubscriptionEvent::Event(Box::new(event)),
            SubscriptionEvent::CaughtUp(Position([0, 5])),
        ];
        let from = Cursor { position: Position([0, 3]), line: 8 };
        let lines = stream::iter([line]).boxed();
        let messages: Vec<_> = merge(stream::iter(events).boxed(), lines, from).collect().await;
        let text = format!("{messages:?}");
        assert_eq!(messages.len(), 3, "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("instance.created") && text.contains("create_server"), "{text}");
        let last = Cursor { position: Position([0, 5]), line: 9 }.to_string();
        assert!(format!("{:?}", messages.last()).contains(&last), "{text}");
    }
}
