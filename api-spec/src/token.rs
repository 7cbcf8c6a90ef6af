//! API tokens: who may do what until when.

use crate::examples::{Example, second};
use crate::texts::{Name, Secret, TokenId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token's holder may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Look at everything, and change nothing.
    Read,
    /// Everything.
    #[default]
    All,
}

/// Whether a token is valid. `expired` and `revoked` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It is valid.
    Active,
    /// Its time is up.
    Expired,
    /// Somebody took it back.
    Revoked,
}

/// Makes a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for, 1 to 100 printable characters; events show it as `token:NAME`. No other
    /// valid token has it.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    pub name: String,
    /// What its holder may do; everything when left out.
    #[serde(default)]
    pub scope: TokenScope,
    /// Days until it expires, 1 to 3650; 365 when left out.
    #[serde(default = "a_year")]
    #[schema(minimum = 1, maximum = 3650)]
    pub expires_in_days: u32,
}

fn a_year() -> u32 {
    365
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// `tokn_…`.
    #[schema(value_type = TokenId)]
    pub id: String,
    /// What it is for.
    #[schema(value_type = Name)]
    pub name: String,
    /// What its holder may do.
    pub scope: TokenScope,
    /// Whether it is valid.
    pub state: TokenState,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When its time is up; null for the one of local commands, which a server makes for itself.
    pub expires: Option<DateTime<Utc>>,
    /// When it was last used, to the minute; null when it never was.
    pub last_used: Option<DateTime<Utc>>,
}

/// A token that was just made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// What everybody may know of it.
    pub token: Token,
    /// What its holder sends as `Authorization: Bearer …`; it is never shown again.
    #[schema(value_type = Secret)]
    pub secret: String,
}

impl Example for CreateToken {
    fn example() -> Self {
        Self { name: "dashboard".to_owned(), scope: TokenScope::Read, expires_in_days: 90 }
    }
}

impl Example for Token {
    fn example() -> Self {
        Self {
            id: TokenId::EXAMPLE.to_owned(),
            name: "dashboard".to_owned(),
            scope: TokenScope::Read,
            state: TokenState::Active,
            created: second(0),
            expires: Some(second(90 * 86_400)),
            last_used: None,
        }
    }
}

impl Example for CreatedToken {
    fn example() -> Self {
        Self { token: Token::example(), secret: "ocim_01985f6b_hardly-a-secret".to_owned() }
    }
}
