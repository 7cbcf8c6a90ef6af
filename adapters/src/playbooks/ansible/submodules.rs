//! What submodules hold: fetched by the look at a source, and only copied by the play after it.
//!
//! The look comes before a launch takes a slot, and waits for hosts that do not answer while others go
//! on. A play that fetched again could wait for them with the slot, and a machine, in its hands.

use super::AnsibleConfig;
use super::tools::{copy_tree, lock_file};
use ocim_domain::port_error::{Blame, PortError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for others that copy.
const LOCK_WAIT: Duration = Duration::from_secs(600);
/// Of so many commits of one repository the submodules are kept; of the rest they are fetched anew.
const COMMITS_MAX: usize = 8;

/// The repositories of the submodules of one commit: with another commit, the same name may mean
/// another address.
pub(super) struct KeptSubmodules<'a> {
    config: &'a AnsibleConfig,
    folder: PathBuf,
    commit: &'a str,
}

impl<'a> KeptSubmodules<'a> {
    /// Those of that commit, beside the mirror of its repository.
    pub(super) fn new(config: &'a AnsibleConfig, mirror: &Path, commit: &'a str) -> Self {
        Self { config, folder: mirror.with_extension("modules"), commit }
    }

    /// Gives a checkout what is kept: git then fetches only what is missing there.
    pub(super) async fn give(&self, checkout: &Path) -> Result<(), PortError> {
        let kept = self.folder.join(self.commit);
        if !kept.exists() {
            return Ok(());
        }
        let _lock = self.lock().await?;
        // Others may have come first with newer commits.
        if !kept.exists() {
            return Ok(());
        }
        copy_tree(self.config, &kept, &modules(checkout)).await
    }

    /// Keeps what a checkout has fetched.
    pub(super) async fn keep(&self, checkout: &Path) -> Result<(), PortError> {
        let fetched = modules(checkout);
        if !fetched.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder).map_err(|error| self.broken(&error))?;
        let _lock = self.lock().await?;
        let (kept, partial) = (self.folder.join(self.commit), self.folder.join("partial"));
        remove(&partial).map_err(|error| self.broken(&error))?;
        copy_tree(self.config, &fetched, &partial).await?;
        self.replace(&kept, &partial).map_err(|error| self.broken(&error))
    }

    /// Puts the new one into its place, and removes what was fetched longest ago.
    fn replace(&self, kept: &Path, partial: &Path) -> std::io::Result<()> {
        remove(kept)?;
        std::fs::rename(partial, kept)?;
        let mut all = vec![];
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path() != kept {
                all.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.iter().skip(COMMITS_MAX - 1).try_for_each(|(_, old)| remove(old))
    }

    async fn lock(&self) -> Result<impl Drop + use<>, PortError> {
        lock_file(&self.folder.with_extension("modules.lock"), LOCK_WAIT).await
    }

    fn broken(&self, error: &std::io::Error) -> PortError {
        let text = format!("{}: {error}", self.folder.display());
        PortError::transient(text).blamed_on(Blame::Other)
    }
}

/// Where git has the repositories of a checkout's submodules.
fn modules(checkout: &Path) -> PathBuf {
    checkout.join(".git/modules")
}

/// Absent is success.
fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
