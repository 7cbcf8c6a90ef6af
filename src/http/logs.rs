//! Logs of runs: any range, as a file, or live until the run has ended.

use super::Api;
use super::appservers::APPSERVER_ID;
use super::extract::{Params, read_flag, read_search_text};
use super::problem::{HttpError, bad_request, internal, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, RequestHeader, Route, Tag, Verb, handler,
};
use super::runs::RUN_ID;
use super::sse::{self, Message};
use crate::app::Caller;
use crate::logs::lines::cut_at;
use crate::logs::{LineRange, Logs};
use actix_web::http::header::{CONTENT_DISPOSITION, HeaderName};
use actix_web::web::{Bytes, Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{self, Stream, StreamExt};
use ocim_adapters::logs::{Level, LogLine as StoredLine};
use ocim_api_spec::{LogLevel, LogLine, LogPage, texts};
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::port_error::PortError;
use ocim_domain::right::Right;
use serde::Deserialize;
use serde_json::json;
use std::future::ready;
use std::sync::Arc;
use utoipa::IntoParams;

/// Lines of a range when nothing else is asked for.
const LIMIT_DEFAULT: usize = 1000;
/// Most lines of a range.
const LIMIT_MAX: usize = 10_000;
/// The greatest number that a line can have.
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();
/// Lines that a download reads at once.
const DOWNLOAD_LINES: usize = 1000;

/// How many lines the log has by now.
const LINE_COUNT: HeaderName = HeaderName::from_static("x-line-count");

/// The header by which a client that follows comes back.
const LAST_LINE: &[RequestHeader] = &[RequestHeader {
    name: "Last-Event-ID",
    description: "With `follow`: go on after this line",
    pattern: "^[0-9]{1,18}$",
    example: "128",
}];

/// The answer with a range of lines.
const LINES: Answer = Answer {
    status: 200,
    description: "A range of lines; with `follow` server-sent events: a `log` for each line, with a \
        `LogLine` as its data, and an `end`",
    content: &[
        Content::json::<LogPage>(),
        Content::events("id: 128\nevent: log\ndata: {\"number\":128,…}\n\n"),
    ],
    headers: &[AnswerHeader::LineCount],
    links: &[],
};

/// The answer with a log as a file.
const FILE: Answer = Answer {
    status: 200,
    description: "The lines as text",
    content: &[Content::Text {
        media_type: "text/plain",
        example: "TASK [nginx : install]\nok: [alpha-2]\n",
    }],
    headers: &[AnswerHeader::Disposition, AnswerHeader::LineCount],
    links: &[],
};

const LOGS: Tag = Tag { name: "logs", description: "What the work printed" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(read_run_logs),
        method: Verb::Get,
        path: "/api/v1/runs/{id}/logs",
        tag: LOGS,
        summary: "Reads the log of a run",
        description: "A range by numbers, or live with `follow` until the run has ended. Secrets are masked.",
        access: Access::Granted(Right::LogsRead),
        takes: Input::NOTHING.path(&[RUN_ID]).query::<LogParams>().headers(LAST_LINE),
        answers: &[LINES],
        refuses: &[],
    },
    Route {
        handler: handler!(read_appserver_logs),
        method: Verb::Get,
        path: "/api/v1/appservers/{id}/logs",
        tag: LOGS,
        summary: "Reads the log of the run that launched an Appserver",
        description: "A range by numbers, or live with `follow` until the run has ended. Secrets are masked.",
        access: Access::Granted(Right::LogsRead),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).query::<LogParams>().headers(LAST_LINE),
        answers: &[LINES],
        refuses: &[],
    },
    Route {
        handler: handler!(download_run_logs),
        method: Verb::Get,
        path: "/api/v1/runs/{id}/logs/raw",
        tag: LOGS,
        summary: "Downloads the log of a run as a text file",
        description: "As it is by now, whole lines, secrets masked.",
        access: Access::Granted(Right::LogsRead),
        takes: Input::NOTHING.path(&[RUN_ID]).query::<RawParams>(),
        answers: &[FILE],
        refuses: &[],
    },
    Route {
        handler: handler!(download_appserver_logs),
        method: Verb::Get,
        path: "/api/v1/appservers/{id}/logs/raw",
        tag: LOGS,
        summary: "Downloads the log of the run that launched an Appserver as a text file",
        description: "As it is by now, whole lines, secrets masked.",
        access: Access::Granted(Right::LogsRead),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).query::<RawParams>(),
        answers: &[FILE],
        refuses: &[],
    },
];

/// Which lines are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParams {
    /// Number of the first line, from 1.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    from: Option<u64>,
    /// Number of the last line. Means nothing with `follow`.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    to: Option<u64>,
    /// Only lines of this step, and of those below it.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    step: Option<String>,
    /// Most lines, 1 to 10,000; 1,000 when left out. Means nothing with `follow`.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Answer with server-sent events: a `log` a line, whose id is its number, and an `end` once
    /// the run has ended.
    #[serde(default, deserialize_with = "read_flag")]
    follow: bool,
}

/// Which lines are wanted as a file.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RawParams {
    /// Number of the first line, from 1.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    from: Option<u64>,
    /// Number of the last line.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    to: Option<u64>,
    /// Only lines of this step, and of those below it.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    step: Option<String>,
}

/// Reads the log of a run.
async fn read_run_logs(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    params: Params<LogParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    check_run(&api, &by, *id).await?;
    answer_with_logs(&api, *id, params.0, &request).await
}

/// Reads the log of the run that launched an Appserver.
async fn read_appserver_logs(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    params: Params<LogParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let run = launch_of(&api, &by, *id).await?;
    answer_with_logs(&api, run, params.0, &request).await
}

