//! Problems (RFC 9457): one list of types, their stable URIs, titles and status codes.

use crate::texts::{Prose, RunId};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Below this path each type has a page, and nothing else.
pub const PROBLEMS_PATH: &str = "/problems/";

macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident = $uri:literal, $status:literal, $title:literal;)*) => {
        /// What went wrong; its URI, which is also the path of its page, never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemType {
            $($(#[$doc])* #[serde(rename = $uri)] $variant,)*
        }

        impl ProblemType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable URI.
            #[must_use]
            pub fn uri(self) -> &'static str {
                match self { $(Self::$variant => $uri,)* }
            }

            /// The HTTP status it is sent with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The same few words every time.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problem_types! {
    /// The request can't be understood: bad JSON, bad header, bad query.
    BadRequest = "/problems/bad_request", 400, "The request can't be understood";
    /// No valid token came with the request.
    Unauthorized = "/problems/unauthorized", 401, "A valid token is needed";
    /// The token is valid, but may only read.
    Forbidden = "/problems/forbidden", 403, "The token does not allow this";
    /// There is no such thing.
    NotFound = "/problems/not_found", 404, "Not found";
    /// The thing exists, but does not understand this method.
    MethodNotAllowed = "/problems/method_not_allowed", 405, "Method not allowed";
    /// The body took too long to arrive.
    RequestTimeout = "/problems/request_timeout", 408, "The request took too long to arrive";
    /// The state of the thing forbids it; `detail` says what to do.
    CommandRejected = "/problems/command_rejected", 409, "The command was refused";
    /// Somebody else holds the instance; `detail` says who, why and until when.
    InstanceHeld = "/problems/instance_held", 409, "Somebody holds the instance";
    /// The names listed in `errors` are another instance's; nothing was written.
    NameTaken = "/problems/name_taken", 409, "A name is taken";
    /// Somebody else changed the thing at the same moment: repeat the request.
    VersionConflict = "/problems/version_conflict", 409, "Changed by somebody else meanwhile";
    /// A request with this idempotency key is under way: repeat after `retry_after_s`.
    IdempotencyKeyInUse = "/problems/idempotency_key_in_use", 409, "The same request is under way";
    /// The `If-Match` version is not the current one: read again, then repeat.
    StaleVersion = "/problems/stale_version", 412, "The version is no longer current";
    /// The body is larger than Ocim takes.
    TooLarge = "/problems/too_large", 413, "The body is too large";
    /// The body is not JSON.
    UnsupportedMediaType = "/problems/unsupported_media_type", 415, "The body must be JSON";
    /// Fields break the rules listed in `errors`; nothing was written.
    InvalidInput = "/problems/invalid_input", 422, "The input breaks a rule";
    /// The idempotency key came with another request before: a new request needs a new key.
    IdempotencyKeyReused = "/problems/idempotency_key_reused", 422, "The idempotency key was used for another request";
    /// A fault of Ocim's own; the log has the cause under the request's id.
    Internal = "/problems/internal", 500, "Ocim made a mistake";
    /// Too much is under way: repeat after `retry_after_s`.
    Busy = "/problems/busy", 503, "Ocim is busy";
    /// Something that Ocim needs does not answer: repeat after `retry_after_s`.
    Unavailable = "/problems/unavailable", 503, "Something that Ocim needs is unavailable";
}

impl ProblemType {
    /// The last part of the URI: the name of its page.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.uri().trim_start_matches(PROBLEMS_PATH)
    }
}

impl PartialSchema for ProblemType {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What went wrong: the path of a page that says what to do"))
            .enum_values(Some(Self::ALL.iter().map(|kind| kind.uri())));
        schema.into()
    }
}

impl ToSchema for ProblemType {}

/// A rule that one field breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The field, parameter or header.
    #[schema(value_type = Prose)]
    pub field: String,
    /// The rule, for people.
    #[schema(value_type = Prose)]
    pub rule: String,
}

/// The body of every error, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What went wrong, for programs.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// What went wrong, for people.
    #[schema(value_type = Prose)]
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What exactly went wrong here, and what to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Prose>)]
    pub detail: Option<String>,
    /// Each rule that was broken.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
    /// `run_…` of the run that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<RunId>)]
    pub run: Option<String>,
    /// Seconds until it is worth trying again; the same as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem of this type, with its title and status.
    #[must_use]
    pub fn new(kind: ProblemType) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: None,
            errors: vec![],
            run: None,
            retry_after_s: None,
        }
    }

    /// Says what exactly went wrong.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a broken rule.
    #[must_use]
    pub fn error(mut self, field: impl Into<String>, rule: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), rule: rule.into() });
        self
    }

    /// Names the run that stands in the way.
    #[must_use]
    pub fn run(mut self, run: Option<String>) -> Self {
        self.run = run;
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_type_has_its_own_uri_and_an_error_status() {
        let uris: BTreeSet<_> = ProblemType::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(uris.len(), ProblemType::ALL.len());
        for kind in ProblemType::ALL {
            assert!((400..600).contains(&kind.status()), "{kind:?}");
        }
    }

    #[test]
    fn a_problem_leaves_out_what_it_does_not_know() {
        let problem = Problem::new(ProblemType::NotFound).detail("there is no such instance");
        let expected = serde_json::json!({
            "type": "/problems/not_found",
            "title": "Not found",
            "status": 404,
            "detail": "there is no such instance",
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Problem>(expected).unwrap(), problem);
    }
}
