//! Hold files: a test stops a run at a named point, and lets it go.

use std::path::PathBuf;
use std::time::Duration;

/// Stops runs at named points (`OCIM_TEST_HOLD_DIR`); does nothing without a folder.
///
/// A run that comes to a point named like a file of the folder makes `<point>.reached` there and
/// waits until the file is gone.
#[derive(Debug, Clone, Default)]
pub struct Holds {
    folder: Option<PathBuf>,
}

impl Holds {
    /// Holds in this folder; none at all without one.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Waits while the point is held, e.g. `launch_appserver.create_server.after_effect`.
    pub async fn pass(&self, point: &str) {
        let Some(folder) = &self.folder else { return };
        let file = folder.join(point);
        if !file.exists() {
            return;
        }
        if let Err(error) = std::fs::write(folder.join(format!("{point}.reached")), "") {
            tracing::warn!(%point, %error, "a hold could not say that it was reached");
        }
        while file.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