/// Downloads the log of a run, as it is by now, as a text file.
async fn download_run_logs(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    params: Params<RawParams>,
) -> Result<HttpResponse, HttpError> {
    check_run(&api, &by, *id).await?;
    answer_with_file(&api, *id, params.0).await
}

/// Downloads the log of the run that launched an Appserver, as it is by now, as a text file.
async fn download_appserver_logs(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    params: Params<RawParams>,
) -> Result<HttpResponse, HttpError> {
    let run = launch_of(&api, &by, *id).await?;
    answer_with_file(&api, run, params.0).await
}

/// Sees that there is such a run.
///
/// # Errors
/// Not found; without a database.
pub(super) async fn check_run(api: &Api, by: &Caller, run: RunId) -> Result<(), HttpError> {
    let is_there = api.app.reads(by).has_run(&run.to_string()).await?;
    if is_there { Ok(()) } else { Err(not_found("such run")) }
}

async fn launch_of(api: &Api, by: &Caller, appserver: AppserverId) -> Result<RunId, HttpError> {
    let row = api.app.reads(by).read_appserver(&appserver.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such appserver"))?;
    row.launch_run.parse().map_err(|error| internal(&error))
}

fn read_range(
    from: Option<u64>,
    to: Option<u64>,
    step: Option<String>,
) -> Result<LineRange, HttpError> {
    let (from, to) = (from.unwrap_or(1), to.unwrap_or(NUMBER_MAX));
    for (name, number) in [("from", from), ("to", to)] {
        if !(1..=NUMBER_MAX).contains(&number) {
            return Err(bad_request(name, format!("must be 1 to {NUMBER_MAX}")));
        }
    }
    if to < from {
        return Err(bad_request("to", "must not be less than `from`"));
    }
    Ok(LineRange { from, to, step })
}

async fn answer_with_logs(
    api: &Api,
    run: RunId,
    params: LogParams,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let mut range = read_range(params.from, params.to, params.step)?;
    let last = resume_after(request)?;
    if params.follow {
        range.from = last.map_or(range.from, |last| last.saturating_add(1));
        range.to = NUMBER_MAX;
        let messages = follow_log(api.app.logs(), run, range);
        return Ok(sse::respond(messages, api.stopping.clone()));
    }
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad_request("limit", format!("must be 1 to {LIMIT_MAX}")));
    }
    let count = api.app.logs().count_lines(run).await?;
    let (lines, next) = api.app.logs().read_range(run, &range, limit).await?;
    let lines = lines.into_iter().map(show_log_line).collect();
    let page = LogPage { run: run.to_string(), lines, next };
    Ok(HttpResponse::Ok().insert_header((LINE_COUNT, count)).json(page))
}

async fn answer_with_file(
    api: &Api,
    run: RunId,
    params: RawParams,
) -> Result<HttpResponse, HttpError> {
    let mut range = read_range(params.from, params.to, params.step)?;
    let count = api.app.logs().count_lines(run).await?;
    range.to = range.to.min(count);
    let file = format!("attachment; filename=\"{run}.log\"");
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, file))
        .insert_header((LINE_COUNT, count))
        .streaming(download(Arc::clone(api.app.logs()), run, range)))
}

/// The texts of a range, chunk by chunk. An error breaks the download off, so that nobody takes a
/// part for the whole.
fn download(
    logs: Arc<Logs>,
    run: RunId,
    range: LineRange,
) -> impl Stream<Item = Result<Bytes, PortError>> {
    stream::try_unfold(range, move |mut range| {
        let logs = Arc::clone(&logs);
        async move {
            if range.from > range.to {
                return Ok(None);
            }
            let read = logs.read_range(run, &range, DOWNLOAD_LINES).await;
            let (lines, next) = read.inspect_err(|error| {
                tracing::warn!(error = error as &dyn std::error::Error, "a download broke off");
            })?;
            let text: String = lines.iter().map(|line| format!("{}\n", line.line.text)).collect();
            // No line where one should be: the log was taken away meanwhile.
            let is_over = next == range.from;
            range.from = if is_over { u64::MAX } else { next };
            range.to = if is_over { 0 } else { range.to };
            Ok(Some((Bytes::from(text), range)))
        }
    })
}

/// The number of the last line that a client has, when it comes back.
fn resume_after(request: &HttpRequest) -> Result<Option<u64>, HttpError> {
    let Some(value) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let number = number.filter(|number| *number <= NUMBER_MAX);
    number.map(Some).ok_or_else(|| bad_request("Last-Event-ID", "must be the number of a line"))
}

/// A line on its way to a live reader.
pub(super) fn log_message(line: StoredLine) -> Message {
    Message::new("log", &show_log_line(line))
}

/// Lines of the range, each with its number as id, then an `end` once the log is finished.
fn follow_log(logs: &Logs, run: RunId, range: LineRange) -> impl Stream<Item = Message> + 'static {
    let lines = logs.follow(run, range.from).filter_map(move |line| {
        let number = line.number;
        ready(range.admits(&line).then(|| log_message(line).id(number)))
    });
    lines.chain(stream::once(ready(Message::new("end", &json!({})))))
}

/// Longest text of a log line that is shown whole, bytes; the raw download has all.
const SHOWN_BYTES: usize = 16 * 1024;

/// A line of a log.
fn show_log_line(line: StoredLine) -> LogLine {
    let (text, more_bytes) = cut_at(&line.line.text, SHOWN_BYTES);
    LogLine {
        number: line.number,
        at: line.line.at,
        level: match line.line.level {
            Level::Info => LogLevel::Info,
            Level::Warning => LogLevel::Warning,
            Level::Error => LogLevel::Error,
        },
        text: text.to_owned(),
        more_bytes: more_bytes as u64,
        step: line.line.step,
    }
}
