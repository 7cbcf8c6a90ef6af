//! Incidents as the API reads them.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use ocim_projections::incidents::columns as incident_columns;
use ocim_projections::row;

row! {
    /// An incident.
    pub struct IncidentRow of incident_columns {
        incident, number, event, trouble, about, name, reason, actor, until, rate, began_at,
        ended_at, ended_by,
    }
}

impl Reads<'_> {
    /// At most `limit` incidents that are open or over, newest first, those before the event `after`.
    pub async fn list_incidents(
        &self,
        is_open: Option<bool>,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<IncidentRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("").and_some("t.event < $", after.as_ref());
        let clause = match is_open {
            None => clause,
            Some(true) => clause.and("t.ended_at is null"),
            Some(false) => clause.and("t.ended_at is not null"),
        };
        self.rows(&clause.end("t.event desc", &limit)).await
    }

    /// The newest incident of one kind and subject.
    pub async fn read_incident(&self, id: &str) -> Result<Option<IncidentRow>, QueryError> {
        let limit = limit_value(1);
        let clause = Clause::new("").and_value("t.incident = $", &id).end("t.number desc", &limit);
        Ok(self.rows(&clause).await?.into_iter().next())
    }
}
