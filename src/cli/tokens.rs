//! `ocim token …`

use super::database::Database;
use super::error::{CliError, Kind};
use super::output::Output;
use crate::adapters::system::{SystemClock, SystemIds};
use crate::app::tokens::{TokenError, Tokens};
use crate::config::Config;
use crate::ports::system::Clock;
use clap::Subcommand;
use ocim_domain::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// What one may do with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for the API and print it, this once
    Create {
        /// What it is for; events show it as `token:NAME`
        name: String,
        /// Days until it expires
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_in_days: u32,
    },
}

/// Does it.
///
/// # Errors
/// When the database does not answer, or the name is taken.
pub(super) async fn run(
    command: TokenCommand,
    config: &Config,
    output: &mut Output,
) -> Result<(), CliError> {
    let TokenCommand::Create { name, expires_in_days } = command;
    let expires_at = SystemClock.now() + Duration::from_secs(u64::from(expires_in_days) * 86_400);
    let database = Database::open(config).await?;
    let outcome = create_token(&database, &name, expires_at).await;
    database.close().await;
    let token = outcome?;
    if output.json {
        return output.document(&json!({ "name": name, "token": token, "expires_at": expires_at }));
    }
    output
        .progress(format!("valid until {}; it can't be shown again:", expires_at.format("%F")))?;
    output.line(token)
}

async fn create_token(
    database: &Database,
    name: &str,
    expires_at: Timestamp,
) -> Result<String, CliError> {
    let tokens = Tokens::new(database.pool.clone(), Arc::new(SystemClock), Arc::new(SystemIds));
    match tokens.create_token(name, Some(expires_at)).await {
        Ok(token) => Ok(token.expose()),
        Err(error) => {
            let kind = match &error {
                TokenError::Name => Kind::Usage,
                TokenError::NameTaken { .. } => Kind::Refused,
                TokenError::Unavailable(_) => Kind::Unavailable,
            };
            Err(CliError::from_error(kind, &error))
        }
    }
}
