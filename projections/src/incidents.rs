//! Incidents: what was paused and which provider kept failing, each with its beginning and its end.

use crate::change::{RowChange, columns};
use crate::table::{Index, table};
use crate::{Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::IncidentId;
use ocim_domain::incident::{Event, Subject};

table! {
    /// Incidents.
    INCIDENTS, columns = "incidents", key [incident, number],
    indexes [Index::on("event"), Index::on("event, incident").only("ended_at is null")]
    {
        /// `incd_…`: of all incidents of its kind and subject.
        incident: String,
        /// Its number among those, from 1.
        number: i64,
        /// Where the event stands in the log that it began with.
        event: String,
        /// `pause` or `outage`.
        trouble: String,
        /// `all`, `region` or `provider`.
        about: String,
        /// The region or the provider.
        name: Option<String>,
        /// Why.
        reason: String,
        /// Who has said so.
        actor: String,
        /// When it ends by itself.
        until: Option<DateTime<Utc>>,
        /// So many runs a minute go on, once they do.
        rate: Option<i64>,
        /// When it began.
        began_at: DateTime<Utc>,
        /// When it ended.
        ended_at: Option<DateTime<Utc>>,
        /// Who ended it.
        ended_by: Option<String>,
    }
}

/// The read model of incidents.
pub const PROJECTOR: Projector = Projector {
    name: "incidents",
    version: 1,
    categories: &[IncidentId::CATEGORY],
    tables: &[INCIDENTS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let id = IncidentId(recorded.stream.id());
    let (at, actor) = (recorded.recorded_at, recorded.meta.actor.as_str());
    let key = |number: u32| columns! { incident: id, number: number };
    Ok(vec![match event {
        Event::Began { number, trouble, subject, reason, until } => {
            let (about, name) = describe(&subject);
            let row = columns! {
                event: recorded.position.to_string(), trouble: trouble.name(), about: about, name: name, reason: reason, actor: actor,
                until: until, rate: None::<i64>, began_at: at, ended_at: None::<String>,
                ended_by: None::<String>,
            };
            RowChange::put(INCIDENTS.name, key(number), row)
        }
        Event::Changed { number, reason, until } => RowChange::update(
            INCIDENTS.name,
            key(number),
            columns! { reason: reason, until: until, rate: None::<i64> },
        ),
        Event::Eased { number, rate, until, .. } => {
            RowChange::update(INCIDENTS.name, key(number), columns! { rate: rate, until: until })
        }
        Event::Ended { number } => RowChange::update(
            INCIDENTS.name,
            key(number),
            columns! { ended_at: at, ended_by: actor },
        ),
    }])
}

/// What it is about, and its name.
fn describe(subject: &Subject) -> (&'static str, Option<&str>) {
    match subject {
        Subject::All => ("all", None),
        Subject::Region(name) => ("region", Some(name)),
        Subject::Provider(name) => ("provider", Some(name)),
    }
}
