//! The token of this machine's own commands: a file in the data folder that only its owner reads.

use crate::app::tokens::{LOCAL_PREFIX, TokenError, Tokens};
use crate::data_folder::{self, DataFolderError};
use std::io;
use std::path::Path;
use uuid::Uuid;

/// The file's name in the data folder.
pub const LOCAL_TOKEN_FILE: &str = "cli_token";
/// Says which of this machine's users calls; only believed of who has the local token.
pub const LOCAL_USER_HEADER: &str = "Ocim-Local-User";
/// Longest name of a user, in characters.
const USER_CHARACTERS_MAX: usize = 32;

/// The user of the operating system who logged in here, by `sudo` or not; else whose process it is.
#[must_use]
pub fn os_user() -> String {
    use nix::unistd::{Uid, User, getuid};
    let logged_in = std::fs::read_to_string("/proc/self/loginuid").ok();
    let logged_in = logged_in.and_then(|text| text.trim().parse().ok());
    // The kernel's word for nobody.
    let uid = logged_in.filter(|uid| *uid != u32::MAX).map_or_else(getuid, Uid::from_raw);
    let user = User::from_uid(uid).ok().flatten().map(|user| user.name);
    user.filter(|name| is_user_name(name)).unwrap_or_else(|| uid.to_string())
}

/// Whether a text can be the name of a user: what it is made of says nothing to a log or terminal.
#[must_use]
pub(super) fn is_user_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    (1..=USER_CHARACTERS_MAX).contains(&text.len()) && text.chars().all(fits)
}

/// The name of the token of a node's own computer: each node has one, and leaves the others theirs.
#[must_use]
pub fn local_token_name(node: Uuid) -> String {
    format!("{LOCAL_PREFIX}{node}")
}

/// Why there is no local token.
#[derive(Debug, thiserror::Error)]
pub enum LocalTokenError {
    /// It can't be made.
    #[error("could not make the token for local commands")]
    Token(#[from] TokenError),
    /// It can't be kept.
    #[error("could not keep the token for local commands")]
    Folder(#[from] DataFolderError),
}

/// Sees to it that the data folder `root` of a node has a valid token; one that is valid stays.
///
/// # Errors
/// [`LocalTokenError`].
pub async fn ensure_local_token(
    tokens: &Tokens,
    root: &Path,
    node: Uuid,
) -> Result<(), LocalTokenError> {
    if let Ok(text) = read_local_token(root)
        && tokens.find_holder(&text).await?.is_some()
    {
        return Ok(());
    }
    let token = tokens.replace_token(&local_token_name(node)).await?;
    data_folder::write_file(&root.join(LOCAL_TOKEN_FILE), token.expose().as_bytes())?;
    Ok(())
}

/// The token in the data folder `root`.
///
/// # Errors
/// When there is none, or it is not the caller's to read.
pub fn read_local_token(root: &Path) -> io::Result<String> {
    Ok(std::fs::read_to_string(root.join(LOCAL_TOKEN_FILE))?.trim().to_owned())
}
