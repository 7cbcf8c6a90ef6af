//! The `ocim` program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Whatever speaks TLS uses this one; a second call, by nobody so far, would change nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ocim::cli::main().await
}
