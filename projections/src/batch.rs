//! Many row changes folded into few: at most one a row in each round, in sets of the same shape.

use crate::change::{Columns, RowChange};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The changes of many events, folded. Applying its rounds in turn does what the changes would.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    rounds: Vec<BTreeMap<RowId, RowChange>>,
}

/// Table, and key as JSON text.
type RowId = (&'static str, String);

/// What is done with the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Make each row, or change its `set` columns.
    Upsert,
    /// Change each row that is there.
    Update,
    /// Change each row that is there; of the JSON object in this column, only the members given.
    Merge(&'static str),
    /// Take each row away.
    Delete,
}

/// Rows of one table to which one statement can be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What is done.
    pub action: Action,
    /// Where.
    pub table: &'static str,
    /// The columns that find a row.
    pub key: Vec<&'static str>,
    /// The columns that only a new row takes.
    pub initial: Vec<&'static str>,
    /// The columns that change.
    pub set: Vec<&'static str>,
    /// Objects with all these columns.
    pub rows: Vec<Value>,
}

impl Batch {
    /// True where nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    /// Adds the next change.
    pub fn push(&mut self, change: RowChange) {
        let key = change.key().iter().map(|(name, value)| format!("{name}={value}"));
        let id = (change.table(), key.collect::<Vec<_>>().join(","));
        let folded = match self.rounds.last().and_then(|round| round.get(&id)) {
            None => Some(change.clone()),
            Some(earlier) => fold(earlier.clone(), &change),
        };
        match (self.rounds.last_mut(), folded) {
            (Some(round), Some(folded)) => {
                round.insert(id, folded);
            }
            (_, None | Some(_)) => self.rounds.push(BTreeMap::from([(id, change)])),
        }
    }

    /// What to do, in order; the order of groups within a round does not matter.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        self.rounds.iter().flat_map(|round| group(round.values())).collect()
    }
}

impl Extend<RowChange> for Batch {
    fn extend<T: IntoIterator<Item = RowChange>>(&mut self, changes: T) {
        for change in changes {
            self.push(change);
        }
    }
}

/// One change that does what both do in turn, whatever was there before; `None` if there is none.
fn fold(earlier: RowChange, later: &RowChange) -> Option<RowChange> {
    use RowChange::{Delete, Merge, Update, Upsert};
    match (earlier, later) {
        (_, Delete { .. }) => Some(later.clone()),
        (delete @ Delete { .. }, Update { .. } | Merge { .. }) => Some(delete),
        // The later `initial` finds the row made already.
        (
            Upsert { table, key, initial, set: first },
            Upsert { set: second, .. } | Update { set: second, .. },
        ) => Some(Upsert { table, key, initial, set: join(first, second) }),
        (Update { table, key, set: first }, Update { set: second, .. }) => {
            Some(Update { table, key, set: join(first, second) })
        }
        // What the first does depends on whether the row was there.
        (Delete { .. } | Update { .. }, Upsert { .. }) => None,
        // Members are set one by one where the object is.
        (Merge { .. }, _) | (_, Merge { .. }) => None,
    }
}

fn join(mut first: Columns, second: &Columns) -> Columns {
    first.extend(second.iter().map(|(name, value)| (*name, value.clone())));
    first
}

/// Sets of changes that differ only in their values.
fn group<'a>(changes: impl Iterator<Item = &'a RowChange>) -> Vec<Group> {
    let none = Columns::new();
    let mut groups = BTreeMap::<_, Vec<Value>>::new();
    for change in changes {
        let (action, initial, set) = match change {
            RowChange::Upsert { initial, set, .. } => (Action::Upsert, initial, set),
            RowChange::Update { set, .. } => (Action::Update, &none, set),
            RowChange::Merge { set, into, .. } => (Action::Merge(into), &none, set),
            RowChange::Delete { .. } => (Action::Delete, &none, &none),
        };
        // A column that is set in either case is no longer one that only a new row takes.
        let only_new = |name: &&str| !set.contains_key(name);
        let initial_names: Vec<_> = initial.keys().copied().filter(only_new).collect();
        let row: Map<_, _> = [initial, set, change.key()]
            .into_iter()
            .flatten()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let shape = (action, change.table(), names(change.key()), initial_names, names(set));
        groups.entry(shape).or_default().push(Value::Object(row));
    }
    groups
        .into_iter()
        .map(|((action, table, key, initial, set), rows)| Group {
            action,
            table,
            key,
            initial,
            set,
            rows,
        })
        .collect()
}

