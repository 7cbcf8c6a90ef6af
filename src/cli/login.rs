//! `ocim login`, `ocim logout` and `ocim servers`: which server is asked from now on.

use super::client::{Client, Place};
use super::error::{CliError, Kind};
use super::output::Output;
use super::saved_servers::SavedServers;
use super::target::{Target, tidy_url};
use crate::config::Secret;
use ocim_api_spec::{Page, Region};
use serde::Serialize;
use std::io::IsTerminal;

/// Which server.
#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    /// Its URL, e.g. <http://10.0.0.7:5000>
    url: String,
}

/// Which server.
#[derive(Debug, clap::Args)]
pub(super) struct LogoutArgs {
    /// Its URL; the one that is asked now when left out
    url: Option<String>,
}

/// A saved server, as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    url: String,
    is_current: bool,
}

/// Tries the token and saves it with the URL; further commands go there.
///
/// # Errors
/// When the server does not answer or does not know the token.
pub(super) async fn log_in(
    args: LoginArgs,
    target: &Target,
    output: &mut Output,
) -> Result<(), CliError> {
    let url = tidy_url(&args.url);
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        let message = format!("`{url}` is no URL: it begins with http:// or https://");
        return Err(CliError::new(Kind::Usage, message));
    }
    let token = match target.find_token(&url)? {
        Some(token) => token,
        None => read_token(output)?,
    };
    let client = Client::find(&Place::Address { url: url.clone(), token: token.clone() })?;
    let _: Page<Region> = client.get("/regions").await?;
    let folder = target.environment().folder.as_deref();
    let mut saved = SavedServers::read(folder)?;
    saved.tokens.insert(url.clone(), token.expose().to_owned());
    saved.current = Some(url.clone());
    let path = saved.write(folder)?;
    let said = format!("commands go to {url} from now on; the token is in {}", path.display());
    if output.json { output.document(&Listed { url, is_current: true }) } else { output.line(said) }
}

/// A token from standard input.
fn read_token(output: &mut Output) -> Result<Secret, CliError> {
    if std::io::stdin().is_terminal() {
        output.progress("the token, as `ocim token create NAME` printed it, then Enter:")?;
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim().is_empty() {
        let message = "give the token on standard input, in OCIM_TOKEN, or with --token-file";
        return Err(CliError::new(Kind::Unauthorized, message));
    }
    Ok(Secret::new(line.trim()))
}

/// Forgets a server and its token.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not saved.
pub(super) fn log_out(
    args: LogoutArgs,
    target: &Target,
    output: &mut Output,
) -> Result<(), CliError> {
    let folder = target.environment().folder.as_deref();
    let mut saved = SavedServers::read(folder)?;
    let url = args.url.map(|url| tidy_url(&url)).or_else(|| saved.current.clone());
    let Some(url) = url.filter(|url| saved.tokens.remove(url).is_some()) else {
        let message = "that server is not saved: `ocim servers` lists those that are";
        return Err(CliError::new(Kind::NotFound, message));
    };
    if saved.current.as_ref() == Some(&url) {
        saved.current = None;
    }
    saved.write(folder)?;
    let said = format!("{url} and its token are forgotten; the token itself goes on to be valid");
    if output.json { Ok(()) } else { output.line(said) }
}

/// Lists the saved servers.
///
/// # Errors
/// When their file can't be read.
pub(super) fn list_servers(target: &Target, output: &mut Output) -> Result<(), CliError> {
    let SavedServers { current, tokens } =
        SavedServers::read(target.environment().folder.as_deref())?;
    let list = tokens.into_keys().map(|url| {
        let is_current = current.as_ref() == Some(&url);
        Listed { url, is_current }
    });
    output.table(
        &list.collect::<Vec<_>>(),
        &[
            ("URL", &|it| it.url.clone()),
            ("ASKED", &|it| if it.is_current { "yes" } else { "" }.to_owned()),
        ],
    )
}
