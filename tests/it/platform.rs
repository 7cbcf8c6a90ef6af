//! Configuration, data folder and embedded PostgreSQL, with real processes.

mod config;
mod data_folder;
mod database_tls;
mod embedded_postgres;
mod kurrentdb;
mod log_head;
mod nodes;
mod paused;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// A temporary folder that the user of PostgreSQL can pass through when tests run as root.
fn reachable_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("its mode");
    folder
}

/// Waits until `condition` holds; fails after a minute.
async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
