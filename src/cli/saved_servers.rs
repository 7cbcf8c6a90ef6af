//! Servers that were logged in to: their URLs and tokens, in a file that only its owner reads.

use super::error::{CliError, Kind};
use crate::data_folder::write_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The file's name in the folder.
const FILE: &str = "servers.json";

/// The saved servers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SavedServers {
    /// URL of the one that is asked when nothing else is said.
    pub current: Option<String>,
    /// Tokens by URL.
    pub tokens: BTreeMap<String, String>,
}

impl SavedServers {
    /// Those in this folder; none where there is no file.
    ///
    /// # Errors
    /// When the file can't be read or is not what we wrote.
    pub(super) fn read(folder: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = folder.map(|folder| folder.join(FILE)) else { return Ok(Self::default()) };
        let failed = |why: String| {
            let message = format!("can't read {}: {why}: remove it, then log in", path.display());
            CliError::new(Kind::Failed, message)
        };
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.to_string())),
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) =>
            {
                Ok(Self::default())
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Keeps them in this folder; returns the file.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn write(&self, folder: Option<&Path>) -> Result<PathBuf, CliError> {
        let folder = folder.ok_or_else(|| {
            let message = "there is no place to save it: set HOME or XDG_CONFIG_HOME";
            CliError::new(Kind::Failed, message)
        })?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            CliError::new(Kind::Failed, format!("can't create {}: {error}", folder.display()))
        })?;
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        write_file(&path, &text).map_err(|error| CliError::from_error(Kind::Failed, &error))?;
        Ok(path)
    }
}
