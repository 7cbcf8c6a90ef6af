//! Around every request: an id, a span without secrets, and a problem for every bare refusal.

use super::Api;
use super::problem::{HttpError, PROBLEM_JSON};
use crate::telemetry::traces::{Span, SpanKind};
use crate::trace_context::TraceContext;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, ResponseError};
use ocim_api_spec::{Problem, ProblemType};
use std::time::Instant;
use tracing::Instrument;

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub String);

/// Gives the request an id and a span, and logs how it was answered. Queries and bodies stay out
/// of the span: they may hold secrets.
pub(super) async fn trace_request(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = given_id(request.headers()).unwrap_or_else(|| api.ids.new_id().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (context, parent) = trace_context(&api, request.headers());
    if let Some(context) = context {
        request.extensions_mut().insert(context);
    }
    let method = known_method(request.method());
    let begun = api.app.journal().now();
    let span = tracing::info_span!(
        "http.request",
        request.id = id,
        http.method = %request.method(),
        http.path = request.path(),
        actor = tracing::field::Empty,
    );
    let started = Instant::now();
    let mut response = next.call(request).instrument(span.clone()).await?.map_into_boxed_body();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    api.observing.metrics.count_request(method, &route, status, started.elapsed());
    if let Some(context) = context {
        api.observing.tracer.record(Span {
            context,
            parent,
            name: format!("{method} {route}"),
            kind: SpanKind::Server,
            started: begun,
            ended: api.app.journal().now(),
            failed: status >= 500,
            attributes: vec![
                ("http.request.method", method.to_owned()),
                ("http.route", route),
                ("http.response.status_code", status.to_string()),
                ("ocim.request", id),
            ],
        });
    }
    tracing::info!(parent: &span, http.status = status, elapsed_ms, "request answered");
    Ok(response)
}

/// The request's place in its trace, and the span that it is part of. Without a collector it is the
/// caller's own, handed on; a caller without a trace gets a new one.
fn trace_context(api: &Api, headers: &HeaderMap) -> (Option<TraceContext>, Option<[u8; 8]>) {
    let given = headers.get("traceparent").and_then(|text| text.to_str().ok()?.parse().ok());
    if !api.observing.tracer.is_on() {
        return (given, None);
    }
    let mut random = [0; 24];
    api.ids.fill_random(&mut random);
    let mut own = TraceContext { trace: [0; 16], span: [0; 8], sampled: true };
    own.trace.copy_from_slice(&random[..16]);
    own.span.copy_from_slice(&random[16..]);
    match given {
        None => (Some(own), None),
        Some(given) => (Some(given.with_span(own.span)), Some(given.span)),
    }
}

/// The method's name; anybody may invent more, and each would be a series of its own.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The caller's own id for the request, if it is harmless.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_harmless = (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_harmless.then(|| text.to_owned())
}

/// Gives the framework's own refusals the body of a problem.
pub(super) async fn make_problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    let has_problem = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == PROBLEM_JSON);
    if has_problem || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let (request, bare) = response.into_parts();
    let mut problem = refusal(status).error_response();
    if let Some(allow) = bare.headers().get(ALLOW) {
        problem.headers_mut().insert(ALLOW, allow.clone());
    }
    Ok(ServiceResponse::new(request, problem))
}

/// The problem behind a bare status code.
fn refusal(status: StatusCode) -> HttpError {
    match status {
        StatusCode::NOT_FOUND => {
            Problem::new(ProblemType::NotFound).detail("there is nothing at this address")
        }
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(ProblemType::MethodNotAllowed)
            .detail("`Allow` has the methods that this address knows"),
        StatusCode::REQUEST_TIMEOUT => Problem::new(ProblemType::RequestTimeout),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ProblemType::TooLarge),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(ProblemType::UnsupportedMediaType),
        status if status.is_client_error() => Problem::new(ProblemType::BadRequest),
        _ => Problem::new(ProblemType::Internal),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{App, HttpResponse, middleware::from_fn, test, web};

    #[actix_web::test]
    async fn only_a_harmless_request_id_is_taken_over() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(text));
            given_id(&headers)
        };
        assert_eq!(read("build-7.3_a").as_deref(), Some("build-7.3_a"));
        assert_eq!(read("a b"), None);
        assert_eq!(read(""), None);
        assert_eq!(given_id(&HeaderMap::new()), None);
    }

    #[actix_web::test]
    async fn the_frameworks_own_refusals_become_problems() {
        let allow =
            || async { HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET")).finish() };
        let app = App::new()
            .wrap(from_fn(make_problems))
            .route(
                "/plain",
                web::get().to(|| async { HttpResponse::BadRequest().body("plain text") }),
            )
            .service(web::resource("/one").default_service(web::to(allow)));
        let app = test::init_service(app).await;
        for (path, status) in [("/nowhere", 404), ("/plain", 400), ("/one", 405)] {
            let request = test::TestRequest::get().uri(path).to_request();
            let response = test::call_service(&app, request).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), PROBLEM_JSON);
            assert_eq!(response.headers().contains_key(ALLOW), status == 405);
            let problem: Problem = test::read_body_json(response).await;
            assert_eq!(problem.status, status);
        }
    }
}
