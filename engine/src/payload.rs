//! How much a payload takes in memory, for whoever keeps some of them.

use ocim_domain::protected::MARK;
use serde_json::Value;

/// How many bytes a payload takes, about, and whether it holds a protected text.
pub(crate) fn weigh(data: &Value) -> (usize, bool) {
    let add = |(bytes, protected): (usize, bool), (more, also)| (bytes + more, protected || also);
    match data {
        Value::Null | Value::Bool(_) | Value::Number(_) => (8, false),
        Value::String(text) => (24 + text.len(), false),
        Value::Array(items) => items.iter().map(weigh).fold((24, false), add),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| add((24 + name.len(), name == MARK), weigh(field)))
            .fold((48, false), add),
    }
}
