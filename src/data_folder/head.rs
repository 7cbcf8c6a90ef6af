//! The file with where the log of events ended when it was last looked at.

use super::{DataFolderError, failed, write_file};
use ocim_domain::event_log::Head;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// `head.json` of one data folder.
#[derive(Debug, Clone)]
pub struct HeadFile(PathBuf);

impl HeadFile {
    /// The file of the data folder `root`, whether it exists or not.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self(root.join("head.json"))
    }

    /// What it says; `None` before the first write.
    ///
    /// # Errors
    /// [`DataFolderError::Damaged`] when it is not what we wrote.
    pub fn read(&self) -> Result<Option<Head>, DataFolderError> {
        match fs::read(&self.0) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| {
                let advice = "put it back from a backup, or accept the log as it is: `ocim events \
                              accept-head --reason WHY`";
                DataFolderError::Damaged { path: self.0.clone(), advice }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.0)(error)),
        }
    }

    /// Writes it, durably and whole.
    ///
    /// # Errors
    /// [`DataFolderError::Io`].
    pub fn write(&self, head: &Head) -> Result<(), DataFolderError> {
        let text =
            serde_json::to_vec(head).map_err(|error| failed("write", &self.0)(error.into()))?;
        write_file(&self.0, &text)
    }
}
