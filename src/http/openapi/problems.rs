//! Answers of what was not done: which problems an operation may meet, by what it is like.

use super::answers::header_reference;
use crate::http::problem::PROBLEM_JSON;
use crate::http::routes::{self, AnswerHeader, Route, Verb};
use ocim_api_spec::{Problem, ProblemType};
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// The problems that an operation may answer with, by status, in the order of their types.
pub(super) fn of_route(route: &Route) -> BTreeMap<u16, Vec<ProblemType>> {
    use ProblemType as P;
    let mut kinds: Vec<P> = route.refuses.to_vec();
    let is_granted = route.right().is_some();
    if is_granted {
        kinds.extend([P::Unauthorized, P::Forbidden, P::BadRequest, P::Internal, P::Unavailable]);
    }
    if !route.takes.path.is_empty() {
        kinds.push(P::NotFound);
    }
    if route.takes.query.is_some() || !route.takes.headers.is_empty() {
        kinds.push(P::BadRequest);
    }
    let takes_body = route.takes.body.is_some();
    if takes_body {
        kinds.extend([P::BadRequest, P::UnsupportedMediaType, P::InvalidInput]);
    }
    // A key has the body read, even where none is taken.
    let takes_key = is_granted && route.method == Verb::Post;
    if takes_body || takes_key {
        kinds.extend([P::RequestTimeout, P::TooLarge]);
    }
    if takes_key {
        kinds.extend([P::IdempotencyKeyInUse, P::IdempotencyKeyReused]);
    }
    if route.method != Verb::Get {
        kinds.extend([P::VersionConflict, P::Busy]);
    }
    let place = |kind: &P| P::ALL.iter().position(|it| it == kind);
    let mut by_status = BTreeMap::<u16, Vec<P>>::new();
    for kind in kinds {
        by_status.entry(kind.status()).or_default().push(kind);
    }
    for kinds in by_status.values_mut() {
        kinds.sort_by_key(place);
        kinds.dedup();
    }
    by_status
}

/// What the answer with one of these problems is called.
pub(super) fn component_name(kinds: &[ProblemType]) -> String {
    kinds.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>().join("Or")
}

/// Every such answer, by its name.
pub(super) fn components() -> BTreeMap<String, RefOr<Response>> {
    let all = routes::all().flat_map(|route| of_route(route).into_values());
    let all: BTreeMap<_, _> = all.map(|kinds| (component_name(&kinds), kinds)).collect();
    all.into_iter().map(|(name, kinds)| (name, response(&kinds).into())).collect()
}

fn response(kinds: &[ProblemType]) -> Response {
    let sentences = kinds.iter().map(|kind| format!("`{}`: {}", kind.name(), kind.title()));
    let example = |kind: &ProblemType| {
        let problem = Problem::new(*kind);
        let problem = if waits(*kind) { problem.retry_after_s(5) } else { problem };
        (kind.name(), ExampleBuilder::new().value(Some(json!(problem))).build())
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .examples_from_iter(kinds.iter().map(example));
    let mut response = ResponseBuilder::new()
        .description(sentences.collect::<Vec<_>>().join("; "))
        .content(PROBLEM_JSON, content.build());
    let mut headers = vec![AnswerHeader::RequestId];
    if kinds.iter().any(|kind| waits(*kind)) {
        headers.push(AnswerHeader::RetryAfter);
    }
    if kinds.contains(&ProblemType::Unauthorized) {
        headers.push(AnswerHeader::Authenticate);
    }
    for header in headers {
        response = response.header_ref(header.name(), header_reference(header));
    }
    response.build()
}

/// Whether it says when to come back.
fn waits(kind: ProblemType) -> bool {
    use ProblemType as P;
    matches!(kind, P::Busy | P::Unavailable | P::IdempotencyKeyInUse)
}
