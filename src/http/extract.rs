//! What handlers take apart: bodies, queries, paths and headers, each refused with a problem.

use super::problem::{HttpError, bad_request, invalid};
use super::strict_json::StrictJson;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, IF_MATCH};
use actix_web::web::{Bytes, BytesMut, PathConfig};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, Ready, ready};
use ocim_api_spec::{Problem, ProblemType};
use ocim_domain::text::{NUL_RULE, TIME_RULE, find_unstorable, is_storable_time};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::time::Duration;

/// Largest body that is read, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;
/// Longest text that is looked for, in characters.
const SEARCH_CHARS_MAX: usize = 1_000;
/// Longest wait for a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body; an empty one counts as `{}`.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = HttpError;
    type Future = LocalBoxFuture<'static, Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request.content_type());
        let coding = content_coding(request.headers());
        let announced = announced_length(request.headers());
        let payload = payload.take();
        let needs_body = request.method() == Method::PATCH;
        Box::pin(async move {
            let bytes = read_whole(announced, payload).await?;
            if bytes.is_empty() && needs_body {
                let detail = "send what is to change as a JSON object";
                return Err(Problem::new(ProblemType::BadRequest).detail(detail).into());
            }
            if bytes.is_empty() {
                return parse_json(b"{}").map(Self);
            }
            if let Some(coding) = coding {
                let detail = format!("send the body as it is: `{coding}` is not decoded here");
                return Err(Problem::new(ProblemType::UnsupportedMediaType).detail(detail).into());
            }
            if !is_json {
                let detail = "send the body as application/json";
                return Err(Problem::new(ProblemType::UnsupportedMediaType).detail(detail).into());
            }
            parse_json(&bytes).map(Self)
        })
    }
}

/// How the body is coded, e.g. `gzip`; nothing where it comes as it is.
fn content_coding(headers: &HeaderMap) -> Option<String> {
    let codings = headers.get_all(CONTENT_ENCODING);
    let mut codings = codings.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    codings.find(|coding| !coding.trim().eq_ignore_ascii_case("identity"))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Reads a body whole, within its limits of size and time.
///
/// # Errors
/// When it is too large, takes too long, or breaks off.
pub(super) async fn read_whole(
    announced: Option<usize>,
    payload: Payload,
) -> Result<Bytes, HttpError> {
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    tokio::time::timeout(BODY_TIMEOUT, read_body(payload))
        .await
        .map_err(|_| HttpError::from(Problem::new(ProblemType::RequestTimeout)))?
}

/// The length of the body, as its sender announces it.
pub(super) fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large() -> HttpError {
    let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
    Problem::new(ProblemType::TooLarge).detail(detail).into()
}

async fn read_body(mut payload: Payload) -> Result<Bytes, HttpError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Incomplete(_) => bad_request("body", "ends before its announced length"),
            error => bad_request("body", error.to_string()),
        })?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    if let Some(field) = find_unstorable_field(bytes) {
        return Err(invalid(&field, NUL_RULE));
    }
    // Serde would take an array for a struct's fields in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(invalid("body", "must be a JSON object"));
    }
    let StrictJson = deserialize_json(bytes).map_err(|(field, error)| match error.classify() {
        Category::Data => bad_request(&field, error.to_string()),
        Category::Io | Category::Syntax | Category::Eof => bad_request("body", error.to_string()),
    })?;
    deserialize_json(bytes).map_err(|(field, error)| invalid(&field, error.to_string()))
}

/// The value, or the field that it can't be read at.
fn deserialize_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, (String, serde_json::Error)> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        (field, error.into_inner())
    })?;
    reader.end().map_err(|error| ("body".to_owned(), error))?;
    Ok(value)
}

/// The field of a body that holds what nothing can store. JSON can only spell it as an escape.
fn find_unstorable_field(bytes: &[u8]) -> Option<String> {
    let has_escape = bytes.windows(6).any(|window| window == b"\\u0000");
    find_unstorable(&has_escape.then(|| serde_json::from_slice(bytes).ok())??)
}

/// The query's parameters.
#[derive(Debug)]
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = HttpError;
    type Future = Ready<Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self))
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, HttpError> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    if let Some((name, _)) = pairs().find(|(_, text)| text.contains('\0')) {
        return Err(bad_request(&name, NUL_RULE));
    }
    let reader = serde_urlencoded::Deserializer::new(pairs());
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "query" } else { &path };
        bad_request(field, explain_number(error.inner().to_string()))
    })
}

/// Rust's words about a text that is no number, in words for whoever sent it.
fn explain_number(rule: String) -> String {
    match rule.as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number, 0 or more, in digits".to_owned()
        }
        "number too large to fit in target type" => "the number is too large".to_owned(),
        _ => rule,
    }
}

/// Reads a flag of a query: `?queue=true` and `?queue=1` say yes.
///
/// # Errors
/// For anything but those, `false` and `0`.
pub(super) fn read_flag<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<bool, D::Error> {
    let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
    match &*text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(serde::de::Error::custom("must be `true` or `false`")),
    }
}

/// Reads a flag of a query that may be left open: `true`, `1`, `false` and `0` choose.
///
/// # Errors
/// For anything else.
pub(super) fn read_choice<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    read_flag(deserializer).map(Some)
}

