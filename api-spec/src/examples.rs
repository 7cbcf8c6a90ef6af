//! What each body looks like: an example of every type that a request or an answer can be.
//!
//! It stands below its type, and is a value of it, so that a type without one, or one that has changed
//! since, does not compile. All of them tell of the same site.

use crate::texts::Reason;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

/// A wire type that can show what it looks like.
pub trait Example: ToSchema + Serialize + DeserializeOwned {
    /// One that could be real.
    fn example() -> Self;
}

/// So many seconds after the site was made: 2026-03-02T09:15:00Z.
pub(crate) fn second(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_772_442_900 + seconds)
}

pub(crate) fn needed_reason() -> String {
    Reason::EXAMPLE.to_owned()
}

pub(crate) fn reason() -> Option<String> {
    Some(Reason::EXAMPLE.to_owned())
}
