//! What the README says to type works as it stands.

use crate::support::ocim::{Ground, PATIENCE};
use std::path::Path;
use std::process::Stdio;

/// The first block of commands below a heading.
fn commands_below<'a>(readme: &'a str, heading: &str) -> &'a str {
    let below = readme.split_once(heading).unwrap().1;
    below.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_readme_says_works_when_pasted() {
    let ground = Ground::prepare().await;
    let readme = include_str!("../../README.md");
    let (build, commands) = commands_below(readme, "## Use it\n").split_once('\n').unwrap();
    assert!(build.starts_with("make build; source scripts/env.sh"), "{build}");

    let program = Path::new(env!("CARGO_BIN_EXE_ocim")).parent().unwrap().display().to_string();
    let inherited = std::env::vars_os().find(|(name, _)| name == "PATH").unwrap().1;
    let mut shell = tokio::process::Command::new("bash");
    shell.args(["-e", "-c", commands]).current_dir(ground.root().join("empty"));
    for (name, value) in ground.command(&[]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // The commands say what they need.
    shell.env_remove("DEFAULT_CONFIGURATION_REPO_URL").env_remove("ANSIBLE_APPSERVER_REPO");
    shell.env("PATH", format!("{program}:{}", inherited.display()));
    shell.stdin(Stdio::null()).kill_on_drop(true);
    let output =
        tokio::time::timeout(2 * PATIENCE, shell.output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("http://alpha.localhost"), "{said}");
    assert!(said.contains("nothing needs you"), "{said}");
}
