//! References: which things a name, a domain or the beginning of an id stands for.

use super::Api;
use super::convert::word;
use super::extract::Params;
use super::problem::{HttpError, bad_request};
use super::routes::{Access, Answer, Content, Input, Route, Tag, Verb, handler};
use crate::app::Caller;
use crate::read_models::ReferenceRow;
use actix_web::HttpResponse;
use actix_web::web::{Data, ReqData};
use ocim_api_spec::{Page, Reference, ReferenceKind};
use ocim_domain::right::Right;
use serde::Deserialize;
use utoipa::IntoParams;

/// Most things that are told.
const MATCHES_MAX: usize = 20;
/// Longest text, in characters; no name is longer.
const TEXT_MAX: usize = 300;

const REFERENCES: Tag =
    Tag { name: "references", description: "What people call things, and their ids" };

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(find_references),
    method: Verb::Get,
    path: "/api/v1/references",
    tag: REFERENCES,
    summary: "Finds the things that a text stands for",
    description: "Newest first and 20 at most; one where it is unambiguous.",
    access: Access::Granted(Right::ReferencesRead),
    takes: Input::NOTHING.query::<ReferenceParams>(),
    answers: &[Answer {
        status: 200,
        description: "The things, each with its id and what people call it",
        content: &[Content::page::<Reference>()],
        headers: &[],
        links: &[],
    }],
    refuses: &[],
}];

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReferenceParams {
    /// A name, a domain, its first label, an id or the beginning of one; `alpha/2` is the second
    /// Appserver of the site `alpha`.
    #[param(
        min_length = 1,
        max_length = 300,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    text: String,
    /// Only things of this kind.
    kind: Option<ReferenceKind>,
}

/// Finds the things that a text stands for, newest first and 20 at most; one where it is unambiguous.
async fn find_references(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<ReferenceParams>,
) -> Result<HttpResponse, HttpError> {
    let length = params.text.trim().chars().count();
    if !(1..=TEXT_MAX).contains(&length) || params.text.chars().any(char::is_control) {
        let rule = format!("must be 1 to {TEXT_MAX} characters, none of them a control character");
        return Err(bad_request("text", rule));
    }
    let kind = params.kind.map(ReferenceKind::word);
    let models = api.app.reads(&by);
    let rows = models.find_references(kind, &params.text, MATCHES_MAX).await?;
    let items = rows.into_iter().map(show_reference).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// A thing that a text stands for.
fn show_reference(row: ReferenceRow) -> Result<Reference, HttpError> {
    Ok(Reference { kind: word(row.kind)?, id: row.id, name: row.name })
}
