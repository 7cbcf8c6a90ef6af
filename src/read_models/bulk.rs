//! Bulk operations, and instances as they are chosen for them.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use ocim_projections::bulk::{columns, item_columns};
use ocim_projections::instances::columns as instance_columns;
use ocim_projections::row;

row! {
    /// A bulk operation, with how far it is.
    pub struct BulkRow of columns {
        id, work, run, actor, reason, tag, attempts, activate, sql_count, instance_count, batch_size,
        frequency_seconds, canary, failures_max, state, because, next_at, created_at, updated_at,
        ended_at,
    } beside {
        /// How many are not begun.
        pending: i64 = "(select count(*) from rm.bulk_items where operation = t.id and state = 'pending')",
        /// How many are under way.
        ongoing: i64 = "(select count(*) from rm.bulk_items where operation = t.id and state = 'ongoing')",
        /// How many have succeeded.
        succeeded: i64 = "(select count(*) from rm.bulk_items where operation = t.id and state = 'succeeded')",
        /// How many have failed.
        failed: i64 = "(select count(*) from rm.bulk_items where operation = t.id and state = 'failed')",
        /// How many were left out.
        skipped: i64 = "(select count(*) from rm.bulk_items where operation = t.id and state = 'skipped')",
        /// How long those took, on the average, that were tried: seconds. None before the first is done.
        average_seconds: i64 =
            "coalesce((select round(avg(extract(epoch from settled_at - begun_at)))::bigint \
             from rm.bulk_items where operation = t.id and state in ('succeeded', 'failed')), -1)",
    }
}

row! {
    /// One instance of an operation.
    pub struct BulkItemRow of item_columns {
        operation, instance, place, state, why, begun_at, settled_at,
    } beside {
        /// What people call it.
        domain: String =
            "coalesce((select i.domain from rm.instances as i where i.id = t.instance), t.instance)",
    }
}

row! {
    /// An instance, with all that it may be chosen by.
    pub struct SelectableRow of instance_columns {
        id, name, domain, internal_domain, settings, owner, tags, creator, successfully_provisioned,
    }
}

impl Reads<'_> {
    /// At most `limit` bulk operations, newest first, those after the id `after`.
    pub async fn list_bulk_operations(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<BulkRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("").and_some("t.id < $", after.as_ref()).end("t.id desc", &limit);
        self.rows(&clause).await
    }

    /// One bulk operation.
    pub async fn read_bulk_operation(&self, id: &str) -> Result<Option<BulkRow>, QueryError> {
        self.one(&Clause::new("").and_value("t.id = $", &id)).await
    }

    /// At most `limit` instances of an operation in their order, those after the place `after`.
    pub async fn list_bulk_items(
        &self,
        operation: &str,
        limit: usize,
        after: i32,
    ) -> Result<Vec<BulkItemRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("")
            .and_value("t.operation = $", &operation)
            .and_value("t.place > $", &after)
            .end("t.place", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` live instances that were launched successfully, oldest first, those after the id
    /// `after`.
    pub async fn list_selectable(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<SelectableRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("")
            .and("t.lifecycle = 'live'")
            .and("t.successfully_provisioned")
            .and_some("t.id > $", after.as_ref())
            .end("t.id", &limit);
        self.rows(&clause).await
    }

    /// The instances in service whose internal domain of the LMS is among these, oldest first.
    pub async fn list_selectable_by_domain(
        &self,
        domains: &[String],
    ) -> Result<Vec<SelectableRow>, QueryError> {
        let clause = Clause::new("")
            .and("t.lifecycle not in ('archived', 'deleting', 'deleted')")
            .and_value("t.internal_domain = any ($)", &domains)
            .ordered("t.id");
        self.rows(&clause).await
    }
}