fn names(columns: &Columns) -> Vec<&'static str> {
    columns.keys().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A table as the database would hold it: key text to columns.
    type Rows = BTreeMap<String, Columns>;

    fn apply(rows: &mut Rows, change: &RowChange) {
        let id = format!("{:?}", change.key());
        match change {
            RowChange::Upsert { initial, set, .. } => match rows.get_mut(&id) {
                Some(row) => row.extend(set.clone()),
                None => {
                    rows.insert(id, join(initial.clone(), set));
                }
            },
            RowChange::Update { set, .. } => {
                if let Some(row) = rows.get_mut(&id) {
                    row.extend(set.clone());
                }
            }
            RowChange::Merge { set, into, .. } => {
                if let Some(row) = rows.get_mut(&id) {
                    let mut set = set.clone();
                    if let (Some(Value::Object(old)), Some(Value::Object(new))) =
                        (row.get(into), set.get_mut(into))
                    {
                        let mut all = old.clone();
                        all.extend(std::mem::take(new));
                        *new = all;
                    }
                    row.extend(set);
                }
            }
            RowChange::Delete { .. } => {
                rows.remove(&id);
            }
        }
    }

    fn any_columns() -> impl Strategy<Value = Columns> {
        let name = prop_oneof![Just("a"), Just("b"), Just("c")];
        prop::collection::btree_map(name, (0..9).prop_map(|n| json!(n)), 0..3)
    }

    fn any_change() -> impl Strategy<Value = RowChange> {
        let key = (0..3).prop_map(|id| Columns::from([("id", json!(id))]));
        (key, any_columns(), any_columns(), 0..5).prop_map(|(key, initial, set, which)| match which
        {
            0 | 1 => RowChange::Upsert { table: "t", key, initial, set },
            2 => RowChange::Update { table: "t", key, set },
            3 => {
                let members = Columns::from([("o", json!(set))]);
                RowChange::Merge { table: "t", key, set: join(members, &initial), into: "o" }
            }
            _ => RowChange::Delete { table: "t", key },
        })
    }

    proptest! {
        #[test]
        fn a_batch_does_what_its_changes_would(
            before in prop::collection::vec(any_change(), 0..4),
            changes in prop::collection::vec(any_change(), 0..12),
        ) {
            let mut expected = Rows::new();
            before.iter().for_each(|change| apply(&mut expected, change));
            let mut folded = expected.clone();
            changes.iter().for_each(|change| apply(&mut expected, change));

            let mut batch = Batch::default();
            batch.extend(changes);
            for round in &batch.rounds {
                round.values().for_each(|change| apply(&mut folded, change));
            }
            prop_assert_eq!(folded, expected);
        }
    }

    #[test]
    fn changes_of_the_same_shape_make_one_group() {
        let put = |id: u8| {
            RowChange::put(
                "t",
                Columns::from([("id", json!(id))]),
                Columns::from([("a", json!(id))]),
            )
        };
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.extend([put(1), put(2), put(1)]);
        assert!(!batch.is_empty());
        let [group] = &batch.groups()[..] else { panic!("{batch:?}") };
        assert_eq!(
            (group.action, &group.key[..], &group.set[..]),
            (Action::Upsert, &["id"][..], &["a"][..])
        );
        assert_eq!(group.rows, [json!({"a": 1, "id": 1}), json!({"a": 2, "id": 2})]);
    }

    #[test]
    fn a_column_that_is_set_in_either_case_is_none_that_only_a_new_row_takes() {
        let columns = |names: &[&'static str]| -> Columns {
            names.iter().map(|name| (*name, json!(name))).collect()
        };
        let (key, initial) = (columns(&["id"]), columns(&["a", "b"]));
        let mut batch = Batch::default();
        batch.push(RowChange::Upsert { table: "t", key, initial, set: columns(&["b", "c"]) });
        let [group] = &batch.groups()[..] else { panic!("{batch:?}") };
        assert_eq!((&group.initial[..], &group.set[..]), (&["a"][..], &["b", "c"][..]));
        assert_eq!(group.rows, [json!({"id": "id", "a": "a", "b": "b", "c": "c"})]);
    }
}
