//! Who may come in: tokens are made and revoked, and their events say by whom.

use super::tokens::{DAYS_MAX, Token, TokenError, TokenRow, Tokens};
use super::{App, Caller, Done};
use ocim_domain::token::{self, Scope};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// A token that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What its holder may do.
    pub scope: Scope,
    /// How many days it is valid.
    pub days: u32,
}

impl App {
    /// Makes a token. Its row is what counts: one whose event could not be written is taken back,
    /// and one that a crash left without its event is nobody's, for nobody has seen it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn create_token(
        &self,
        tokens: &Tokens,
        caller: &Caller,
        new: NewToken,
    ) -> Result<Done<(Token, TokenRow)>, TokenError> {
        if !(1..=DAYS_MAX).contains(&new.days) {
            return Err(TokenError::Days);
        }
        let NewToken { name, scope, days } = new;
        let created_at = self.journal().now();
        let expires_at = created_at + DAY * days;
        let made = tokens.create_token(&name, scope, Some(expires_at)).await?;
        let id = made.id();
        let command = token::Command::Create { name: name.clone(), scope, expires_at };
        let meta = caller.metadata();
        let noted = self.journal().execute::<token::Token>(&id.stream(), &meta, command).await;
        let noted = match noted {
            Ok(noted) => noted,
            Err(error) => {
                tokens.revoke_token(&id.to_string()).await?;
                return Err(TokenError::Event(error.into()));
            }
        };
        let row = TokenRow {
            id,
            name,
            scope,
            created_at,
            expires_at: Some(expires_at),
            last_used_at: None,
            revoked_at: None,
        };
        Ok(Done { value: (made, row), position: noted.position })
    }

    /// Takes a token back, by its id or name. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn revoke_token(
        &self,
        tokens: &Tokens,
        caller: &Caller,
        token: &str,
    ) -> Result<Done<TokenRow>, TokenError> {
        let revoked = tokens.revoke_token(token).await?;
        let row = revoked.ok_or_else(|| TokenError::NotFound { token: token.to_owned() })?;
        let command = token::Command::Revoke { name: row.name.clone() };
        let (stream, meta) = (row.id.stream(), caller.metadata());
        let noted = self.journal().execute::<token::Token>(&stream, &meta, command).await;
        let noted = noted.map_err(|error| TokenError::Event(error.into()))?;
        Ok(Done { value: row, position: noted.position })
    }
}
