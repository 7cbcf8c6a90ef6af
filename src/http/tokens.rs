//! API tokens: made, listed, revoked.

use super::extract::Body;
use super::idempotency::ShownOnce;
use super::openapi::Problems;
use super::problem::HttpError;
use super::{Api, convert};
use crate::app::Caller;
use crate::app::access::NewToken;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{CreateToken, CreatedToken, Page, Token};

/// Makes a token. Its secret stands in this answer and nowhere else, so a request that is sent
/// again, also with the same idempotency key, is refused: revoke the token and make another.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = CreatedToken), Problems))]
pub(super) async fn create_token(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<CreateToken>,
) -> Result<HttpResponse, HttpError> {
    let scope = convert::domain_scope(body.scope);
    let new = NewToken { name: body.name, scope, days: body.expires_in_days };
    let done = api.app.create_token(&api.tokens, &by, new).await?;
    let (made, row) = done.value;
    let token = convert::token(row, api.app.journal().now());
    let created = CreatedToken { token, secret: made.expose() };
    let mut answer = api.answer_to(done.position, HttpResponse::Created()).await.json(created);
    answer.extensions_mut().insert(ShownOnce);
    Ok(answer)
}

/// Lists tokens, the newest first, with those that are valid no more; never their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = Page<Token>), Problems))]
pub(super) async fn list_tokens(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let now = api.app.journal().now();
    let rows = api.tokens.list_tokens().await?;
    let items = rows.into_iter().map(|row| convert::token(row, now)).collect();
    Ok(HttpResponse::Ok().json(Page::<Token> { items, next: None }))
}

/// Takes a token back: it opens nothing from now on. Doing it again changes nothing.
#[utoipa::path(post, path = "/api/v1/tokens/{token}/revoke", tag = "tokens",
    params(("token" = String, Path, description = "`tokn_…`, or the name of a valid token")),
    responses((status = 200, body = Token), Problems))]
pub(super) async fn revoke_token(
    api: Data<Api>,
    by: ReqData<Caller>,
    token: Path<String>,
) -> Result<HttpResponse, HttpError> {
    let done = api.app.revoke_token(&api.tokens, &by, &token).await?;
    let token = convert::token(done.value, api.app.journal().now());
    Ok(api.answer_to(done.position, HttpResponse::Ok()).await.json(token))
}
