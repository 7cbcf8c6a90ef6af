//! What a GET would answer, without its body: to HEAD, and to who has it already (304).

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers HEAD wherever GET is answered, and 304 to an `If-None-Match` that holds.
pub(super) async fn leave_out_body(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_head = *request.method() == Method::HEAD;
    if is_head {
        request.head_mut().method = Method::GET;
    }
    let is_read = *request.method() == Method::GET;
    let known = request.headers().get(IF_NONE_MATCH).cloned().filter(|_| is_read);
    let mut response = next.call(request).await?.map_into_boxed_body();
    let is_known = known.is_some_and(|known| {
        response.status() == StatusCode::OK
            && known.to_str().is_ok_and(|known| admits(known, response.headers()))
    });
    if is_known {
        *response.response_mut().status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_TYPE);
        return Ok(response.map_body(|_, _| BoxBody::new(())));
    }
    if is_head {
        return Ok(response.map_body(|_, body| BoxBody::new(LeftOut(body.size()))));
    }
    Ok(response)
}

/// Whether an `If-None-Match` names the answer's `ETag`; weakly, as RFC 9110 has it.
fn admits(known: &str, headers: &HeaderMap) -> bool {
    let Some(etag) = headers.get(ETAG).and_then(|etag| etag.to_str().ok()) else { return false };
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.split(',').any(|tag| tag.trim() == "*" || strong(tag) == strong(etag))
}

/// A body that is not sent, though its length is told.
struct LeftOut(BodySize);

impl MessageBody for LeftOut {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn an_etag_is_known_alone_weak_or_in_a_list() {
        let mut headers = HeaderMap::new();
        assert!(!admits("*", &headers));
        headers.insert(ETAG, HeaderValue::from_static("\"7\""));
        for known in ["\"7\"", "W/\"7\"", "\"5\", \"7\"", "*"] {
            assert!(admits(known, &headers), "{known}");
        }
        for unknown in ["\"77\"", "7", ""] {
            assert!(!admits(unknown, &headers), "{unknown}");
        }
    }
}
