//! References: which things a name, a domain or the beginning of an id stands for.

use super::extract::Params;
use super::openapi::Problems;
use super::problem::{HttpError, bad_request};
use super::{Api, convert};
use actix_web::HttpResponse;
use actix_web::web::Data;
use ocim_api_spec::{Page, Reference, ReferenceKind};
use serde::Deserialize;
use utoipa::IntoParams;

/// Most things that are told.
const MATCHES_MAX: usize = 20;
/// Longest text, in characters; no name is longer.
const TEXT_MAX: usize = 300;

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReferenceParams {
    /// A name, a domain, its first label, an id or the beginning of one; `alpha/2` is the second
    /// Appserver of the site `alpha`.
    text: String,
    /// Only things of this kind.
    kind: Option<ReferenceKind>,
}

/// Finds the things that a text stands for, newest first and 20 at most; one where it is unambiguous.
#[utoipa::path(get, path = "/api/v1/references", tag = "references", params(ReferenceParams),
    responses((status = 200, body = Page<Reference>), Problems))]
pub(super) async fn find_references(
    api: Data<Api>,
    Params(params): Params<ReferenceParams>,
) -> Result<HttpResponse, HttpError> {
    let length = params.text.trim().chars().count();
    if !(1..=TEXT_MAX).contains(&length) || params.text.chars().any(char::is_control) {
        let rule = format!("must be 1 to {TEXT_MAX} characters, none of them a control character");
        return Err(bad_request("text", rule));
    }
    let kind = params.kind.map(ReferenceKind::word);
    let models = api.app.read_models();
    let rows = models.find_references(kind, &params.text, MATCHES_MAX).await?;
    let items = rows.into_iter().map(convert::reference).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}
