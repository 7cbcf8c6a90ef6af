//! Every error becomes a problem (RFC 9457) here; causes go to the log, never to the caller.

use crate::app::idempotency::IdempotencyError;
use crate::app::tokens::TokenError;
use crate::app::{AppError, SettingsEdit};
use crate::read_models::QueryError;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chrono::SecondsFormat;
use ocim_api_spec::{Problem, ProblemType};
use ocim_domain::port_error::PortError;
use ocim_engine::store::ReadError;
use ocim_engine::store::postgres::{is_disk_full, is_table_missing, is_value_refused};
use std::error::Error;
use std::fmt;

/// The media type of every error.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// When a caller may try again after something did not answer, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// A problem on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpError(pub(super) Box<Problem>);

impl From<Problem> for HttpError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail.as_ref().unwrap_or(&self.0.title))
    }
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.0.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if self.0.kind == ProblemType::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"ocim\""));
        }
        match serde_json::to_vec(&self.0) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

/// There is no such thing.
pub(super) fn not_found(what: &str) -> HttpError {
    Problem::new(ProblemType::NotFound).detail(format!("there is no {what}")).into()
}

/// One field, parameter or header breaks a rule.
pub(super) fn invalid(field: &str, rule: impl Into<String>) -> HttpError {
    Problem::new(ProblemType::InvalidInput).error(field, rule).into()
}

/// One parameter or header can't be understood.
pub(super) fn bad_request(field: &str, rule: impl Into<String>) -> HttpError {
    Problem::new(ProblemType::BadRequest).error(field, rule).into()
}

/// A fault of ours: logged with all causes, told without any.
pub(super) fn internal(error: &(dyn Error + 'static)) -> HttpError {
    tracing::error!(error, "a request met a fault of our own");
    let detail = "the server's log has the cause under this request's id";
    Problem::new(ProblemType::Internal).detail(detail).into()
}

/// It has changed since the caller read it; says who changed what since.
fn stale(current: u64, changes: &[SettingsEdit]) -> HttpError {
    let detail = format!(
        "the settings are at version {current} now: read them again, then repeat the request with \
         the new ETag"
    );
    let problem = Problem::new(ProblemType::StaleVersion).detail(detail);
    let told = changes.iter().flat_map(|edit| {
        let at = edit.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let rule = format!("changed by {} at {at} (version {})", edit.actor, edit.version);
        edit.changed.iter().map(move |field| (field.clone(), rule.clone()))
    });
    told.fold(problem, |problem, (field, rule)| problem.error(field, rule)).into()
}

/// Something that we need does not answer.
pub(super) fn unavailable(what: &str, error: &(dyn Error + 'static)) -> HttpError {
    if is_value_refused(error) {
        tracing::info!(error, "{what} refused a value of a request");
        return bad_request("request", "holds a value that the database does not take");
    }
    if is_table_missing(error) {
        // The first start makes them while it answers already.
        tracing::info!(error, "a request came before the read models were made");
        return Problem::new(ProblemType::Unavailable)
            .detail("the read models are being made")
            .retry_after_s(RETRY_AFTER_S)
            .into();
    }
    tracing::warn!(error, "{what} did not answer a request");
    let detail = if is_disk_full(error) {
        format!("{what} has no room left on its disk: make room there, then repeat the request")
    } else {
        format!("{what} does not answer")
    };
    Problem::new(ProblemType::Unavailable).detail(detail).retry_after_s(RETRY_AFTER_S).into()
}

impl From<AppError> for HttpError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound { what } => not_found(&what),
            AppError::Invalid(violations) => violations
                .into_iter()
                .fold(Problem::new(ProblemType::InvalidInput), |problem, violation| {
                    problem.error(violation.field, violation.rule)
                })
                .into(),
            AppError::NamesTaken(violations) => violations
                .into_iter()
                .fold(Problem::new(ProblemType::NameTaken), |problem, violation| {
                    problem.error(violation.field, violation.rule)
                })
                .into(),
            AppError::Rejected { detail, run } => Problem::new(ProblemType::CommandRejected)
                .detail(detail)
                .run(run.map(|run| run.to_string()))
                .into(),
            AppError::Held { detail } => {
                Problem::new(ProblemType::InstanceHeld).detail(detail).into()
            }
            AppError::VersionConflict => Problem::new(ProblemType::VersionConflict)
                .detail("repeat the request: somebody else wrote at the same moment")
                .into(),
            AppError::Stale { current, changes } => stale(current, &changes),
            AppError::Busy { retry_after } => {
                Problem::new(ProblemType::Busy).retry_after_s(retry_after.as_secs().max(1)).into()
            }
            AppError::Unavailable { what, source } => unavailable(what, &*source),
            AppError::Newer(source) => {
                tracing::info!(error = &*source as &dyn Error, "a request needs a newer Ocim");
                let detail = "a newer Ocim has written what this one does not know: ask that one";
                Problem::new(ProblemType::Unavailable)
                    .detail(detail)
                    .retry_after_s(RETRY_AFTER_S)
                    .into()
            }
            AppError::Internal(source) => internal(&*source),
        }
    }
}

