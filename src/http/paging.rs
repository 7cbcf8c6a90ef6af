//! Pages: how many rows to read, and where the next page begins.

use super::problem::{HttpError, bad_request, internal};
use actix_web::http::header::{ContentType, LINK};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::Page;
use ocim_api_spec::page::Listed;
use serde::Deserialize;
use std::fmt::Display;
use std::str::FromStr;
use utoipa::IntoParams;

/// Rows of a page when nothing else is asked for.
const LIMIT_DEFAULT: usize = 50;
/// Most rows of a page.
pub(super) const LIMIT_MAX: usize = 200;

/// The part of a query that chooses the page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    #[param(min_length = 1)]
    pub after: Option<String>,
}

/// The checked choice of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    limit: usize,
    /// What the last row of the page before is known by.
    pub after: Option<String>,
}

/// Answers with a page; a `Link` (RFC 8288) leads to the next one, with the same filters.
pub(super) fn answer_with_page<Item: Listed>(
    request: &HttpRequest,
    page: &Page<Item>,
) -> Result<HttpResponse, HttpError> {
    let mut answer = HttpResponse::Ok();
    if let Some(next) = &page.next {
        let target = next_page(request.path(), request.query_string(), next);
        answer.insert_header((LINK, format!("<{target}>; rel=\"next\"")));
    }
    let written = Item::write_page(page).map_err(|error| internal(&error))?;
    Ok(answer.content_type(ContentType::json()).body(written))
}

fn next_page(path: &str, query: &str, next: &str) -> String {
    let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("after", next)
        .finish();
    format!("{path}?{query}")
}

impl Choice {
    /// Checks what was asked for; `Id` is the form of a cursor.
    ///
    /// # Errors
    /// For a limit out of range, or a cursor that is not of ours.
    pub(super) fn new<Id: FromStr + Display>(
        limit: Option<usize>,
        after: Option<&str>,
    ) -> Result<Self, HttpError> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(bad_request("limit", format!("must be 1 to {LIMIT_MAX}")));
        }
        let after = after
            .map(|text| text.parse::<Id>().map(|id| id.to_string()))
            .transpose()
            .map_err(|_| bad_request("after", "must be the `next` of another page"))?;
        Ok(Self { limit, after })
    }

    /// The cursor in its own form.
    #[must_use]
    pub(super) fn after_as<Id: FromStr>(&self) -> Option<Id> {
        self.after.as_deref().and_then(|text| text.parse().ok())
    }

    /// Rows to read: one more than the page shows, which tells whether there is a next page.
    #[must_use]
    pub(super) fn rows_to_read(&self) -> usize {
        self.limit + 1
    }

    /// The page that these rows make.
    ///
    /// # Errors
    /// What `convert` refuses.
    pub(super) fn page<Row, Item>(
        &self,
        mut rows: Vec<Row>,
        id_of: impl Fn(&Row) -> String,
        convert: impl Fn(Row) -> Result<Item, HttpError>,
    ) -> Result<Page<Item>, HttpError> {
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| has_more).map(id_of);
        let items = rows.into_iter().map(convert).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::ids::RunId;

    fn choose(limit: usize) -> Choice {
        Choice::new::<RunId>(Some(limit), None).unwrap()
    }

    #[test]
    fn a_page_ends_where_the_next_begins() {
        let rows = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let page = |count| {
            choose(2).page(rows(count), String::clone, Ok).map(|page| (page.items, page.next))
        };
        assert_eq!(choose(2).rows_to_read(), 3);
        assert_eq!(page(3).unwrap(), (rows(2), Some("1".into())));
        assert_eq!(page(2).unwrap(), (rows(2), None));
        assert_eq!(page(0).unwrap(), (vec![], None));
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let target = next_page("/api/v1/runs", "subject=a%26b&after=run_1&open", "run_2");
        assert_eq!(target, "/api/v1/runs?subject=a%26b&open=&after=run_2");
    }

    #[test]
    fn limits_and_cursors_are_checked() {
        for limit in [0, LIMIT_MAX + 1] {
            let error = Choice::new::<RunId>(Some(limit), None).unwrap_err();
            assert_eq!(error.0.errors[0].field, "limit");
        }
        let error = Choice::new::<RunId>(None, Some("inst_7")).unwrap_err();
        assert_eq!(error.0.errors[0].field, "after");
        let id = "run_00000000-0000-7000-8000-000000000001";
        assert_eq!(Choice::new::<RunId>(None, Some(id)).unwrap().after.as_deref(), Some(id));
    }
}
