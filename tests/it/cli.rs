//! The real binary, pointed at a server through its data folder.

mod attempts;
mod balancers;
mod bulk;
mod clean_ups;
mod completion;
mod day;
mod doctor;
mod events;
mod incidents;
mod instances;
mod launch_plans;
mod lifecycle;
mod lists;
mod logs;
mod machines;
mod operations;
mod orders;
mod places;
mod references;
mod runs;
mod shared_servers;
mod status;
mod timers;
mod tokens;
mod told;

use crate::support::api_server::ApiServer;
use std::path::Path;
use std::process::{Output, Stdio};

/// The program, without this process's own configuration.
fn ocim(data_dir: &Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ocim"));
    command.env_clear().env("HOME", "/nonexistent").current_dir("/").kill_on_drop(true);
    command.arg("--data-dir").arg(data_dir).args(arguments).stdin(Stdio::null());
    command
}

/// What becomes of a command that finds the read models up to date.
async fn run(server: &ApiServer, arguments: &[&str]) -> Output {
    server.catch_up().await;
    ocim(server.data_dir(), arguments).output().await.unwrap()
}

/// Standard output of a command that must succeed.
async fn answer(server: &ApiServer, arguments: &[&str]) -> String {
    let output = run(server, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Exit code and the one line on standard error of a command that must fail.
async fn refusal(server: &ApiServer, arguments: &[&str]) -> (i32, String) {
    let output = run(server, arguments).await;
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    (output.status.code().unwrap(), line)
}
