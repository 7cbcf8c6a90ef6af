//! Work on files that may take long: on threads of its own, so that those who answer requests go on.

use ocim_domain::port_error::{Blame, PortError};

/// Does the work elsewhere, and waits for it. It goes on to its end though nobody waits any more.
pub(crate) async fn work_aside<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        PortError::transient(format!("could not {what}: {error}")).blamed_on(Blame::Other)
    })?
}
