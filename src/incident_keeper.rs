//! Watches what is open: notes circuits that open and close, and ends pauses whose time has come.

use crate::app::App;
use crate::logs::masking::Masker;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pause between two looks at the circuits and the clock, which cost nothing.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks between two at what other nodes have said.
const LOOKS_PER_REFRESH: u32 = 5;

/// Keeps incidents until it is stopped.
#[derive(Debug)]
pub struct IncidentKeeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl IncidentKeeper {
    /// Looks from now on.
    #[must_use]
    pub fn start(app: App, masker: Arc<Masker>) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut looks = 0_u32;
            loop {
                looks = looks.wrapping_add(1);
                let refreshed = match looks % LOOKS_PER_REFRESH {
                    0 => app.refresh_incidents().await,
                    _ => Ok(()),
                };
                let kept = match refreshed {
                    Ok(()) => app.keep_incidents(&masker).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = kept {
                    let error = ocim_domain::error_chain::chain(&error);
                    tracing::warn!(error, "incidents wait for the event store");
                }
                tokio::select! {
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// Stops after the look that is under way.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the keeper of incidents ended abnormally");
        }
    }
}
