//! What PostgreSQL complains of, where people must be told.

use std::error::Error;
use tokio_postgres::error::{DbError, SqlState};

/// Whether any cause of the error is a full disk below PostgreSQL.
#[must_use]
pub fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    let complaint = error.downcast_ref::<DbError>();
    complaint.is_some_and(|complaint| complaint.code() == &SqlState::DISK_FULL)
        || error.source().is_some_and(is_disk_full)
}

/// Whether any cause of the error is that PostgreSQL does not take a value: it is out of range, no
/// text, or too large for what it is to go into.
#[must_use]
pub fn is_value_refused(error: &(dyn Error + 'static)) -> bool {
    let complaint = error.downcast_ref::<DbError>();
    complaint.is_some_and(|complaint| {
        ["22", "54"].iter().any(|it| complaint.code().code().starts_with(it))
    }) || error.source().is_some_and(is_value_refused)
}

/// Whether any cause of the error is a table or view that is not there.
#[must_use]
pub fn is_table_missing(error: &(dyn Error + 'static)) -> bool {
    let complaint = error.downcast_ref::<DbError>();
    complaint.is_some_and(|complaint| complaint.code() == &SqlState::UNDEFINED_TABLE)
        || error.source().is_some_and(is_table_missing)
}
