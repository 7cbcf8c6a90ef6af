//! Bearer tokens for the API: shown once when they are made, kept as hashes.

use crate::ports::system::{Clock, Ids};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use deadpool_postgres::{Client, Pool, PoolError};
use ocim_domain::Timestamp;
use ocim_domain::ids::TokenId;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// What every token begins with, so that people and secret scanners know it.
const PREFIX: &str = "ocim_";
/// Random bytes in a token.
const SECRET_BYTES: usize = 32;
/// Longest name of a token, in characters.
pub const NAME_CHARACTERS_MAX: usize = 100;
/// Longest wait for the database.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a token could not be made or looked up.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is blank, too long, or has control characters.
    #[error("a token's name has 1 to {NAME_CHARACTERS_MAX} printable characters")]
    Name,
    /// Another token has the name.
    #[error("there is a token with the name `{name}` already: choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The database can't be reached.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<tokio_postgres::Error> for TokenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<PoolError> for TokenError {
    fn from(error: PoolError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<tokio::time::error::Elapsed> for TokenError {
    fn from(error: tokio::time::error::Elapsed) -> Self {
        Self::Unavailable(error.into())
    }
}

/// A token as its owner holds it: `ocim_<uuid>_<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: Uuid,
    secret: String,
}

impl Token {
    /// The text to hand out; nobody can find it out again.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id.simple(), self.secret)
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        Some(Self { id: Uuid::try_parse(id).ok()?, secret: secret.to_owned() })
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ***)", TokenId(self.id))
    }
}

/// Whose token it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The token's id.
    pub id: TokenId,
    /// The token's name.
    pub name: String,
}

/// The tokens of one database.
#[derive(Debug, Clone)]
pub struct Tokens {
    pool: Pool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl Tokens {
    /// The tokens behind this pool.
    #[must_use]
    pub fn new(pool: Pool, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { pool, clock, ids }
    }

    /// Makes a token; without `expires_at` it stays valid.
    ///
    /// # Errors
    /// [`TokenError::Name`], [`TokenError::NameTaken`], [`TokenError::Unavailable`].
    pub async fn create_token(
        &self,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<Token, TokenError> {
        check_name(name)?;
        self.insert(INSERT, name, expires_at).await.map_err(|error| match error {
            InsertError::Taken => TokenError::NameTaken { name: name.to_owned() },
            InsertError::Other(error) => error,
        })
    }

    /// Makes a token without an end, in place of the one of that name.
    ///
    /// # Errors
    /// [`TokenError::Name`], [`TokenError::Unavailable`].
    pub async fn replace_token(&self, name: &str) -> Result<Token, TokenError> {
        check_name(name)?;
        self.insert(REPLACE, name, None).await.map_err(|error| match error {
            InsertError::Taken => TokenError::NameTaken { name: name.to_owned() },
            InsertError::Other(error) => error,
        })
    }

    /// Whose token the text is; `None` if it is nobody's or has expired.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`].
    pub async fn find_holder(&self, text: &str) -> Result<Option<Holder>, TokenError> {
        let Some(token) = Token::parse(text) else { return Ok(None) };
        let rows = {
            let client = self.client().await?;
            tokio::time::timeout(TIMEOUT, client.query(FIND, &[&token.id, &self.clock.now()]))
                .await??
        };
        Ok(rows.first().and_then(|row| {
            let known: &[u8] = row.get("secret_hash");
            bool::from(known.ct_eq(&token.hash()))
                .then(|| Holder { id: TokenId(token.id), name: row.get("name") })
        }))
    }

    async fn insert(
        &self,
        statement: &str,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<Token, InsertError> {
        let mut secret = [0; SECRET_BYTES];
        self.ids.fill_random(&mut secret);
        let token = Token { id: self.ids.new_id(), secret: BASE64_URL_SAFE_NO_PAD.encode(secret) };
        let client = self.client().await?;
        let now = self.clock.now();
        let hash = token.hash();
        tokio::time::timeout(
            TIMEOUT,
            client.execute(statement, &[&token.id, &name, &&hash[..], &now, &expires_at]),
        )
        .await
        .map_err(TokenError::from)??;
        Ok(token)
    }

    async fn client(&self) -> Result<Client, TokenError> {
        Ok(tokio::time::timeout(TIMEOUT, self.pool.get()).await??)
    }
}

const INSERT: &str = "insert into access.tokens (id, name, secret_hash, created_at, expires_at)
    values ($1, $2, $3, $4, $5)";

const REPLACE: &str = "insert into access.tokens (id, name, secret_hash, created_at, expires_at)
    values ($1, $2, $3, $4, $5)
    on conflict (name) do update
    set id = excluded.id, secret_hash = excluded.secret_hash,
        created_at = excluded.created_at, expires_at = excluded.expires_at";

const FIND: &str = "select name, secret_hash from access.tokens
    where id = $1 and (expires_at is null or expires_at > $2)";

enum InsertError {
    Taken,
    Other(TokenError),
}

impl From<TokenError> for InsertError {
    fn from(error: TokenError) -> Self {
        Self::Other(error)
    }
}

impl From<tokio_postgres::Error> for InsertError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::UNIQUE_VIOLATION) {
            Self::Taken
        } else {
            Self::Other(error.into())
        }
    }
}

fn check_name(name: &str) -> Result<(), TokenError> {
    let length = name.chars().count();
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&length) && !name.chars().any(char::is_control);
    if fits && !name.trim().is_empty() { Ok(()) } else { Err(TokenError::Name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_from_its_text_alone() {
        let token = Token { id: Uuid::from_u128(7), secret: "s-e_c".into() };
        assert_eq!(Token::parse(&token.expose()), Some(token.clone()));
        for wrong in ["", "ocim_", "ocim_7_x", "tokn_00000000000000000000000000000007_x"] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{token:?}").contains("s-e_c"));
    }

    #[test]
    fn names_are_short_and_printable() {
        assert!(check_name("ci of the shop").is_ok());
        for wrong in ["", "  ", "two\nlines", &"x".repeat(NAME_CHARACTERS_MAX + 1)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
