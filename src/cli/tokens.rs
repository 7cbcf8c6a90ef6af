//! `ocim token …`

use super::client::{Client, encode};
use super::error::CliError;
use super::output::Output;
use clap::{Subcommand, ValueEnum};
use ocim_api_spec::{CreateToken, CreatedToken, Token, TokenScope, TokenState};

/// What one may do with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for the API and print it, this once
    Create {
        /// What it is for; events show it as `token:NAME`
        name: String,
        /// What its holder may do
        #[arg(long, value_enum, default_value = "all")]
        scope: ScopeArg,
        /// Days until it expires
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_in_days: u32,
    },
    /// List tokens with what they allow, and when they were last used
    List,
    /// Take a token back: it opens nothing from now on
    Revoke {
        /// Its name or id
        token: String,
    },
}

/// What a token's holder may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ScopeArg {
    /// Look at everything, and change nothing
    Read,
    /// Everything
    All,
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: TokenCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { name, scope, expires_in_days } => {
            let scope = match scope {
                ScopeArg::Read => TokenScope::Read,
                ScopeArg::All => TokenScope::All,
            };
            let body = CreateToken { name, scope, expires_in_days };
            print_created(&client.post("/tokens", &body).await?, output)
        }
        TokenCommand::List => {
            let items: Vec<Token> = client.get_all("/tokens", &[]).await?;
            print_list(&items, output)
        }
        TokenCommand::Revoke { token } => {
            let path = format!("/tokens/{}/revoke", encode(&token));
            let revoked: Token = client.post(&path, &serde_json::json!({})).await?;
            if output.json {
                return output.document(&revoked);
            }
            output.progress(format!("the token {} is revoked", revoked.name))
        }
    }
}

fn print_created(created: &CreatedToken, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return output.document(created);
    }
    if let Some(expires) = created.token.expires {
        let until = expires.format("%F");
        output.progress(format!("valid until {until}; it can't be shown again:"))?;
    }
    output.line(&created.secret)
}

fn print_list(items: &[Token], output: &mut Output) -> Result<(), CliError> {
    let day = |time: Option<chrono::DateTime<chrono::Utc>>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| time.format("%F %R UTC").to_string())
    };
    let scope = |it: &Token| match it.scope {
        TokenScope::Read => "read".to_owned(),
        TokenScope::All => "all".to_owned(),
    };
    let state = |it: &Token| match it.state {
        TokenState::Active => "active".to_owned(),
        TokenState::Expired => "expired".to_owned(),
        TokenState::Revoked => "revoked".to_owned(),
    };
    output.table(
        items,
        &[
            ("NAME", &|it| it.name.clone()),
            ("SCOPE", &scope),
            ("STATE", &state),
            ("EXPIRES", &|it| day(it.expires, "never")),
            ("LAST USED", &|it| day(it.last_used, "never")),
            ("ID", &|it| it.id.clone()),
        ],
    )
}
