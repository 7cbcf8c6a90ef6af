//! Commands on machines, by SSH. Real: [`ssh`]. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod simulated;
pub mod ssh;

use crate::cloud::Address;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;

/// Logs in to machines: host keys are always checked.
#[async_trait]
pub trait Shell: Send + Sync + std::fmt::Debug {
    /// Runs one command by SSH, which reads `input`, and returns its output.
    ///
    /// Transient until sshd answers; permanent when the host key is not one of `host_keys`.
    async fn run(
        &self,
        address: &Address,
        host_keys: &[String],
        command: &str,
        input: &[u8],
    ) -> Result<String, PortError>;

    /// The id that changes with every boot of the machine.
    async fn read_boot_id(
        &self,
        address: &Address,
        host_keys: &[String],
    ) -> Result<String, PortError>;
}
