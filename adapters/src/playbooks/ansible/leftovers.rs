//! Ends what was left running: orphaned tools at a start, every run before its folder is removed.

use super::SCRATCH_PREFIX;
use super::processes::{end_processes, end_tools};
use super::run_folder::RunFolder;
use ocim_domain::port_error::PortError;
use std::path::Path;
use uuid::Uuid;

/// Ends the tools (git, Python, pip) of an Ocim that was killed, which still change what lies in
/// `folder` (that of [`super::AnsibleConfig`]), and removes what they worked on.
///
/// To be called before anything is started there.
///
/// # Errors
/// When one does not end.
pub async fn end_orphaned_tools(folder: &Path) -> Result<(), PortError> {
    end_tools(folder).await?;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX) {
            // What can't be removed takes room, and is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Ends all tools, and all processes of all runs kept in `folder` (that of [`super::AnsibleConfig`]). Absent is
/// success.
///
/// # Errors
/// The first run that could not be ended; the others are ended all the same.
pub async fn end_all_runs(folder: &Path) -> Result<(), PortError> {
    let runs = folder.join("runs");
    let mut outcome = end_tools(folder).await;
    let Ok(entries) = std::fs::read_dir(&runs) else { return outcome };
    for entry in entries.flatten() {
        if let Ok(key) = Uuid::try_parse(&entry.file_name().to_string_lossy()) {
            let control = RunFolder::new(&runs, key).control();
            outcome = outcome.and(end_processes(key, &control).await);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_look_worked_on_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["look-1", "look-2/source", "mirrors", "runs", "environments"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        end_orphaned_tools(folder.path()).await.unwrap();
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["environments", "mirrors", "runs"]);
    }
}
