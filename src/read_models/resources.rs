//! What instances have outside, as the read model tells.

use super::{QueryError, Reads, limit_value};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceRow {
    /// `inst_…`.
    pub instance_id: String,
    /// `machine`, `fragment`, ….
    pub kind: String,
    /// Unique within instance and kind.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// What it belongs to.
    pub owner: String,
    /// `wanted`, `present` or `unknown`.
    pub state: String,
    /// What its provider calls it.
    pub provider_id: Option<String>,
    /// Why it can't be told whether it is there.
    pub reason: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl ResourceRow {
    /// What it is known by among all.
    #[must_use]
    pub fn id(&self) -> ResourceKey {
        let (instance, kind) = (self.instance_id.clone(), self.kind.clone());
        ResourceKey { instance, kind, key: self.key.clone() }
    }
}

/// What a resource is known by among all: `inst_…/machine/serv_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceKey {
    /// Whose it is.
    pub instance: String,
    /// What it is.
    pub kind: String,
    /// Unique within the two.
    pub key: String,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.instance, self.kind, self.key)
    }
}

/// It has not three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKey;

impl FromStr for ResourceKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(instance), Some(kind), Some(key)) => Ok(Self { instance, kind, key }),
            _ => Err(InvalidKey),
        }
    }
}

impl Reads<'_> {
    /// At most `limit` resources of that instance, kind and state, where they are given, by instance,
    /// kind and key; those after that one.
    ///
    /// # Errors
    /// [`QueryError`] without a database.
    pub async fn list_resources(
        &self,
        (instance, kind, state): (Option<&str>, Option<&str>, Option<&str>),
        limit: usize,
        after: Option<&ResourceKey>,
    ) -> Result<Vec<ResourceRow>, QueryError> {
        let sql = "select * from rm.resources \
                   where ($1::text is null or instance_id = $1) \
                     and ($2::text is null or kind = $2) \
                     and ($3::text is null or state = $3) \
                     and ($4::text is null or (instance_id, kind, key) > ($4, $5::text, $6::text)) \
                   order by instance_id, kind, key limit $7::bigint";
        let part = |part: fn(&ResourceKey) -> &str| after.map(part);
        let after_instance = part(|it| &it.instance);
        let (after_kind, after_key) = (part(|it| &it.kind), part(|it| &it.key));
        let limit = limit_value(limit);
        self.query(
            sql,
            &[&instance, &kind, &state, &after_instance, &after_kind, &after_key, &limit],
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for text in ["inst_1/machine/serv_2", "inst_1/dns_name/a/b", "//"] {
            assert_eq!(text.parse::<ResourceKey>().unwrap().to_string(), text);
        }
        for wrong in ["", "inst_1", "inst_1/machine"] {
            assert_eq!(wrong.parse::<ResourceKey>(), Err(InvalidKey), "{wrong}");
        }
    }
}
