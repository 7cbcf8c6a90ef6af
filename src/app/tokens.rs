//! Bearer tokens for the API: shown once when they are made, kept as hashes.

use super::error::AppError;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use deadpool_postgres::{Client, Pool, PoolError};
use ocim_domain::Timestamp;
use ocim_domain::ids::TokenId;
use ocim_domain::right::ReadScope;
use ocim_domain::system::{Clock, Ids};
use ocim_domain::token::Scope;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// What every token begins with, so that people and secret scanners know it.
const PREFIX: &str = "ocim_";
/// Random bytes in a token.
const SECRET_BYTES: usize = 32;
/// Longest name of a token, in characters.
pub const NAME_CHARACTERS_MAX: usize = 100;
/// Most days that a token is valid.
pub const DAYS_MAX: u32 = 3650;
/// A use is noted when the last that was noted is so long ago: a note for each would be a write for
/// each request.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
/// Most tokens in a list, the newest ones.
const LISTED_MAX: i64 = 1000;
/// Longest wait for the database.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the names of the tokens begin with that data folders have.
pub const LOCAL_PREFIX: &str = "local:";

/// Why a token could not be made or looked up.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is blank, too long, or has control characters.
    #[error("a token's name has 1 to {NAME_CHARACTERS_MAX} printable characters")]
    Name,
    /// The name is kept for the tokens that data folders have.
    #[error("names that begin with `{LOCAL_PREFIX}` are kept for commands on Ocim's own computers")]
    Reserved,
    /// Another token has the name.
    #[error("there is a token with the name `{name}` already: choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// It is to be valid for no time, or for too long.
    #[error("a token is valid for 1 to {DAYS_MAX} days")]
    Days,
    /// There is no such token.
    #[error("there is no token with the name or id `{token}`")]
    NotFound {
        /// The name or id.
        token: String,
    },
    /// What happened to it can't be recorded.
    #[error("the token's event could not be recorded")]
    Event(#[source] AppError),
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

    /// Its id, which everybody may know.
    #[must_use]
    pub fn id(&self) -> TokenId {
        TokenId(self.id)
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
    /// What the holder may do.
    pub scope: Scope,
}

/// A token as its row tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its time is up, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    fn read(row: &Row) -> Self {
        Self {
            id: TokenId(row.get("id")),
            name: row.get("name"),
            scope: read_scope(row),
            created_at: row.get("created_at"),
            expires_at: row.get("expires_at"),
            last_used_at: row.get("last_used_at"),
            revoked_at: row.get("revoked_at"),
        }
    }
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

    /// The same over these connections.
    #[must_use]
    pub fn over(self, pool: Pool) -> Self {
        Self { pool, ..self }
    }

    /// Makes a token; without `expires_at` it stays valid. The name of one that has expired, or was
    /// revoked, is free.
    ///
    /// # Errors
    /// [`TokenError::Name`], [`TokenError::Reserved`], [`TokenError::NameTaken`],
    /// [`TokenError::Unavailable`].
    pub async fn create_token(
        &self,
        name: &str,
        scope: Scope,
        expires_at: Option<Timestamp>,
    ) -> Result<Token, TokenError> {
        check_name(name)?;
        if name.starts_with(LOCAL_PREFIX) {
            return Err(TokenError::Reserved);
        }
        self.execute(REVOKE_EXPIRED, &[&name, &self.clock.now()]).await?;
        self.insert(INSERT, name, scope, expires_at).await.map_err(|error| match error {
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
        self.insert(REPLACE, name, Scope::All, None).await.map_err(|error| match error {
            InsertError::Taken => TokenError::NameTaken { name: name.to_owned() },
            InsertError::Other(error) => error,
        })
    }

    /// All tokens that somebody may see who may read so much, the newest first; those that are valid no
    /// more, too.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`].
    pub async fn list_tokens(&self, scope: ReadScope) -> Result<Vec<TokenRow>, TokenError> {
        let ReadScope::Everything = scope;
        let client = self.client().await?;
        let rows = tokio::time::timeout(TIMEOUT, client.query(LIST, &[&LISTED_MAX])).await??;
        Ok(rows.iter().map(TokenRow::read).collect())
    }

    /// Takes the token with this id, or the valid one with this name, back; `None` if there is
    /// none. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`].
    pub async fn revoke_token(&self, token: &str) -> Result<Option<TokenRow>, TokenError> {
        let id = token.parse::<TokenId>().ok().map(|id| id.0);
        let now = self.clock.now();
        let client = self.client().await?;
        let parameters: [&(dyn ToSql + Sync); 3] = [&id, &token, &now];
        let rows = tokio::time::timeout(TIMEOUT, client.query(REVOKE, &parameters)).await??;
        Ok(rows.first().map(TokenRow::read))
    }

    /// Whose token the text is; `None` if it is nobody's, has expired or was revoked.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`].
    pub async fn find_holder(&self, text: &str) -> Result<Option<Holder>, TokenError> {
        let Some(token) = Token::parse(text) else { return Ok(None) };
        let now = self.clock.now();
        let client = self.client().await?;
        let work = async {
            let statement = client.prepare_cached(FIND).await?;
            client.query(&statement, &[&token.id, &now]).await
        };
        let rows = match tokio::time::timeout(TIMEOUT, work).await {
            Ok(rows) => rows?,
            Err(elapsed) => {
                // The server still works on it: nobody is to wait behind that.
                drop(Client::take(client));
                return Err(elapsed.into());
            }
        };
        let Some(row) = rows.first() else { return Ok(None) };
        if !bool::from(row.get::<_, &[u8]>("secret_hash").ct_eq(&token.hash())) {
            return Ok(None);
        }
        let noted: Option<Timestamp> = row.get("last_used_at");
        if noted.is_none_or(|noted| noted + USE_NOTED_EVERY <= now) {
            self.note_use(token.id, now).await;
        }
        let (id, name) = (TokenId(token.id), row.get("name"));
        Ok(Some(Holder { id, name, scope: read_scope(row) }))
    }

    /// A use that can't be noted is no reason to refuse it.
    async fn note_use(&self, id: Uuid, now: Timestamp) {
        if let Err(error) = self.execute(NOTE_USE, &[&id, &now]).await {
            tracing::debug!(
                error = ocim_domain::error_chain::chain(&error),
                "a token's use is not noted"
            );
        }
    }

    async fn execute(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), TokenError> {
        let client = self.client().await?;
        tokio::time::timeout(TIMEOUT, client.execute(statement, parameters)).await??;
        Ok(())
    }

    async fn insert(
        &self,
        statement: &str,
        name: &str,
        scope: Scope,
        expires_at: Option<Timestamp>,
    ) -> Result<Token, InsertError> {
        let mut secret = [0; SECRET_BYTES];
        self.ids.fill_random(&mut secret);
        let token = Token { id: self.ids.new_id(), secret: BASE64_URL_SAFE_NO_PAD.encode(secret) };
        let client = self.client().await?;
        let now = self.clock.now();
        let (hash, scope) = (token.hash(), scope.to_string());
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&token.id, &name, &scope, &&hash[..], &now, &expires_at];
        tokio::time::timeout(TIMEOUT, client.execute(statement, &parameters))
            .await
            .map_err(TokenError::from)??;
        Ok(token)
    }

    async fn client(&self) -> Result<Client, TokenError> {
        Ok(tokio::time::timeout(TIMEOUT, self.pool.get()).await??)
    }
}

