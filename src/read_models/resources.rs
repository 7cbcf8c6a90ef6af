//! What instances have outside, as the read model tells.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::Kind;
use ocim_projections::resources::columns as resource_columns;
use ocim_projections::row;
use std::fmt;
use std::str::FromStr;

row! {
    /// Something that an instance has outside.
    pub struct ResourceRow of resource_columns {
        instance_id, kind, key, name, place, owner, state, provider_id, reason, since,
    }
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

/// It is no instance, kind and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKey;

impl FromStr for ResourceKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (instance, rest) = text.split_once('/').ok_or(InvalidKey)?;
        let (kind, key) = rest.split_once('/').ok_or(InvalidKey)?;
        let instance: InstanceId = instance.parse().map_err(|_| InvalidKey)?;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        if key.is_empty() || !is_word(kind) {
            return Err(InvalidKey);
        }
        Ok(Self { instance: instance.to_string(), kind: kind.to_owned(), key: key.to_owned() })
    }
}

/// Which resources are wanted.
#[derive(Debug, Clone, Default)]
pub struct ResourceFilter {
    /// Only those of this instance.
    pub instance: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those in this state.
    pub state: Option<String>,
}

impl Reads<'_> {
    /// At most `limit` of the wanted resources, by instance, kind and key; those after that one.
    pub async fn list_resources(
        &self,
        filter: &ResourceFilter,
        limit: usize,
        after: Option<&ResourceKey>,
    ) -> Result<Vec<ResourceRow>, QueryError> {
        let limit = limit_value(limit);
        // A newer Ocim has kinds that this one can't show.
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let after = after.map(|it| vec![&it.instance, &it.kind, &it.key]);
        let clause = Clause::new("")
            .and_value("t.kind = any($)", &known)
            .and_some("t.instance_id = $", filter.instance.as_ref())
            .and_some("t.kind = $", filter.kind.as_ref())
            .and_some("t.state = $", filter.state.as_ref())
            .and_some(BEYOND, after.as_ref())
            .end("t.instance_id, t.kind, t.key", &limit);
        self.rows(&clause).await
    }
}

/// The rows after one whose key is given as a list.
const BEYOND: &str = "(t.instance_id, t.kind, t.key) > \
    (($::text[])[1], ($::text[])[2], ($::text[])[3])";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let instance = InstanceId(uuid::Uuid::nil());
        for rest in ["machine/serv_2", "dns_name/a/b"] {
            let text = format!("{instance}/{rest}");
            assert_eq!(text.parse::<ResourceKey>().unwrap().to_string(), text);
        }
        for rest in ["", "machine", "machine/", "/a", "Machine/a"] {
            let wrong = format!("{instance}/{rest}");
            assert_eq!(wrong.parse::<ResourceKey>(), Err(InvalidKey), "{wrong}");
        }
        for wrong in ["", "//", "inst_1/machine/serv_2"] {
            assert_eq!(wrong.parse::<ResourceKey>(), Err(InvalidKey), "{wrong}");
        }
    }
}
