//! Every event, to be found by what it concerns. Protected values keep their place, not their text.

use crate::change::{RowChange, columns};
use crate::table::table;
use crate::{Index, Projector};
use ocim_domain::event::{DecodeError, Recorded, StreamId};
use ocim_domain::ids::{self, InstanceId, LedgerId};
use ocim_domain::protected::MARK;
use ocim_domain::text::make_storable;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What people see in place of a protected value.
pub const PROTECTED: &str = "<protected>";

table! {
    /// All events.
    EVENTS, columns = "events", key [position],
    indexes [
        Index::on("stream, position"),
        Index::on("kind, position"),
        Index::on("actor, position"),
        Index::on("correlation, position").only("correlation is not null"),
        Index::on("recorded_at"),
    ]
    {
        /// Where it stands in the log, as text.
        position: String,
        /// Whose event it is.
        stream: String,
        /// Its number in the stream, from 0.
        version: i64,
        /// Its own id.
        id: String,
        /// `noun.verb_past`.
        kind: String,
        /// The payload's schema number.
        schema: i32,
        /// The payload.
        data: Value,
        /// Who and why.
        meta: Value,
        /// Who did it.
        actor: String,
        /// The request or run that it belongs to.
        correlation: Option<String>,
        /// When the store took it.
        recorded_at: DateTime<Utc>,
    }
}

table! {
    /// Which things an event concerns: the one whose stream it is in, and all that its payload names.
    MENTIONS, mention_columns = "event_mentions", key [subject, position], indexes []
    {
        /// The id of the thing.
        subject: String,
        /// Where the event stands in the log.
        position: String,
    }
}

/// The read model of all events. It reads payloads as they are, so that none is poison to it.
pub const PROJECTOR: Projector = Projector {
    name: "history",
    version: 1,
    categories: &[],
    tables: &[EVENTS, MENTIONS],
    project,
};

#[expect(clippy::unnecessary_wraps, reason = "projectors share this shape")]
fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let position = recorded.position.to_string();
    let event = RowChange::put(
        EVENTS.name,
        columns! { position: position },
        columns! {
            stream: recorded.stream,
            version: recorded.version,
            id: recorded.id,
            kind: recorded.kind,
            schema: recorded.schema,
            data: without_text(&recorded.data),
            meta: without_text(&json!(recorded.meta)),
            actor: make_storable(&recorded.meta.actor),
            correlation: recorded.meta.correlation_id.as_deref().map(make_storable),
            recorded_at: recorded.recorded_at,
        },
    );
    let mentions = mentioned(recorded).into_iter().map(|subject| {
        RowChange::put(
            MENTIONS.name,
            columns! { subject: subject, position: position },
            columns! {},
        )
    });
    Ok(std::iter::once(event).chain(mentions).collect())
}

/// The ids of all things that an event concerns.
#[must_use]
pub fn mentioned(recorded: &Recorded) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([subject_of(&recorded.stream)]);
    collect_ids(&recorded.data, &mut ids);
    ids
}

/// The id, as people see it, of the thing whose stream it is.
#[must_use]
pub fn subject_of(stream: &StreamId) -> String {
    if stream.category() == LedgerId::CATEGORY {
        // What an instance has outside is told with the instance.
        return InstanceId(stream.id()).to_string();
    }
    let known = ids::ALL.iter().find(|(category, _)| *category == stream.category());
    known.map_or_else(|| stream.to_string(), |(_, prefix)| format!("{prefix}_{}", stream.id()))
}

fn collect_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_id(text) => {
            ids.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_ids(item, ids)),
        Value::Object(fields) if !fields.contains_key(MARK) => {
            fields.values().for_each(|field| collect_ids(field, ids));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {}
    }
}

fn is_id(text: &str) -> bool {
    text.split_once('_').is_some_and(|(prefix, uuid)| {
        ids::ALL.iter().any(|(_, known)| *known == prefix) && Uuid::try_parse(uuid).is_ok()
    })
}

/// A payload whose protected values are as if they had been shredded.
fn without_text(value: &Value) -> Value {
    match value {
        Value::Object(fields) => match fields.get(MARK) {
            Some(body) => json!({ MARK: { "subject": body["subject"] } }),
            None => fields
                .iter()
                .map(|(k, v)| (make_storable(k).into_owned(), without_text(v)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(without_text).collect(),
        Value::String(text) => Value::String(make_storable(text).into_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A payload for people: every protected value, sealed or not, is [`PROTECTED`].
#[must_use]
pub fn hide_protected(value: Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key(MARK) => Value::String(PROTECTED.to_owned()),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, field)| (name, hide_protected(field))).collect()
        }
        Value::Array(items) => items.into_iter().map(hide_protected).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::protected::Protected;

    #[test]
    fn protected_values_keep_their_place_and_lose_their_text() {
        let open = json!({"a": [Protected::new("inst_7", "hunter2")], "b": "x\0y"});
        let stored = without_text(&open);
        assert_eq!(stored, json!({"a": [{MARK: {"subject": "inst_7"}}], "b": "x\u{fffd}y"}));
        assert_eq!(hide_protected(open), json!({"a": [PROTECTED], "b": "x\0y"}));
        assert_eq!(hide_protected(stored)["a"], json!([PROTECTED]));
    }

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let uuid = "00000000-0000-7000-8000-000000000001";
        let data = json!({
            "run": format!("run_{uuid}"), "lists": [[format!("apps_{uuid}")]],
            "text": format!("about run_{uuid}"), "other": format!("thing_{uuid}"),
            "secret": Protected::new(format!("inst_{uuid}"), format!("serv_{uuid}")),
        });
        let mut ids = BTreeSet::new();
        collect_ids(&data, &mut ids);
        assert_eq!(ids, BTreeSet::from([format!("apps_{uuid}"), format!("run_{uuid}")]));
    }
}
