//! The token of this machine's own commands: a file in the data folder that only its owner reads.

use crate::app::tokens::{TokenError, Tokens};
use crate::data_folder::{self, DataFolderError};
use std::io;
use std::path::Path;

/// The file's name in the data folder.
pub const LOCAL_TOKEN_FILE: &str = "cli_token";
/// The token's name, as events show it.
const NAME: &str = "local";

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

/// Sees to it that the data folder `root` has a valid token; one that is valid stays.
///
/// # Errors
/// [`LocalTokenError`].
pub async fn ensure_local_token(tokens: &Tokens, root: &Path) -> Result<(), LocalTokenError> {
    if let Ok(text) = read_local_token(root)
        && tokens.find_holder(&text).await?.is_some()
    {
        return Ok(());
    }
    let token = tokens.replace_token(NAME).await?;
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
