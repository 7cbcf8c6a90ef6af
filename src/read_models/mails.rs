//! Mails, as the read model tells.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use chrono::{DateTime, Utc};
use ocim_projections::mails::columns as mail_columns;
use ocim_projections::row;

row! {
    /// A mail that Ocim sends.
    pub struct MailRow of mail_columns {
        id, about, instance, appserver, about_run, run, recipients, state, refused, reason,
        created_at, updated_at,
    }
}

impl Reads<'_> {
    /// At most `limit` mails, the newest first, of a state and about an instance where these are
    /// given; those after that one.
    pub async fn list_mails(
        &self,
        state: Option<&String>,
        instance: Option<&String>,
        limit: usize,
        after: Option<&String>,
    ) -> Result<Vec<MailRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("")
            .and_some("t.state = $", state)
            .and_some("t.instance = $", instance)
            .and_some(BEYOND, after)
            .end("t.created_at desc, t.id desc", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` mails that the mail server should have taken before that time, the oldest first.
    pub async fn list_late_mails(
        &self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<MailRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("")
            .and("t.state = 'waiting'")
            .and_value("t.created_at < $", &before)
            .end("t.created_at, t.id", &limit);
        self.rows(&clause).await
    }
}

/// The mails after that one: their ids do not sort by time.
const BEYOND: &str = "(t.created_at, t.id) < (select m.created_at, m.id from rm.mails as m \
    where m.id = $)";
