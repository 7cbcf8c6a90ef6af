//! The `ocim` program.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    ocim::cli::main().await
}
