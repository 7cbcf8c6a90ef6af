//! What is said of a route: what it does, for whom, what it takes and what it answers.
//!
//! Each module of handlers lists its routes as [`Route`]s, and [`LISTS`] has all those lists. The
//! routes that are served, the document and who may do what are made from them alone, so nothing can
//! be left out: a field that is missing or an empty text does not compile.

use super::LISTS;
use super::paging::PageParams;
use super::settings_schema::complete_example;
use actix_web::http::Method;
use ocim_api_spec::{Example, ProblemType};
use ocim_domain::right::Right;
use serde_json::{Value, json};
use std::borrow::Cow;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{HttpMethod, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

/// One operation of the API.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Who does it.
    pub(super) handler: Handler,
    /// The method.
    pub(super) method: Verb,
    /// The path, with a `{name}` for each part that varies.
    pub(super) path: &'static str,
    /// What it is about.
    pub(super) tag: Tag,
    /// What it does, in one sentence.
    pub(super) summary: &'static str,
    /// What else one should know of it.
    pub(super) description: &'static str,
    /// Who may do it.
    pub(super) access: Access,
    /// What it takes.
    pub(super) takes: Input,
    /// What it answers where it is done.
    pub(super) answers: &'static [Answer],
    /// Why it may be refused, beyond what follows from the rest (`super::openapi::problems`).
    pub(super) refuses: &'static [ProblemType],
}

/// Every route.
pub fn all() -> impl Iterator<Item = &'static Route> {
    LISTS.iter().copied().flatten()
}

impl Route {
    /// Its id in the document: the handler's name.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.handler.name
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.method {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Patch => Method::PATCH,
        }
    }

    /// The path, with a `{name}` for each part that varies.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The right that it needs; none where anybody may do it.
    #[must_use]
    pub fn right(&self) -> Option<Right> {
        match self.access {
            Access::Granted(right) | Access::GrantedUnlessPublic(right) => Some(right),
            Access::Anybody { .. } => None,
        }
    }
}

/// A handler and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handler {
    /// Its name.
    pub(super) name: &'static str,
    /// Makes what calls it.
    pub(super) make: fn() -> actix_web::Route,
}

/// A handler by its name.
macro_rules! handler {
    ($name:ident) => {
        $crate::http::routes::Handler {
            name: stringify!($name),
            make: || ::actix_web::web::to($name),
        }
    };
}
pub(super) use handler;

/// A method that routes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Look; HEAD is answered, too.
    Get,
    /// Make, or have something done.
    Post,
    /// Change.
    Patch,
}

impl Verb {
    /// As the document has it.
    pub(super) fn in_document(self) -> HttpMethod {
        match self {
            Self::Get => HttpMethod::Get,
            Self::Post => HttpMethod::Post,
            Self::Patch => HttpMethod::Patch,
        }
    }
}

/// What an operation is about: the document groups them by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// Its name.
    pub(super) name: &'static str,
    /// What it stands for.
    pub(super) description: &'static str,
}

/// Every tag, in the order of the routes.
pub(super) fn tags() -> Vec<Tag> {
    let mut tags = vec![];
    for route in all() {
        if !tags.contains(&route.tag) {
            tags.push(route.tag);
        }
    }
    tags
}

/// Who may do something.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// Whoever bears a token that grants this.
    Granted(Right),
    /// The same, unless the configuration lets anybody.
    GrantedUnlessPublic(Right),
    /// Anybody, without a token.
    Anybody {
        /// Why that is harmless.
        because: &'static str,
    },
}

/// A type as the document shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Its name.
    pub(super) name: fn() -> Cow<'static, str>,
    /// Its schema.
    pub(super) schema: fn() -> RefOr<Schema>,
    /// The schemas that it refers to.
    pub(super) schemas: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// The shape of a type.
    pub(super) const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, schemas: T::schemas }
    }
}

/// A body in JSON, with an example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    /// Its type.
    pub(super) shape: Shape,
    /// One that could be real.
    pub(super) example: fn() -> Value,
}

impl Body {
    /// A body of this type.
    pub(super) const fn of<T: Example>() -> Self {
        Self { shape: Shape::of::<T>(), example: || complete_example(json!(T::example())) }
    }
}

/// A part of a path that varies.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathPart {
    /// Its name.
    pub(super) name: &'static str,
    /// What it stands for.
    pub(super) description: &'static str,
    /// What kind of text it is.
    pub(super) shape: Shape,
}

/// A header of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestHeader {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) description: &'static str,
    /// What it may be.
    pub(super) pattern: &'static str,
    /// One that could be real.
    pub(super) example: &'static str,
}

/// What an operation takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// The parts of its path that vary.
    pub(super) path: &'static [PathPart],
    /// The parameters of its query.
    pub(super) query: Option<fn() -> Vec<Parameter>>,
    /// What a page is asked for by, where `after` is not described with the query.
    pub(super) cursor: Option<Shape>,
    /// The headers that it obeys.
    pub(super) headers: &'static [RequestHeader],
    /// Its body.
    pub(super) body: Option<Body>,
}

impl Input {
    /// Nothing.
    pub(super) const NOTHING: Self =
        Self { path: &[], query: None, cursor: None, headers: &[], body: None };

    /// With a path that varies.
    pub(super) const fn path(self, path: &'static [PathPart]) -> Self {
        Self { path, ..self }
    }

    /// With the parameters of this type in its query.
    pub(super) const fn query<T: IntoParams>(self) -> Self {
        Self { query: Some(|| T::into_params(|| Some(ParameterIn::Query))), ..self }
    }

    /// With a page that begins after an id of this kind.
    pub(super) const fn page_after<T: ToSchema>(self) -> Self {
        Self { cursor: Some(Shape::of::<T>()), ..self.query::<PageParams>() }
    }

