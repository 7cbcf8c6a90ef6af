//! API tokens: made, listed, revoked.

use super::Api;
use super::extract::Body;
use super::idempotency::ShownOnce;
use super::problem::HttpError;
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::app::Caller;
use crate::app::access::NewToken;
use crate::app::tokens::TokenRow;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use chrono::{DateTime, Utc};
use ocim_api_spec::{
    CreateToken, CreatedToken, Page, ProblemType, Token, TokenScope, TokenState, texts,
};
use ocim_domain::right::Right;
use ocim_domain::token::Scope;

const TOKENS: Tag = Tag { name: "tokens", description: "Who may come in" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(create_token),
        method: Verb::Post,
        path: "/api/v1/tokens",
        tag: TOKENS,
        summary: "Makes a token",
        description: "Its secret stands in this answer and nowhere else, so a request that is sent \
            again, also with the same idempotency key, is refused: revoke the token and make another.",
        access: Access::Granted(Right::TokensCreate),
        takes: Input::NOTHING.body::<CreateToken>(),
        answers: &[Answer {
            status: 201,
            description: "It is made",
            content: &[Content::json::<CreatedToken>()],
            headers: &[AnswerHeader::Stale],
            links: &[Link {
                name: "revoke",
                to: "revoke_token",
                parameter: "token",
                from: "$response.body#/token/id",
            }],
        }],
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(list_tokens),
        method: Verb::Get,
        path: "/api/v1/tokens",
        tag: TOKENS,
        summary: "Lists tokens, newest first",
        description: "With those that are valid no more; never their secrets.",
        access: Access::Granted(Right::TokensRead),
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All tokens",
            content: &[Content::page::<Token>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(revoke_token),
        method: Verb::Post,
        path: "/api/v1/tokens/{token}/revoke",
        tag: TOKENS,
        summary: "Takes a token back",
        description: "It opens nothing from now on. Doing it again changes nothing.",
        access: Access::Granted(Right::TokensRevoke),
        takes: Input::NOTHING.path(&[PathPart {
            name: "token",
            description: "`tokn_…`, or the name of a valid token",
            shape: Shape::of::<texts::Name>(),
        }]),
        answers: &[Answer {
            status: 200,
            description: "The token as it is now",
            content: &[Content::json::<Token>()],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::CommandRejected],
    },
];

/// Makes a token. Its secret stands in this answer and nowhere else, so a request that is sent
/// again, also with the same idempotency key, is refused: revoke the token and make another.
async fn create_token(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<CreateToken>,
) -> Result<HttpResponse, HttpError> {
    let scope = domain_scope(body.scope);
    let new = NewToken { name: body.name, scope, days: body.expires_in_days };
    let done = api.app.create_token(&api.tokens, &by, new).await?;
    let (made, row) = done.value;
    let token = show_token(row, api.app.journal().now());
    let created = CreatedToken { token, secret: made.expose() };
    let mut answer = api.answer_to(&[], done.position, HttpResponse::Created()).await.json(created);
    answer.extensions_mut().insert(ShownOnce);
    Ok(answer)
}

/// Lists tokens, the newest first, with those that are valid no more; never their secrets.
async fn list_tokens(api: Data<Api>, by: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let now = api.app.journal().now();
    let rows = api.tokens.list_tokens(by.sees).await?;
    let items = rows.into_iter().map(|row| show_token(row, now)).collect();
    Ok(HttpResponse::Ok().json(Page::<Token> { items, next: None }))
}

/// Takes a token back: it opens nothing from now on. Doing it again changes nothing.
async fn revoke_token(
    api: Data<Api>,
    by: ReqData<Caller>,
    token: Path<String>,
) -> Result<HttpResponse, HttpError> {
    let done = api.app.revoke_token(&api.tokens, &by, &token).await?;
    let token = show_token(done.value, api.app.journal().now());
    Ok(api.answer_to(&[], done.position, HttpResponse::Ok()).await.json(token))
}

/// A token as everybody may know it.
fn show_token(row: TokenRow, now: DateTime<Utc>) -> Token {
    let state = match (row.revoked_at, row.expires_at) {
        (Some(_), _) => TokenState::Revoked,
        (None, Some(expires)) if expires <= now => TokenState::Expired,
        (None, _) => TokenState::Active,
    };
    let scope = match row.scope {
        Scope::Read => TokenScope::Read,
        Scope::All => TokenScope::All,
    };
    Token {
        id: row.id.to_string(),
        name: row.name,
        scope,
        state,
        created: row.created_at,
        expires: row.expires_at,
        last_used: row.last_used_at,
    }
}

/// What a token is asked to allow.
fn domain_scope(scope: TokenScope) -> Scope {
    match scope {
        TokenScope::Read => Scope::Read,
        TokenScope::All => Scope::All,
    }
}
