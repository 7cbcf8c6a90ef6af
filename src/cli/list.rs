//! Lists: which items of it, and how many.

use super::client::Client;
use super::error::{CliError, Kind};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Which items of a list are wanted.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ListArgs {
    /// Only items whose field has this value, e.g. status=running; `-o json` shows the fields. May
    /// be given several times
    #[arg(long = "filter", value_name = "FIELD=VALUE", value_parser = read_filter)]
    filters: Vec<Filter>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// What a field must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    field: String,
    value: String,
}

/// Reads `FIELD=VALUE`; fields below others are written `settings.email`.
///
/// # Errors
/// For anything else.
pub(super) fn read_filter(text: &str) -> Result<Filter, String> {
    match text.split_once('=') {
        Some((field, value)) if !field.trim().is_empty() => {
            Ok(Filter { field: field.trim().to_owned(), value: value.trim().to_owned() })
        }
        _ => Err("write FIELD=VALUE".to_owned()),
    }
}

impl Filter {
    /// Whether the item has the value; `None` where it has no such field.
    fn admits(&self, item: &Value) -> Option<bool> {
        let field = self.field.split('.').try_fold(item, |value, name| value.get(name))?;
        Some(match field {
            Value::Array(list) => list.iter().any(|value| self.is(value)),
            value => self.is(value),
        })
    }

    fn is(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => *text == self.value,
            Value::Null => self.value.is_empty(),
            other => {
                let shown = other.to_string();
                shown == self.value
            }
        }
    }
}

/// Whether all filters admit an item.
///
/// # Errors
/// [`Kind::Usage`] for a field that it does not have.
pub(super) fn is_admitted(filters: &[Filter], item: &impl Serialize) -> Result<bool, CliError> {
    let item = serde_json::to_value(item).map_err(std::io::Error::from)?;
    for filter in filters {
        match filter.admits(&item) {
            Some(true) => {}
            Some(false) => return Ok(false),
            None => {
                let fields = item.as_object().into_iter().flat_map(|fields| fields.keys().cloned());
                let known = fields.collect::<Vec<_>>().join(", ");
                let message = format!("there is no field `{}`: there are {known}", filter.field);
                return Err(CliError::new(Kind::Usage, message));
            }
        }
    }
    Ok(true)
}

impl Client {
    /// Reads a list, page by page, until it ends or enough items are found.
    ///
    /// # Errors
    /// As [`Client::get`]; [`Kind::Usage`] for a filter that does not fit.
    pub(super) async fn list<T: DeserializeOwned + Serialize>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        wanted: &ListArgs,
    ) -> Result<Vec<T>, CliError> {
        let most = wanted.limit.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
        let admit = |item: &T| is_admitted(&wanted.filters, item);
        self.get_first(path, query, most, admit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_compare_the_fields_of_the_json() {
        let item = json!({
            "status": "running", "is_active": true, "number": 2, "server": null,
            "active": ["apps_1", "apps_2"], "settings": {"name": "A = B"},
        });
        let admitted = |text: &str| is_admitted(&[read_filter(text).unwrap()], &item).ok();
        for text in [
            "status=running",
            "is_active=true",
            "number=2",
            "server=",
            "active=apps_2",
            "settings.name=A = B",
        ] {
            assert_eq!(admitted(text), Some(true), "{text}");
        }
        for text in ["status=run", "is_active=yes", "server=serv_1", "active=apps_3"] {
            assert_eq!(admitted(text), Some(false), "{text}");
        }
        let error = is_admitted(&[read_filter("statsu=x").unwrap()], &item).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains("statsu") && error.message.contains("is_active"), "{error}");
        assert!(read_filter("status").is_err() && read_filter("=x").is_err());
    }
}