    /// With these headers.
    pub(super) const fn headers(self, headers: &'static [RequestHeader]) -> Self {
        Self { headers, ..self }
    }

    /// With a body of this type.
    pub(super) const fn body<T: Example>(self) -> Self {
        Self { body: Some(Body::of::<T>()), ..self }
    }
}

/// How an operation answers where it is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// What it means.
    pub(super) description: &'static str,
    /// The forms that its body may have; none where it has no body.
    pub(super) content: &'static [Content],
    /// The headers that it may have, beside those that each answer has.
    pub(super) headers: &'static [AnswerHeader],
    /// What one may do with what it holds.
    pub(super) links: &'static [Link],
}

/// A form of an answer's body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// JSON.
    Json(Body),
    /// A page of such items.
    Page(Body),
    /// A text.
    Text {
        /// Its media type.
        media_type: &'static str,
        /// One that could be real.
        example: &'static str,
    },
}

impl Content {
    /// JSON of this type.
    pub(super) const fn json<T: Example>() -> Self {
        Self::Json(Body::of::<T>())
    }

    /// A page of items of this type.
    pub(super) const fn page<T: Example>() -> Self {
        Self::Page(Body::of::<T>())
    }

    /// Server-sent events.
    pub(super) const fn events(example: &'static str) -> Self {
        Self::Text { media_type: "text/event-stream", example }
    }
}

macro_rules! answer_headers {
    ($($variant:ident = $name:literal, $schema:tt, $example:literal, $description:literal;)*) => {
        /// A header that an answer may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum AnswerHeader {
            $(#[doc = $description] $variant,)*
        }

        impl AnswerHeader {
            /// Every one.
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it says.
            pub(super) fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }

            /// What it looks like, as a JSON schema.
            pub(super) fn schema(self) -> Value {
                match self { $(Self::$variant => json!($schema),)* }
            }

            /// One that could be real.
            pub(super) fn example(self) -> Value {
                match self { $(Self::$variant => json!($example),)* }
            }
        }
    };
}

answer_headers! {
    RequestId = "X-Request-Id", {"type": "string", "maxLength": 64},
        "01985f70-91b5-7f11-8c24-1d0e9b8a7c60",
        "The request's id, as the server's log has it; the caller's own where it sent one";
    Location = "Location", {"type": "string", "pattern": "^/api/v1/"},
        "/api/v1/runs/run_01985f70-91b2-7c33-a7f8-6d4e1b0c9f75",
        "Where to read what was made, or the run that does it";
    ETag = "ETag", {"type": "string", "pattern": "^\"[0-9]+\"$"}, "\"3\"",
        "The version of the settings, to be sent back as `If-Match` or `If-None-Match`";
    Stale = "X-Stale", {"type": "boolean"}, true,
        "Present where what is read may not show the change yet, or a later one already";
    Link = "Link", {"type": "string"},
        "</api/v1/runs?limit=50&after=run_01985f70-91b2-7c33-a7f8-6d4e1b0c9f75>; rel=\"next\"",
        "The next page with the same filters (`rel=\"next\"`); absent on the last one";
    LineCount = "X-Line-Count", {"type": "integer", "minimum": 0}, 4711,
        "Lines of the whole log by now";
    Disposition = "Content-Disposition", {"type": "string"},
        "attachment; filename=\"run_01985f70-91b2-7c33-a7f8-6d4e1b0c9f75.log\"",
        "The file's name";
    Vary = "Vary", {"type": "string"}, "Accept", "The form follows what is accepted";
    Replayed = "Idempotency-Replayed", {"type": "boolean"}, true,
        "Present where this is the answer to an earlier request with the same key";
    RetryAfter = "Retry-After", {"type": "integer", "minimum": 1}, 5,
        "Seconds until it is worth trying again";
    Authenticate = "WWW-Authenticate", {"type": "string"}, "Bearer realm=\"ocim\"",
        "How to say who one is";
}

/// What one may do with an answer: an operation that takes a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// What it leads to, in one word.
    pub(super) name: &'static str,
    /// The id of the operation.
    pub(super) to: &'static str,
    /// The name of the parameter.
    pub(super) parameter: &'static str,
    /// Where its value stands, as a runtime expression.
    pub(super) from: &'static str,
}

impl Link {
    /// To the run that a command started.
    pub(super) const RUN: Self =
        Self { name: "run", to: "read_run", parameter: "id", from: "$response.body#/run" };
    /// To what the run prints.
    pub(super) const RUN_LOG: Self =
        Self { name: "log", to: "read_run_logs", parameter: "id", from: "$response.body#/run" };
}

/// The answer of a command that a run carries out.
pub(super) const STARTED_RUN: Answer = Answer {
    status: 202,
    description: "It has begun: the run does it",
    content: &[Content::json::<ocim_api_spec::StartedRun>()],
    headers: &[AnswerHeader::Location, AnswerHeader::Stale],
    links: &[Link::RUN, Link::RUN_LOG],
};

/// That each route says all that it must is looked at by the compiler.
const _: () = {
    let mut list = 0;
    while list < LISTS.len() {
        let mut route = 0;
        while route < LISTS[list].len() {
            check(&LISTS[list][route]);
            route += 1;
        }
        list += 1;
    }
};

const fn check(route: &Route) {
    assert!(!route.summary.is_empty(), "a route without a summary");
    assert!(!route.description.is_empty(), "a route without a description");
    assert!(!route.answers.is_empty(), "a route without an answer");
    let mut answer = 0;
    while answer < route.answers.len() {
        assert!(!route.answers[answer].description.is_empty(), "an answer without a description");
        answer += 1;
    }
    if let Access::Anybody { because } = route.access {
        assert!(!because.is_empty(), "a route for anybody without a reason");
    }
}
