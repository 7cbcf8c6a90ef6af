//! Rows as PostgreSQL gives them, read by the places of their columns.

use super::{QueryError, unavailable};
use chrono::{DateTime, Utc};
use ocim_projections::RowSource;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// One row of an answer.
pub(super) struct PostgresRow<'a>(pub &'a Row);

impl PostgresRow<'_> {
    fn get<'b, T: FromSql<'b>>(&'b self, place: usize) -> Result<Option<T>, QueryError> {
        self.0.try_get(place).map_err(unavailable)
    }
}

impl RowSource for PostgresRow<'_> {
    type Error = QueryError;

    fn text(&self, place: usize) -> Result<Option<String>, QueryError> {
        self.get(place)
    }

    fn text_list(&self, place: usize) -> Result<Option<Vec<String>>, QueryError> {
        self.get(place)
    }

    fn integer(&self, place: usize) -> Result<Option<i32>, QueryError> {
        self.get(place)
    }

    fn big_integer(&self, place: usize) -> Result<Option<i64>, QueryError> {
        self.get(place)
    }

    fn boolean(&self, place: usize) -> Result<Option<bool>, QueryError> {
        self.get(place)
    }

    fn timestamp(&self, place: usize) -> Result<Option<DateTime<Utc>>, QueryError> {
        self.get(place)
    }

    fn json(&self, place: usize) -> Result<Option<Value>, QueryError> {
        self.get(place)
    }

    fn missing(column: &'static str) -> QueryError {
        QueryError(format!("the column `{column}` is null").into())
    }
}
