//! API tokens: who may do what until when.

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

/// Whether a token is valid.
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
    pub name: String,
    /// What its holder may do; everything when left out.
    #[serde(default)]
    pub scope: TokenScope,
    /// Days until it expires, 1 to 3650; 365 when left out.
    #[serde(default = "a_year")]
    pub expires_in_days: u32,
}

fn a_year() -> u32 {
    365
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// `tokn_…`.
    pub id: String,
    /// What it is for.
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
    pub secret: String,
}
