//! `Idempotency-Key`: a POST that is sent again gets the first answer again, byte for byte.

use super::Api;
use super::extract::{announced_length, read_whole};
use super::problem::{HttpError, bad_request};
use crate::app::Caller;
use crate::app::idempotency::{Claim, KEY_BYTES_MAX, StoredAnswer};
use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::stream;
use ocim_api_spec::{Problem, ProblemType};
use sha2::{Digest, Sha256};

/// The header that brings a key.
pub(super) const KEY_HEADER: &str = "Idempotency-Key";
/// Says that the answer is the one of an earlier request.
pub(super) const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Marks an answer that holds a secret, which is kept nowhere: a repetition does not hear it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownOnce;

/// A request with a key, on its way.
struct Keyed {
    caller: String,
    key: String,
}

/// Carries a POST with a key out once. Without a key, every request counts for itself.
pub(super) async fn answer_once(
    api: Data<Api>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let caller = request.extensions().get::<Caller>().cloned();
    let (Some(caller), true) = (caller, *request.method() == Method::POST) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let keyed = match read_key(request.headers()) {
        Ok(Some(key)) => Keyed { caller: caller.actor.clone(), key },
        Ok(None) => return Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => return Ok(request.into_response(error.error_response())),
    };
    match claim(&api, &mut request, &keyed).await {
        Ok(Claim::Ours(command)) => {
            request.extensions_mut().insert(Caller { command: Some(command), ..caller });
            let answer = next.call(request).await?.map_into_boxed_body();
            settle(&api, &keyed, answer).await
        }
        Ok(Claim::Answered(stored)) => Ok(request.into_response(replay(&stored))),
        Ok(Claim::UnderWay { retry_after_s }) => {
            let detail = "the same request is being carried out: repeat it in a moment";
            let problem = Problem::new(ProblemType::IdempotencyKeyInUse).detail(detail);
            let error = HttpError::from(problem.retry_after_s(retry_after_s));
            Ok(request.into_response(error.error_response()))
        }
        Ok(Claim::Mismatch) => {
            let detail = "send a new key along with a new request; a key stands for one method, \
                          address and body";
            let problem = Problem::new(ProblemType::IdempotencyKeyReused).detail(detail);
            Ok(request.into_response(HttpError::from(problem).error_response()))
        }
        Err(error) => Ok(request.into_response(error.error_response())),
    }
}

/// The key: a quoted string as the draft has it, or the same without quotes.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if (1..=KEY_BYTES_MAX).contains(&bare.len()) && bare.bytes().all(is_plain) {
        return Ok(Some(bare.to_owned()));
    }
    let rule = format!("must be 1 to {KEY_BYTES_MAX} visible ASCII characters, e.g. a UUID");
    Err(bad_request(KEY_HEADER, rule))
}

/// Reads the body, to know the request again by it, and puts it back for the handler.
async fn claim(api: &Api, request: &mut ServiceRequest, keyed: &Keyed) -> Result<Claim, HttpError> {
    let body = read_whole(announced_length(request.headers()), request.take_payload()).await?;
    let fingerprint = fingerprint(request, &body);
    let body = Box::pin(stream::iter([Ok(body)]));
    request.set_payload(Payload::Stream { payload: body });
    Ok(api.idempotency.claim(&keyed.caller, &keyed.key, &fingerprint).await?)
}

fn fingerprint(request: &ServiceRequest, body: &Bytes) -> [u8; 32] {
    let mut digest = Sha256::new();
    let uri = request.uri().to_string();
    for part in [request.method().as_str().as_bytes(), uri.as_bytes(), body] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// Keeps the answer for repetitions; one that asks to be repeated leaves the key free instead.
async fn settle(
    api: &Api,
    keyed: &Keyed,
    answer: ServiceResponse<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_final = is_final(answer.response());
    let (request, answer) = answer.into_parts();
    let (head, body) = answer.into_parts();
    let body = to_bytes(body).await.map_err(Error::from)?;
    let Keyed { caller, key } = keyed;
    let kept = if is_final {
        let stored = StoredAnswer {
            status: head.status().as_u16(),
            headers: texts(head.headers()),
            body: body.to_vec(),
        };
        api.idempotency.store_answer(caller, key, &stored).await
    } else {
        api.idempotency.release(caller, key).await
    };
    if let Err(error) = kept {
        // A repetition finds what this request did by the ids that follow from the key.
        tracing::warn!(
            error = ocim_domain::error_chain::chain(&error),
            "an answer could not be kept"
        );
    }
    Ok(ServiceResponse::new(request, head.set_body(body).map_into_boxed_body()))
}

/// Whether a repetition would only hear the same, and may.
fn is_final(answer: &HttpResponse<BoxBody>) -> bool {
    let problem = answer.error().and_then(|error| error.as_error::<HttpError>());
    let asks_to_repeat = problem.is_some_and(|it| it.0.kind == ProblemType::VersionConflict);
    let status = answer.status();
    let is_secret = answer.extensions().contains::<ShownOnce>();
    !is_secret
        && !status.is_server_error()
        && status != StatusCode::REQUEST_TIMEOUT
        && !asks_to_repeat
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
        .collect()
}

fn replay(stored: &StoredAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &stored.headers {
        answer.append_header((name.as_str(), value.as_str()));
    }
    answer.insert_header((REPLAYED_HEADER, "true"));
    answer.body(stored.body.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<String>, HttpError> {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("idempotency-key");
        headers.insert(name, HeaderValue::from_str(text).unwrap());
        read_key(&headers)
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        assert_eq!(read_key(&HeaderMap::new()), Ok(None));
        assert_eq!(read("\"8e03978e-40d5\""), Ok(Some("8e03978e-40d5".to_owned())));
        assert_eq!(read("8e03978e-40d5"), read("\"8e03978e-40d5\""));
        for wrong in ["", "\"\"", "a b", "a\"b", &"x".repeat(KEY_BYTES_MAX + 1)] {
            assert_eq!(read(wrong).unwrap_err().0.status, 400, "{wrong}");
        }
    }
}