/// Reads a text of a query that something is looked for by.
///
/// # Errors
/// For one that is longer than anything that could be found.
pub(super) fn read_search_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text: Option<String> = serde::Deserialize::deserialize(deserializer)?;
    match text {
        Some(text) if text.chars().count() > SEARCH_CHARS_MAX => Err(serde::de::Error::custom(
            format!("must have at most {SEARCH_CHARS_MAX} characters"),
        )),
        text => Ok(text),
    }
}

/// Reads a time of a query, of the years that the database knows.
///
/// # Errors
/// For anything but RFC 3339, or a time beyond them.
pub(super) fn read_time<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let time: Option<DateTime<Utc>> = serde::Deserialize::deserialize(deserializer)?;
    match time {
        Some(time) if !is_storable_time(time) => Err(serde::de::Error::custom(TIME_RULE)),
        time => Ok(time),
    }
}

/// Refuses ids that are not of the route's form: nothing has such an id.
pub(super) fn path_config() -> PathConfig {
    PathConfig::default().error_handler(|error, _| {
        let text = error.to_string();
        // Actix puts its own words before ours.
        let rule = text.find('`').map_or(text.as_str(), |start| &text[start..]);
        HttpError::from(Problem::new(ProblemType::NotFound).error("id", rule)).into()
    })
}

/// The version in `If-Match`; `None` when there is no such header, or any version will do (`*`).
///
/// # Errors
/// When it is not one strong `ETag` of ours.
pub(super) fn read_if_match(headers: &HeaderMap) -> Result<Option<u64>, HttpError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| bad_request("If-Match", "must be one ETag as Ocim sent it, or `*`"))
}

/// The `ETag` of a version.
#[must_use]
pub(super) fn write_etag(version: i64) -> String {
    format!("\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use ocim_api_spec::LaunchAppserver;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        limit: usize,
        #[serde(deserialize_with = "read_flag")]
        follow: bool,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { limit: 50, follow: false }
        }
    }

    fn errors(error: &HttpError) -> (u16, Vec<&str>) {
        (error.0.status, error.0.errors.iter().map(|error| error.field.as_str()).collect())
    }

    #[test]
    fn a_body_that_breaks_a_rule_names_the_field() {
        let parse = parse_json::<LaunchAppserver>;
        assert!(parse(br#"{"queue": true}"#).unwrap().queue);
        assert_eq!(errors(&parse(br#"{"queue": 3}"#).unwrap_err()), (422, vec!["queue"]));
        assert_eq!(errors(&parse(br#"{"quue": true}"#).unwrap_err()), (422, vec!["quue"]));
        assert_eq!(errors(&parse(b"[]").unwrap_err()), (422, vec!["body"]));
        assert_eq!(errors(&parse(b"{\"queue\"").unwrap_err()), (400, vec!["body"]));
        assert_eq!(errors(&parse(b"{} {}").unwrap_err()), (400, vec!["body"]));
        let twice = parse(br#"{"queue": true, "queue": false}"#).unwrap_err();
        assert_eq!(errors(&twice).0, 400, "{twice:?}");
        assert_eq!(errors(&parse(br#"{"queue": 1e99}"#).unwrap_err()), (400, vec!["queue"]));
    }

    #[test]
    fn what_nothing_can_store_names_its_field() {
        let parse = parse_json::<serde_json::Value>;
        for (body, field) in [
            (r#"{"reason": "a\u0000"}"#, "reason"),
            (r#"{"flavor": {"a\u0000": 1}}"#, "flavor.a\u{fffd}"),
            (r#"{"groups": ["a", "\u0000"]}"#, "groups[1]"),
        ] {
            assert_eq!(errors(&parse(body.as_bytes()).unwrap_err()), (422, vec![field]), "{body}");
        }
        assert!(parse(br#"{"a": "\\u0000"}"#).is_ok(), "an escaped backslash");
        let error = parse_query::<Sample>("follow=%00").unwrap_err();
        assert_eq!(errors(&error), (400, vec!["follow"]));
    }

    #[test]
    fn a_query_that_breaks_a_rule_names_the_parameter() {
        let sample: Sample = parse_query("limit=7&follow=1").unwrap();
        assert_eq!((sample.limit, sample.follow), (7, true));
        let wrong = [
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("follow=maybe", "follow"),
            ("lmit=3", "lmit"),
            ("limit=3&name=a%00", "name"),
        ];
        for (query, field) in wrong {
            let error = parse_query::<Sample>(query).unwrap_err();
            assert_eq!(errors(&error), (400, vec![field]), "{query}");
        }
    }

    #[test]
    fn if_match_takes_one_strong_etag() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, HeaderValue::from_static(text));
            read_if_match(&headers)
        };
        assert_eq!(read_if_match(&HeaderMap::new()), Ok(None));
        assert_eq!(read("*"), Ok(None));
        assert_eq!(read("\"12\""), Ok(Some(12)));
        assert_eq!(write_etag(12), "\"12\"");
        for wrong in ["12", "W/\"12\"", "\"1\", \"2\"", "\"x\""] {
            assert_eq!(errors(&read(wrong).unwrap_err()), (400, vec!["If-Match"]), "{wrong}");
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        assert!(is_json("application/json; charset=utf-8"));
        assert!(is_json("Application/Merge-Patch+JSON"));
        assert!(!is_json("text/plain"));
        assert!(!is_json(""));
    }
}
