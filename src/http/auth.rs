//! Who is calling: a bearer token, or a 401.

use super::Api;
use super::problem::HttpError;
use super::trace::RequestId;
use crate::app::Caller;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, ResponseError};
use ocim_api_spec::{Problem, ProblemType};

/// Lets a request through that bears a valid token, and tells the handler who calls.
pub(super) async fn require_token(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match authenticate(&api, &request).await {
        Ok(caller) => {
            tracing::Span::current().record("actor", &caller.actor);
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(error) => Ok(request.into_response(error.error_response())),
    }
}

async fn authenticate(api: &Api, request: &ServiceRequest) -> Result<Caller, HttpError> {
    let refuse =
        |detail: &str| HttpError::from(Problem::new(ProblemType::Unauthorized).detail(detail));
    let Some(token) = bearer(request.headers()) else {
        return Err(refuse(
            "send a token as `Authorization: Bearer …`; `ocim token create` makes one",
        ));
    };
    let Some(holder) = api.tokens.find_holder(token).await? else {
        return Err(refuse("the token is not known here, or has expired"));
    };
    Ok(Caller {
        actor: format!("token:{}", holder.name),
        source_ip: request.peer_addr().map(|address| address.ip().to_string()),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
        traceparent: traceparent(request.headers()).map(str::to_owned),
        reason: None,
        command: None,
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The W3C trace context, if it has the form of one.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let is_hex = |part: &str, length| {
        part.len() == length && part.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    };
    let mut parts = text.split('-');
    let fits = [2, 32, 16, 2].into_iter().all(|n| parts.next().is_some_and(|part| is_hex(part, n)));
    (fits && parts.next().is_none()).then_some(text)
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
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&headers("authorization", "Bearer abc")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "bearer abc ")), Some("abc"));
        assert_eq!(bearer(&headers("authorization", "Basic abc")), None);
        assert_eq!(bearer(&headers("authorization", "abc")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn only_a_well_formed_trace_context_is_taken_over() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(&headers("traceparent", good)), Some(good));
        for wrong in ["00-0af7-b7ad-01", "00", "'; drop table--", ""] {
            assert_eq!(traceparent(&headers("traceparent", wrong)), None, "{wrong}");
        }
    }
}
