//! Who receives an Instance's traffic, and under which names.

use super::{Event, Present, Rejected};
use crate::ids::AppserverId;
use crate::names::RoutedNames;
use serde::{Deserialize, Serialize};

/// A host name under which visitors get something else than the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameTrouble {
    /// The host name.
    pub name: String,
    /// What the balancer answered instead.
    pub trouble: String,
}

/// What changes when these come and those go.
pub(super) fn decide_assign(
    present: &Present,
    add: &[AppserverId],
    remove: &[AppserverId],
    names: RoutedNames,
    may_empty: bool,
) -> Result<Vec<Event>, Rejected> {
    let removed: Vec<_> = present
        .active
        .iter()
        .filter(|id| remove.contains(id) && !add.contains(id))
        .copied()
        .collect();
    let mut added: Vec<AppserverId> = vec![];
    for id in add {
        if !present.active.contains(id) && !added.contains(id) {
            added.push(*id);
        }
    }
    if !added.is_empty() {
        present.check_live()?;
    }
    let is_renamed = !present.active.is_empty() && present.routed_names() != names;
    if removed.is_empty() && added.is_empty() && !is_renamed {
        return Ok(vec![]);
    }
    let mut active: Vec<_> =
        present.active.iter().filter(|id| !removed.contains(id)).copied().collect();
    active.extend(&added);
    if active.is_empty() && !may_empty {
        return Err(Rejected::LastActive);
    }
    Ok(vec![Event::TrafficAssigned { active, added, removed, names }])
}
