//! Servers that sites share, as the API reads them.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use ocim_projections::row;
use ocim_projections::shared_servers::columns;

row! {
    /// A server, with those that use it.
    pub struct SharedServerRow of columns {
        id, kind, name, description, address, url, username, accepts_new_clients, retired_at,
        created_at, updated_at,
    } beside {
        /// How many instances use it.
        instance_count: i64 =
            "(select count(*) from rm.shared_server_clients as c where c.server = t.id)",
        /// The oldest hundred of them.
        instances: Vec<String> =
            "array(select c.instance from rm.shared_server_clients as c where c.server = t.id \
             order by c.since, c.instance limit 100)",
    }
}

impl Reads<'_> {
    /// At most `limit` servers of a kind, newest first, those after the one with the id `after`. Their
    /// ids follow from where they are, so they are sorted by the time when they were added.
    pub async fn list_shared_servers(
        &self,
        kind: &str,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<SharedServerRow>, QueryError> {
        let limit = limit_value(limit);
        let beyond = "(t.created_at, t.id) < \
                      (select created_at, id from rm.shared_servers where id = $)";
        let clause = Clause::new("")
            .and_value("t.kind = $", &kind)
            .and_some(beyond, after.as_ref())
            .end("t.created_at desc, t.id desc", &limit);
        self.rows(&clause).await
    }

    /// One server of a kind.
    pub async fn read_shared_server(
        &self,
        id: &str,
    ) -> Result<Option<SharedServerRow>, QueryError> {
        self.one(&Clause::new("").and_value("t.id = $", &id)).await
    }
}
