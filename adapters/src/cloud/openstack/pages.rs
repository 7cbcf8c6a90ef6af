//! Lists that come in pages: each is followed to its end.

use super::api::{Api, Call};
use ocim_domain::port_error::PortError;
use serde_json::Value;

/// What is asked for at a time; a service may give less.
const PAGE_ITEMS: &str = "1000";
/// More than any project has: a list that is longer goes round in circles.
const PAGES_MAX: usize = 1000;

/// All items of the list that the call asks for, which the answer has under that name.
pub(super) async fn list_all(
    api: &Api,
    call: Call<'_>,
    collection: &str,
) -> Result<Vec<Value>, PortError> {
    let mut all = vec![];
    let mut marker: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut page = call.clone().with_query("limit", PAGE_ITEMS);
        if let Some(marker) = &marker {
            page = page.with_query("marker", marker);
        }
        let mut body: Value = api.fetch(page).await?.read()?;
        let has_more = has_next(&body, collection);
        let items = match body.get_mut(collection).map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => return Err(PortError::transient(format!("a list of {collection} has none"))),
        };
        let last = items.last().and_then(|item| item.get("id")?.as_str()).map(str::to_owned);
        all.extend(items);
        match last {
            Some(last) if has_more && marker.as_ref() != Some(&last) => marker = Some(last),
            _ => return Ok(all),
        }
    }
    Err(PortError::transient(format!("a list of {collection} does not end")))
}

/// Whether another page comes: Nova and Neutron give links beside the list, Glance one `next`.
fn has_next(body: &Value, collection: &str) -> bool {
    let is_next = |link: &Value| link.get("rel").and_then(Value::as_str) == Some("next");
    let links = body.get(format!("{collection}_links")).and_then(Value::as_array);
    links.is_some_and(|links| links.iter().any(is_next))
        || body.get("next").is_some_and(Value::is_string)
}
