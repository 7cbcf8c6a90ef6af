//! Who is calling: a bearer token, or a 401.

use super::Api;
use super::local_token::{self, LOCAL_USER_HEADER, os_user};
use super::problem::HttpError;
use super::trace::RequestId;
use crate::app::Caller;
use crate::trace_context::TraceContext;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError};
use ocim_api_spec::{Problem, ProblemType};
use ocim_domain::token::Scope;

/// Lets a request through that bears a valid token, and tells the handler who calls.
pub(super) async fn require_token(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match authenticate(&api, request.request()).await {
        Ok((caller, scope)) => {
            tracing::Span::current().record("actor", &caller.actor);
            if scope == Scope::Read && !request.method().is_safe() {
                return Ok(request.into_response(forbid().error_response()));
            }
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(error) => Ok(request.into_response(error.error_response())),
    }
}

/// What a token that may only read hears when it asks for a change.
fn forbid() -> HttpError {
    let detail = "the token may only read: use one whose scope is `all`, which `ocim token create` \
                  makes";
    Problem::new(ProblemType::Forbidden).detail(detail).into()
}

/// Who calls, and what the token allows.
pub(super) async fn authenticate(
    api: &Api,
    request: &HttpRequest,
) -> Result<(Caller, Scope), HttpError> {
    let refuse =
        |detail: &str| HttpError::from(Problem::new(ProblemType::Unauthorized).detail(detail));
    let Some(token) = bearer(request.headers()) else {
        return Err(refuse(
            "send a token as `Authorization: Bearer …`; `ocim token create` makes one",
        ));
    };
    let Some(holder) = api.tokens.find_holder(token).await? else {
        return Err(refuse("the token is not known here, has expired or was revoked"));
    };
    let caller = Caller {
        actor: actor(&holder.name, request.headers()),
        source_ip: request.peer_addr().map(|address| address.ip().to_string()),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
        traceparent: request.extensions().get::<TraceContext>().map(ToString::to_string),
        reason: None,
        command: None,
    };
    Ok((caller, holder.scope))
}

/// Who calls, as events show it: `token:<name>`, or `local:<os user>` for the local commands.
fn actor(holder: &str, headers: &HeaderMap) -> String {
    if holder != local_token::NAME {
        return format!("token:{holder}");
    }
    let said = headers.get(LOCAL_USER_HEADER).and_then(|value| value.to_str().ok());
    let user = said.filter(|name| local_token::is_user_name(name)).map(str::to_owned);
    format!("local:{}", user.unwrap_or_else(os_user))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn the_local_token_acts_for_the_user_who_is_named() {
        let named = headers("ocim-local-user", "alice");
        assert_eq!(actor("local", &named), "local:alice");
        assert_eq!(actor("deploy", &named), "token:deploy");
        let own = format!("local:{}", os_user());
        assert_eq!(actor("local", &HeaderMap::new()), own);
        assert_eq!(actor("local", &headers("ocim-local-user", "a b\\u202e")), own);
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&headers("authorization", "Bearer abc")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "bearer abc ")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "Basic abc")), None);
        assert_eq!(bearer(&headers("authorization", "abc")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