impl From<QueryError> for HttpError {
    fn from(error: QueryError) -> Self {
        unavailable("the database", &error)
    }
}

impl From<IdempotencyError> for HttpError {
    fn from(error: IdempotencyError) -> Self {
        unavailable("the database", &error)
    }
}

impl From<ReadError> for HttpError {
    fn from(error: ReadError) -> Self {
        unavailable("the event store", &error)
    }
}

impl From<PortError> for HttpError {
    fn from(error: PortError) -> Self {
        unavailable("the log store", &error)
    }
}

impl From<TokenError> for HttpError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unavailable(_) => unavailable("the database", &error),
            TokenError::Name | TokenError::Reserved => invalid("name", error.to_string()),
            TokenError::NameTaken { .. } => {
                Problem::new(ProblemType::CommandRejected).detail(error.to_string()).into()
            }
            TokenError::Days => invalid("expires_in_days", error.to_string()),
            TokenError::NotFound { .. } => {
                Problem::new(ProblemType::NotFound).detail(error.to_string()).into()
            }
            TokenError::Event(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Violation;
    use actix_web::body::to_bytes;
    use ocim_domain::ids::RunId;
    use std::time::Duration;
    use uuid::Uuid;

    fn cause() -> Box<dyn Error + Send + Sync> {
        "password=hunter2".into()
    }

    #[test]
    fn every_app_error_has_its_problem() {
        let run = RunId(Uuid::from_u128(9));
        let violation = Violation { field: "name".into(), rule: "1 to 250 characters".into() };
        let cases = [
            (AppError::not_found("instance", "inst_7"), ProblemType::NotFound),
            (AppError::Invalid(vec![violation.clone()]), ProblemType::InvalidInput),
            (AppError::NamesTaken(vec![violation]), ProblemType::NameTaken),
            (
                AppError::Rejected { detail: "a launch is under way".into(), run: Some(run) },
                ProblemType::CommandRejected,
            ),
            (AppError::Held { detail: "by ada".into() }, ProblemType::InstanceHeld),
            (AppError::VersionConflict, ProblemType::VersionConflict),
            (AppError::Stale { current: 3, changes: vec![] }, ProblemType::StaleVersion),
            (AppError::Busy { retry_after: Duration::from_millis(300) }, ProblemType::Busy),
            (AppError::unavailable("the database", cause()), ProblemType::Unavailable),
            (AppError::Newer(cause()), ProblemType::Unavailable),
            (AppError::Internal(cause()), ProblemType::Internal),
        ];
        for (error, kind) in cases {
            let problem = HttpError::from(error).0;
            assert_eq!((problem.kind, problem.status), (kind, kind.status()));
            assert!(!serde_json::to_string(&problem).unwrap().contains("hunter2"), "{problem:?}");
            assert_eq!(problem.run.is_some(), kind == ProblemType::CommandRejected);
            let names_fields = matches!(kind, ProblemType::InvalidInput | ProblemType::NameTaken);
            assert_eq!(problem.errors.len(), usize::from(names_fields));
            assert_eq!(problem.retry_after_s.is_some(), kind.status() == 503, "{problem:?}");
        }
    }

    #[actix_web::test]
    async fn a_problem_says_when_to_come_back() {
        let response = HttpError::from(AppError::Busy { retry_after: Duration::from_secs(3) })
            .error_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get("content-type").unwrap(), PROBLEM_JSON);
        assert_eq!(response.headers().get("retry-after").unwrap(), "3");
        let body = to_bytes(response.into_body()).await.unwrap();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.retry_after_s, Some(3));
    }
}
