//! The log of events: pages of those that are wanted, or live. Protected values stay hidden.

use super::Api;
use super::extract::{Params, read_flag, read_search_text, read_time};
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, bad_request};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, RequestHeader, Route, Tag, Verb, handler,
};
use super::sse::{self, Message};
use super::timeline::read_order;
use crate::app::Caller;
use crate::read_models::{EventQuery, EventRow};
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use ocim_api_spec::{RecordedEvent, texts};
use ocim_domain::event::{Position, Recorded, StreamId};
use ocim_domain::right::Right;
use ocim_engine::store::{Filter, SubscriptionEvent};
use ocim_projections::history::hide_protected;
use serde::Deserialize;
use serde_json::json;
use std::future::ready;
use utoipa::IntoParams;

const EVENTS: Tag = Tag { name: "events", description: "What happened, in full" };

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(list_events),
    method: Verb::Get,
    path: "/api/v1/events",
    tag: EVENTS,
    summary: "Lists events, or tells them live",
    description: "With all that they hold; protected values are shown as `<protected>`. All filters must \
        hold.",
    access: Access::Granted(Right::EventsRead),
    takes: Input::NOTHING.query::<EventParams>().headers(&[RequestHeader {
        name: "Last-Event-ID",
        description: "With `follow`: go on after this position",
        pattern: r"^(0[0-9]|1[0-7])[0-9]{18}\.(0[0-9]|1[0-7])[0-9]{18}$",
        example: texts::LogPosition::EXAMPLE,
    }]),
    answers: &[Answer {
        status: 200,
        description: "A page of events; with `follow` server-sent events: an `event` with a \
            `RecordedEvent` as its data for each, and a `caught_up` with a position",
        content: &[
            Content::page::<RecordedEvent>(),
            Content::events(
                "id: 00000000000000000042.00000000000000000000\nevent: event\n\
                 data: {\"kind\":\"instance.created\",…}\n\n",
            ),
        ],
        headers: &[AnswerHeader::Link],
        links: &[],
    }],
    refuses: &[],
}];

/// Which events are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Only those of this stream, `category-<uuid>`.
    #[param(value_type = Option<texts::StreamName>)]
    stream: Option<StreamId>,
    /// Only those of this kind; several stand with commas between them.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(deserialize_with = "read_search_text")]
    kind: Option<String>,
    /// Only those of this actor, e.g. `token:alice`.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(deserialize_with = "read_search_text")]
    actor: Option<String>,
    /// Only those that belong to this request or run.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(deserialize_with = "read_search_text")]
    correlation: Option<String>,
    /// Only those from this time on.
    #[serde(deserialize_with = "read_time")]
    since: Option<DateTime<Utc>>,
    /// Only those before this time.
    #[serde(deserialize_with = "read_time")]
    until: Option<DateTime<Utc>>,
    /// `newest` first, as when left out, or `oldest` first. Means nothing with `follow`.
    #[param(pattern = "^(newest|oldest)$")]
    order: Option<String>,
    /// Most items on the page, 1 to 200; 50 when left out. Means nothing with `follow`.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before; with `follow` the position to go on after, else from now on.
    #[param(value_type = Option<texts::LogPosition>)]
    after: Option<String>,
    /// Answer with server-sent events: an `event` for each, whose id is its position, and a
    /// `caught_up` once all that was missed is sent.
    #[serde(deserialize_with = "read_flag")]
    follow: bool,
}

impl EventParams {
    fn query(&self) -> EventQuery {
        let kinds = self.kind.iter().flat_map(|kinds| kinds.split(','));
        EventQuery {
            stream: self.stream.clone(),
            kinds: kinds.map(|kind| kind.trim().to_owned()).filter(|it| !it.is_empty()).collect(),
            actor: self.actor.clone(),
            correlation: self.correlation.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

/// Lists events, or tells them live.
async fn list_events(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<EventParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let last = request.headers().get("Last-Event-ID");
    let last = last.map(|value| read_position("Last-Event-ID", value.to_str().unwrap_or_default()));
    let last = last.transpose()?;
    if params.follow {
        return follow_events(&api, &by, &params, last).await;
    }
    let order = read_order(params.order.as_deref())?;
    let choice = Choice::new::<Position>(params.limit, params.after.as_deref())?;
    let models = api.app.reads(&by);
    let limit = choice.rows_to_read();
    let rows = models.list_events(&params.query(), order, limit, choice.after_as()).await?;
    let position = |row: &EventRow| row.position.clone();
    let page = choice.page(rows, position, |row| Ok(show_event(row.into_recorded())))?;
    answer_with_page(&request, &page)
}

async fn follow_events(
    api: &Api,
    by: &Caller,
    params: &EventParams,
    last: Option<Position>,
) -> Result<HttpResponse, HttpError> {
    let after = match (last, &params.after) {
        (Some(last), _) => last,
        (None, Some(text)) => read_position("after", text)?,
        (None, None) => api.events(by).head().await?,
    };
    let query = params.query();
    let categories = query.stream.iter().map(|stream| stream.category().to_owned()).collect();
    let filter = Filter { categories, kinds: query.kinds.clone() };
    let events = api.events(by).subscribe_all(after, filter);
    Ok(sse::respond(messages(events, query), api.stopping.clone()))
}

fn read_position(field: &str, text: &str) -> Result<Position, HttpError> {
    text.trim().parse().map_err(|_| bad_request(field, "must be a position"))
}

fn messages(
    events: BoxStream<'static, SubscriptionEvent>,
    query: EventQuery,
) -> impl Stream<Item = Message> {
    events.filter_map(move |item| {
        ready(match item {
            SubscriptionEvent::Event(event) if query.admits(&event) => {
                let position = event.position;
                Some(Message::new("event", &show_event(*event)).id(position))
            }
            SubscriptionEvent::CaughtUp(position) => {
                let told = json!({ "position": position.to_string() });
                Some(Message::new("caught_up", &told).id(position))
            }
            SubscriptionEvent::Event(_) | SubscriptionEvent::Checkpoint(_) => None,
        })
    })
}

/// An event with all that may be shown of it.
fn show_event(recorded: Recorded) -> RecordedEvent {
    RecordedEvent {
        position: recorded.position.to_string(),
        stream: recorded.stream.to_string(),
        version: recorded.version,
        id: recorded.id.to_string(),
        kind: recorded.kind,
        schema: recorded.schema,
        at: recorded.recorded_at,
        actor: recorded.meta.actor,
        correlation: recorded.meta.correlation_id,
        causation: recorded.meta.causation_id,
        traceparent: recorded.meta.traceparent,
        source_ip: recorded.meta.source_ip,
        reason: recorded.meta.reason,
        data: hide_protected(recorded.data),
    }
}
