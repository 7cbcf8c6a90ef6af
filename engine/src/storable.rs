//! What the journal refuses before it is appended: texts that no read model could keep.

use ocim_domain::event::{Metadata, NewEvent, PAYLOAD_DEPTH_MAX};
use ocim_domain::protected::MARK;
use ocim_domain::text::{NUL_RULE, check_note, find_unstorable, nests_within};
use serde_json::json;

/// Longest text beside an event that is no reason, in bytes; some of them are indexed.
const META_BYTES_MAX: usize = 1_000;

/// A text, key or note of an event that can't be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct Unstorable {
    /// The field, as people gave it.
    pub field: String,
    /// What it breaks.
    pub rule: String,
}

impl Unstorable {
    fn new(field: &str, rule: impl Into<String>) -> Self {
        Self { field: field.to_owned(), rule: rule.into() }
    }
}

/// Refuses an event of which any text, key, or note can't be stored or shown again.
///
/// # Errors
/// [`Unstorable`] with the field and its rule.
pub fn check_storable(event: &NewEvent) -> Result<(), Unstorable> {
    check_meta(&event.meta)?;
    if !nests_within(&event.data, PAYLOAD_DEPTH_MAX) {
        return Err(Unstorable::new("body", format!("nests deeper than {PAYLOAD_DEPTH_MAX}")));
    }
    match find_unstorable(&event.data) {
        Some(path) => Err(Unstorable::new(&field_of(&path), NUL_RULE)),
        None => Ok(()),
    }
}

/// Refuses a reason that says nothing, can't be stored, or is longer than reasons are.
///
/// # Errors
/// [`Unstorable`].
pub fn check_reason(reason: &str) -> Result<(), Unstorable> {
    check_note(reason).map_err(|rule| Unstorable::new("reason", rule))
}

fn check_meta(meta: &Metadata) -> Result<(), Unstorable> {
    meta.reason.as_deref().map_or(Ok(()), check_reason)?;
    let others = Metadata { reason: None, ..meta.clone() };
    if let Some(path) = find_unstorable(&json!(others)) {
        return Err(Unstorable::new(&path, NUL_RULE));
    }
    let texts = [Some(&meta.actor), meta.correlation_id.as_ref(), meta.causation_id.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > META_BYTES_MAX) {
        let rule = format!("has an actor or cause of more than {META_BYTES_MAX} bytes");
        return Err(Unstorable::new("request", rule));
    }
    Ok(())
}

/// The field as people gave it: settings stand in a field of their own, protected texts under a
/// mark.
fn field_of(path: &str) -> String {
    let path = path.strip_prefix("settings.").unwrap_or(path);
    path.split(&format!(".{MARK}")).next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::protected::Protected;
    use ocim_domain::text::NOTE_CHARS_MAX;
    use serde_json::Value;
    use uuid::Uuid;

    fn event(data: Value, meta: Metadata) -> NewEvent {
        NewEvent { id: Uuid::nil(), kind: "test.happened".to_owned(), schema: 1, data, meta }
    }

    fn broken(data: Value, meta: Metadata) -> Option<(String, String)> {
        match check_storable(&event(data, meta)) {
            Ok(()) => None,
            Err(Unstorable { field, rule }) => Some((field, rule)),
        }
    }

    #[test]
    fn every_text_of_a_payload_is_looked_at() {
        let meta = || Metadata::by("token:ci");
        let nul = Some(NUL_RULE.to_owned());
        for (data, field) in [
            (json!({"settings": {"flavor": {"a": "\0"}}}), "flavor.a"),
            (json!({"settings": {"flavor": {"a\0": 1}}}), "flavor.a\u{fffd}"),
            (json!({"settings": {"email": Protected::new("inst_1", "\0")}}), "email"),
            (json!({"groups": ["web", "x\0"]}), "groups[1]"),
        ] {
            let found = broken(data, meta());
            assert_eq!(found.clone().map(|(field, _)| field), Some(field.to_owned()));
            assert_eq!(found.map(|(_, rule)| rule), nul);
        }
        let deep = (0..=PAYLOAD_DEPTH_MAX).fold(json!(1), |value, _| json!([value]));
        assert!(broken(deep, meta()).is_some());
        assert_eq!(broken(json!({"a": "\\u0000 \u{fffd}"}), meta()), None);
    }

    #[test]
    fn every_text_beside_a_payload_is_looked_at() {
        let text = || Some("x\0".to_owned());
        let by = || Metadata::by("token:ci");
        for meta in [
            Metadata::by("token:\0"),
            Metadata { correlation_id: text(), ..by() },
            Metadata { causation_id: text(), ..by() },
            Metadata { traceparent: text(), ..by() },
            Metadata { source_ip: text(), ..by() },
            Metadata { reason: text(), ..by() },
            Metadata { reason: Some("x".repeat(NOTE_CHARS_MAX + 1)), ..by() },
            Metadata::by("x".repeat(META_BYTES_MAX + 1)),
        ] {
            assert!(broken(json!({}), meta.clone()).is_some(), "{meta:?}");
        }
        let reason = Some("x".repeat(NOTE_CHARS_MAX));
        assert_eq!(broken(json!({}), Metadata { reason, ..by() }), None);
    }
}
