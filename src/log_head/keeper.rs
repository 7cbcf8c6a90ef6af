//! Follows the log's end, and writes it into the data folder: once a second at most, and at the stop.

use super::{HeadError, check_known, read_head};
use crate::data_folder::HeadFile;
use ocim_domain::event_log::Head;
use ocim_engine::store::Engine;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The least time between two writes. What was appended within the last one before a kill is not
/// known to the folder; the log may always be ahead of it, and never behind.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the log's end in the data folder until it is stopped.
#[derive(Debug)]
pub struct HeadKeeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HeadKeeper {
    /// Starts with the head that was found at the start, which is written at once.
    #[must_use]
    pub fn start(store: Arc<dyn Engine>, file: HeadFile, found: Head) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(keep(store, file, found, stopped)) }
    }

    /// Writes where the log ends by now, and stops.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the keeper of the log's head ended abnormally");
        }
    }
}

async fn keep(
    store: Arc<dyn Engine>,
    file: HeadFile,
    mut known: Head,
    mut stopped: watch::Receiver<bool>,
) {
    let mut heads = store.heads();
    let mut is_well = true;
    let mut written = file.write(&known);
    loop {
        let is_last = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => true,
            changed = heads.changed() => changed.is_err(),
        };
        let kept = match advance(&*store, &known).await {
            // The event was durable before its position was told: the folder is never ahead.
            Ok(found) if found != known || written.is_err() => {
                known = found;
                written = file.write(&known);
                written.as_ref().map_err(ToString::to_string).copied()
            }
            Ok(_) => Ok(()),
            Err(error) => Err(ocim_domain::error_chain::chain(&error)),
        };
        // Told once: the next start says it again, and does not go on.
        if let (Err(error), true) = (&kept, is_well) {
            tracing::error!(error, "the log's end is not kept in the data folder any more");
        }
        is_well = kept.is_ok();
        if is_last {
            return;
        }
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Where the log ends, unless what is known of it is not in it any more.
async fn advance(store: &dyn Engine, known: &Head) -> Result<Head, HeadError> {
    let found = read_head(store).await?;
    check_known(known, found.position, store).await?;
    Ok(found)
}
