//! Who is calling: a bearer token, or a 401.

use super::Api;
use super::local_token::{self, LOCAL_USER_HEADER, os_user};
use super::problem::HttpError;
use super::routes::{Access, Route};
use super::trace::RequestId;
use crate::app::Caller;
use crate::app::tokens::LOCAL_PREFIX;
use crate::trace_context::TraceContext;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError};
use ocim_api_spec::{Problem, ProblemType};
use ocim_domain::right::{ReadScope, Right};
use ocim_domain::token::Scope;
use std::sync::Arc;

/// Lets a request to one of these routes through that may come in, and tells the handler who asks.
///
/// One whose method none of them has only has to say who it is.
pub(super) async fn admit(
    api: Data<Api>,
    routes: Arc<[&'static Route]>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let route = routes.iter().find(|route| route.method() == *request.method());
    let access = route.or(routes.first()).map(|route| route.access);
    let right = match access {
        Some(Access::Anybody { .. }) => return pass(request, next).await,
        Some(Access::GrantedUnlessPublic(_)) if api.observing.metrics_public => {
            return pass(request, next).await;
        }
        Some(Access::Granted(right) | Access::GrantedUnlessPublic(right)) => Some(right),
        None => None,
    };
    admit_by(&api, right.filter(|_| route.is_some()), request, next).await
}

/// Lets nobody through who does not say who it is: who is nobody does not learn what there is.
pub(super) async fn admit_to_nothing(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    admit_by(&api, None, request, next).await
}

async fn admit_by(
    api: &Api,
    right: Option<Right>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match authenticate(api, request.request()).await {
        Ok((caller, scope)) => {
            tracing::Span::current().record("actor", &caller.actor);
            if let Some(right) = right {
                let Some(sees) = scope.grant(right) else {
                    return Ok(request.into_response(forbid(right).error_response()));
                };
                request.extensions_mut().insert(Caller { sees, ..caller });
            }
            pass(request, next).await
        }
        Err(error) => Ok(request.into_response(error.error_response())),
    }
}

async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// What somebody hears whose token does not grant a right.
fn forbid(right: Right) -> HttpError {
    let detail = format!(
        "the token does not grant `{right}`: use one whose scope is `all`, which `ocim token create` \
         makes"
    );
    Problem::new(ProblemType::Forbidden).detail(detail).into()
}

/// Who calls, and what the token allows.
async fn authenticate(api: &Api, request: &HttpRequest) -> Result<(Caller, Scope), HttpError> {
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
        sees: ReadScope::Everything,
        passes_holds: false,
    };
    Ok((caller, holder.scope))
}

/// Who calls, as events show it: `token:<name>`, or `local:<os user>` for the local commands.
fn actor(holder: &str, headers: &HeaderMap) -> String {
    if !holder.starts_with(LOCAL_PREFIX) {
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
        assert_eq!(actor("local:1", &named), "local:alice");
        assert_eq!(actor("deploy", &named), "token:deploy");
        let own = format!("local:{}", os_user());
        assert_eq!(actor("local:1", &HeaderMap::new()), own);
        assert_eq!(actor("local:1", &headers("ocim-local-user", "a b\\u202e")), own);
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
