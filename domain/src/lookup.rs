//! Conditions on the fields of things, written as `field: value` or `field__lookup: value` (core §4.7).

use crate::settings::Violation;
use serde_json::{Map, Value};

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// It is the value, or a list that has it.
    Exact,
    /// The same, in letters of any case.
    IgnoringCase,
    /// It has the value in it.
    Contains,
    StartsWith,
    EndsWith,
    /// It is one of the values.
    In,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// It is blank or missing, or is not.
    IsBlank,
}

/// Their names, and whether letters of any case count as the same.
const COMPARISONS: [(&str, Comparison, bool); 14] = [
    ("exact", Comparison::Exact, false),
    ("iexact", Comparison::IgnoringCase, true),
    ("contains", Comparison::Contains, false),
    ("icontains", Comparison::Contains, true),
    ("startswith", Comparison::StartsWith, false),
    ("istartswith", Comparison::StartsWith, true),
    ("endswith", Comparison::EndsWith, false),
    ("iendswith", Comparison::EndsWith, true),
    ("in", Comparison::In, false),
    ("lt", Comparison::Less, false),
    ("lte", Comparison::LessOrEqual, false),
    ("gt", Comparison::Greater, false),
    ("gte", Comparison::GreaterOrEqual, false),
    ("isnull", Comparison::IsBlank, false),
];

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    field: String,
    comparison: Comparison,
    ignores_case: bool,
    value: Value,
}

/// Reads conditions, all of which must hold. `is_known` tells which fields there are to be asked for.
///
/// # Errors
/// Every rule that is broken, each by the name of its condition below `of`.
pub fn read_lookups(
    of: &str,
    conditions: &Map<String, Value>,
    is_known: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<Lookup>, Vec<Violation>> {
    let mut lookups = vec![];
    let mut violations = vec![];
    for (name, value) in conditions {
        match read_lookup(name, value, &is_known) {
            Ok(lookup) => lookups.push(lookup),
            Err(rule) => violations.push(Violation { field: format!("{of}.{name}"), rule }),
        }
    }
    if violations.is_empty() { Ok(lookups) } else { Err(violations) }
}

fn read_lookup(
    name: &str,
    value: &Value,
    is_known: impl Fn(&str) -> Result<(), String>,
) -> Result<Lookup, String> {
    let (field, word) = name.split_once("__").unwrap_or((name, "exact"));
    // Tags are told apart by their names.
    let word = match (field, word) {
        ("tags", "name") => "exact",
        ("tags", "name__in") => "in",
        _ => word,
    };
    is_known(field)?;
    let known = COMPARISONS.iter().find(|(known, _, _)| *known == word);
    let (_, comparison, ignores_case) = *known.ok_or_else(|| {
        let words: Vec<_> = COMPARISONS.iter().map(|(word, _, _)| *word).collect();
        format!("`{word}` is no comparison: there are {}", words.join(", "))
    })?;
    match (comparison, value) {
        (Comparison::In, Value::Array(_)) | (Comparison::IsBlank, Value::Bool(_)) => {}
        (Comparison::In, _) => return Err("must be a list of values".to_owned()),
        (Comparison::IsBlank, _) => return Err("must be true or false".to_owned()),
        (
            Comparison::Exact
            | Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual,
            _,
        )
        | (_, Value::String(_)) => {}
        (_, _) => return Err("must be a text".to_owned()),
    }
    Ok(Lookup { field: field.to_owned(), comparison, ignores_case, value: value.clone() })
}

impl Lookup {
    /// Whether the condition holds for a thing with these fields.
    #[must_use]
    pub fn admits(&self, fields: &Map<String, Value>) -> bool {
        let field = fields.get(&self.field).unwrap_or(&Value::Null);
        match (self.comparison, field) {
            (Comparison::IsBlank, field) => Value::Bool(is_blank(field)) == self.value,
            (_, Value::Array(items)) => items.iter().any(|item| self.holds_for(item)),
            (_, field) => self.holds_for(field),
        }
    }

    fn holds_for(&self, field: &Value) -> bool {
        match self.comparison {
            Comparison::Exact => *field == self.value,
            Comparison::In => self.value.as_array().is_some_and(|values| values.contains(field)),
            Comparison::IgnoringCase
            | Comparison::Contains
            | Comparison::StartsWith
            | Comparison::EndsWith => self.compare_texts(field),
            Comparison::Less => self.order(field).is_some_and(std::cmp::Ordering::is_lt),
            Comparison::LessOrEqual => self.order(field).is_some_and(std::cmp::Ordering::is_le),
            Comparison::Greater => self.order(field).is_some_and(std::cmp::Ordering::is_gt),
            Comparison::GreaterOrEqual => self.order(field).is_some_and(std::cmp::Ordering::is_ge),
            Comparison::IsBlank => false,
        }
    }

    fn compare_texts(&self, field: &Value) -> bool {
        let (Some(field), Some(value)) = (field.as_str(), self.value.as_str()) else {
            return false;
        };
        let fold = |text: &str| {
            if self.ignores_case { text.to_lowercase() } else { text.to_owned() }
        };
        let (field, value) = (fold(field), fold(value));
        match self.comparison {
            Comparison::Contains => field.contains(&value),
            Comparison::StartsWith => field.starts_with(&value),
            Comparison::EndsWith => field.ends_with(&value),
            _ => field == value,
        }
    }

    /// Numbers by size, texts by their letters; others are not compared.
    fn order(&self, field: &Value) -> Option<std::cmp::Ordering> {
        match (field, &self.value) {
            (Value::Number(field), Value::Number(value)) => {
                field.as_f64()?.partial_cmp(&value.as_f64()?)
            }
            (Value::String(field), Value::String(value)) => Some(field.cmp(value)),
            _ => None,
        }
    }
}

fn is_blank(field: &Value) -> bool {
    match field {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
