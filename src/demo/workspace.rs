//! The folder that a demo stands on: made, reaped when a killed demo left one, and removed.

use super::Tell;
use super::report::DemoError;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::embedded_postgres::EmbeddedPostgres;
use ocim_adapters::cloud::local::{destroy_all, stop_all};
use ocim_adapters::playbooks::ansible::end_all_runs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Begins the name of every demo's folder.
const PREFIX: &str = "ocim-demo-";

/// Where a demo lives.
#[derive(Debug)]
pub(super) struct Workspace {
    path: PathBuf,
    keep: bool,
}

impl Workspace {
    /// A folder of its own, or the one given; first removes what killed demos left.
    pub(super) async fn prepare(dir: Option<PathBuf>, tell: Tell<'_>) -> Result<Self, DemoError> {
        reap_leftovers(tell).await;
        let keep = dir.is_some();
        let path = match dir {
            Some(path) => path,
            None => new_folder()?,
        };
        let failed = |source| DemoError::Folder { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        Ok(Self { path, keep })
    }

    /// Embedded defaults on free ports, and nothing from a network.
    pub(super) fn configure(&self, config: Config) -> Config {
        Config {
            data_dir: self.path.clone(),
            database_url: None,
            event_store_url: None,
            http_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            default_instance_base_domain: "localhost".to_owned(),
            default_configuration_repo_url: "bundled:demo_site".to_owned(),
            ansible_appserver_repo: String::new(),
            ..config
        }
    }

    /// Removes everything after a start that failed.
    pub(super) async fn clear(self) {
        match DataFolder::open(&self.path) {
            Ok(folder) => self.clear_stopped(folder).await,
            Err(error) => {
                let error = ocim_domain::error_chain::chain(&error);
                tracing::warn!(error, "the demo's folder stays");
            }
        }
    }

    /// Ends the machines and playbooks of a stopped demo, and removes its folder unless it is to
    /// be kept: then the machines' disks stay as well, and the next start finds them.
    pub(super) async fn clear_stopped(self, folder: DataFolder) {
        if !self.keep {
            return remove_all(folder).await;
        }
        if let Err(error) = end_all_runs(&folder.playbooks()).await {
            tracing::warn!(%error, "a playbook could not be ended");
        }
        if let Err(error) = each_cloud(&folder.cloud(), stop_all).await {
            tracing::warn!(%error, "a machine could not be stopped");
        }
    }
}

/// A new folder that nobody else can have made or can look into.
fn new_folder() -> Result<PathBuf, DemoError> {
    let path = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|source| DemoError::Folder { path: path.clone(), source })?;
    Ok(path)
}

/// Whether it is a real folder of this user's.
fn is_own_folder(path: &Path) -> bool {
    let us = nix::unistd::geteuid().as_raw();
    std::fs::symlink_metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == us)
}

/// Removes the folders of demos that no process holds any more.
async fn reap_leftovers(tell: Tell<'_>) {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Anybody may make such a name in a shared folder: only what is ours is touched. One
        // without a lock file belongs to a demo that is just starting.
        if !is_own_folder(&entry.path()) || !entry.path().join("lock").exists() {
            continue;
        }
        // A folder whose lock can be had belongs to nobody.
        if let Ok(folder) = DataFolder::open(&entry.path()) {
            tell(&format!("removing what an earlier demo left in {}", entry.path().display()));
            remove_all(folder).await;
        }
    }
}

/// Ends the machines, the playbooks and the PostgreSQL of a data folder that no server runs on, and
/// removes the folder. What can't be removed is told in the log.
pub async fn remove_all(folder: DataFolder) {
    let warn = |what: &str, error: &dyn std::error::Error| {
        let (root, error) = (folder.root().display(), ocim_domain::error_chain::chain(error));
        tracing::warn!(%root, error, "{what}; the folder stays, so that it can be tried again");
    };
    if let Err(error) = end_all_runs(&folder.playbooks()).await {
        return warn("a playbook could not be ended", &error);
    }
    if let Err(error) = each_cloud(&folder.cloud(), destroy_all).await {
        return warn("a machine could not be removed", &error);
    }
    if let Err(error) = EmbeddedPostgres::end_leftovers(&folder).await {
        return warn("PostgreSQL could not be ended", &error);
    }
    if let Err(error) = folder.remove() {
        tracing::warn!(
            error = ocim_domain::error_chain::chain(&error),
            "a folder could not be removed"
        );
    }
}

/// Does something to the cloud of each region.
async fn each_cloud(clouds: &Path, work: fn(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let clouds = clouds.to_owned();
    let done = tokio::task::spawn_blocking(move || {
        for region in std::fs::read_dir(clouds)? {
            work(&region?.path())?;
        }
        Ok(())
    });
    done.await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_demo_leaves_alone_the_databases_that_are_configured() {
        let variables = [
            ("HOME", "/nowhere"),
            ("DATABASE_URL", "postgres://ocim@db.example.com/ocim"),
            ("EVENT_STORE_URL", "kurrentdb://ocim@events.example.com"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load_for(&BTreeMap::from(variables), false).unwrap();
        assert!(config.database_url.is_some() && config.event_store_url.is_some());
        let workspace = Workspace { path: PathBuf::from("/demo"), keep: false };
        let config = workspace.configure(config);
        assert_eq!((config.database_url, config.event_store_url), (None, None));
    }
}