const INSERT: &str =
    "insert into access.tokens (id, name, scope, secret_hash, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6)";

const REPLACE: &str =
    "insert into access.tokens (id, name, scope, secret_hash, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (name) where revoked_at is null do update
    set id = excluded.id, scope = excluded.scope, secret_hash = excluded.secret_hash,
        created_at = excluded.created_at, expires_at = excluded.expires_at, last_used_at = null";

const FIND: &str = "select name, scope, secret_hash, last_used_at from access.tokens
    where id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)";

const NOTE_USE: &str = "update access.tokens set last_used_at = $2 where id = $1";

const LIST: &str =
    "select id, name, scope, created_at, expires_at, last_used_at, revoked_at from access.tokens
    order by created_at desc, id desc limit $1";

const REVOKE: &str = "update access.tokens set revoked_at = coalesce(revoked_at, $3)
    where id = $1 or (name = $2 and revoked_at is null)
    returning id, name, scope, created_at, expires_at, last_used_at, revoked_at";

const REVOKE_EXPIRED: &str = "update access.tokens set revoked_at = $2
    where name = $1 and revoked_at is null and expires_at <= $2";

fn read_scope(row: &Row) -> Scope {
    // The table holds no third.
    if row.get::<_, &str>("scope") == "read" { Scope::Read } else { Scope::All }
}

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
