//! All events as the API reads them: by stream, kind, actor, time and what they concern.

use super::{QueryError, Reads, limit_value};
use chrono::{DateTime, Utc};
use ocim_domain::event::{Metadata, Position, Recorded, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// One event. Protected values are without their texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Where it stands in the log, as text.
    pub position: String,
    /// Whose event it is.
    pub stream: StreamId,
    /// Its number in the stream, from 0.
    pub version: u64,
    /// Its own id.
    pub id: Uuid,
    /// `noun.verb_past`.
    pub kind: String,
    /// The payload's schema number.
    pub schema: u16,
    /// The payload.
    pub data: Value,
    /// Who and why.
    pub meta: Metadata,
    /// When the store took it.
    pub recorded_at: DateTime<Utc>,
}

impl EventRow {
    /// The event, as one reads it from the log.
    #[must_use]
    pub fn into_recorded(self) -> Recorded {
        Recorded {
            position: self.position.parse().unwrap_or_default(),
            stream: self.stream,
            version: self.version,
            id: self.id,
            kind: self.kind,
            schema: self.schema,
            data: self.data,
            meta: self.meta,
            recorded_at: self.recorded_at,
        }
    }
}

/// Which events one wants; what is left out admits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those of this stream.
    pub stream: Option<StreamId>,
    /// Only those of these kinds; all where none is named.
    pub kinds: Vec<String>,
    /// Only those of this actor, e.g. `token:alice`.
    pub actor: Option<String>,
    /// Only those of this request or run.
    pub correlation: Option<String>,
    /// Only those from then on.
    pub since: Option<DateTime<Utc>>,
    /// Only those before.
    pub until: Option<DateTime<Utc>>,
}

impl EventQuery {
    /// Whether an event is wanted.
    #[must_use]
    pub fn admits(&self, event: &Recorded) -> bool {
        self.stream.as_ref().is_none_or(|stream| *stream == event.stream)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.actor.as_ref().is_none_or(|actor| *actor == event.meta.actor)
            && self
                .correlation
                .as_ref()
                .is_none_or(|it| Some(it) == event.meta.correlation_id.as_ref())
            && self.since.is_none_or(|since| event.recorded_at >= since)
            && self.until.is_none_or(|until| event.recorded_at < until)
    }
}

/// Which end of the log comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest event.
    #[default]
    NewestFirst,
    /// The oldest event.
    OldestFirst,
}

impl Order {
    /// The comparison that finds what comes after, and the direction of the sort.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::NewestFirst => ("<", "desc"),
            Self::OldestFirst => (">", "asc"),
        }
    }
}

impl Reads<'_> {
    /// At most `limit` of the wanted events, those after `after` in this order.
    ///
    /// # Errors
    /// [`QueryError`] without a database; so for every query below.
    pub async fn list_events(
        &self,
        query: &EventQuery,
        order: Order,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Vec<EventRow>, QueryError> {
        let (beyond, direction) = order.sql();
        let stream = query.stream.as_ref().map(ToString::to_string);
        let kinds = (!query.kinds.is_empty()).then_some(&query.kinds);
        let after = after.map(|position| position.to_string());
        let limit = limit_value(limit);
        let beyond = format!("position {beyond} $");
        let wanted = [
            ("stream = $", parameter(stream.as_ref())),
            ("actor = $", parameter(query.actor.as_ref())),
            ("correlation = $", parameter(query.correlation.as_ref())),
            ("recorded_at >= $", parameter(query.since.as_ref())),
            ("recorded_at < $", parameter(query.until.as_ref())),
            (&beyond, parameter(after.as_ref())),
        ];
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&limit];
        let mut conditions = "true".to_owned();
        // Each combination is a statement of its own, so that the planner may use an index.
        for (condition, value) in wanted {
            if let Some(value) = value {
                parameters.push(value);
                conditions.push_str(" and ");
                conditions.push_str(&condition.replace('$', &format!("${}", parameters.len())));
            }
        }
        let ordered = format!("order by position {direction} limit $1::bigint");
        let mut sql = format!("select * from rm.events where {conditions} {ordered}");
        if let Some(kinds) = &kinds {
            // So many of each kind by its index, and of those the first.
            parameters.push(kinds);
            let place = parameters.len();
            sql = format!(
                "select e.* from (select distinct unnest(${place}::text[]) as kind) as k cross join lateral \
                 (select * from rm.events where kind = k.kind and {conditions} {ordered}) as e \
                 {ordered}"
            );
        }
        self.query(&sql, &parameters).await
    }

    /// At most `limit` of the events that concern an instance, appserver or run, with all that
    /// belongs to it; those after `after` in this order.
    pub async fn list_timeline(
        &self,
        subject: &str,
        order: Order,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Vec<EventRow>, QueryError> {
        let after = after.map(|position| position.to_string());
        self.query(&timeline_sql(order), &[&subject, &limit_value(limit), &after]).await
    }

    /// What people call the things with these ids; those that have no name are left out.
    pub async fn read_names(&self, ids: &[String]) -> Result<BTreeMap<String, String>, QueryError> {
        let rows: Vec<NameRow> = self.query(NAMES, &[&ids]).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
    }
}

/// The query behind a timeline, of a subject, a limit and the position after which it begins.
///
/// It starts from the mentions of the subject and of what belongs to it, each by the index, whatever
/// the statistics say of the whole log.
#[must_use]
pub fn timeline_sql(order: Order) -> String {
    let (beyond, direction) = order.sql();
    format!(
        "with subjects as (
            select $1::text as id
            union all select id from rm.appservers where instance = $1),
              mine as (
            select id from subjects
            union select s.id from subjects cross join lateral (
                select id from rm.servers where appserver = subjects.id offset 0) as s
            union select r.id from subjects cross join lateral (
                select id from rm.runs where subject = subjects.id offset 0) as r),
              mentioned as materialized (
            select distinct m.position from mine cross join lateral (
                select position from rm.event_mentions where subject = mine.id
                   and ($3::text is null or position {beyond} $3)
                 order by position {direction} limit $2::bigint) as m
             order by m.position {direction} limit $2::bigint)
         select e.* from mentioned cross join lateral (
            select * from rm.events where position = mentioned.position offset 0) as e
         order by e.position {direction}"
    )
}

fn parameter<T: ToSql + Sync>(value: Option<&T>) -> Option<&(dyn ToSql + Sync)> {
    value.map(|value| value as &(dyn ToSql + Sync))
}

#[derive(Debug, Deserialize)]
struct NameRow {
    id: String,
    name: String,
}

const NAMES: &str = "
select id, name from rm.instances where id = any ($1)
union all select id, 'AppServer ' || number from rm.appservers where id = any ($1)
union all select id, name from rm.servers where id = any ($1)
union all select id, domain from rm.load_balancers where id = any ($1)
union all select id, name from rm.shared_servers where id = any ($1)
union all select r.id, r.definition || coalesce(' of AppServer ' || a.number, '')
            from rm.runs as r left join rm.appservers as a on a.id = r.subject
           where r.id = any ($1)";
