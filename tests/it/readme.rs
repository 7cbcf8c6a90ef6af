//! What the README says to type works as it stands.

use crate::support::ocim::{Ground, PATIENCE};
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

pub(crate) const README: &str = include_str!("../../README.md");

/// The first block of commands below a heading.
pub(crate) fn commands_below<'a>(readme: &'a str, heading: &str) -> &'a str {
    let below = readme.split_once(heading).unwrap().1;
    below.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0
}

/// A shell that runs these commands where `ocim` is known, with the ground's configuration.
pub(crate) fn shell(ground: &Ground, commands: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_ocim")).parent().unwrap().display().to_string();
    let inherited = std::env::vars_os().find(|(name, _)| name == "PATH").unwrap().1;
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", commands]).current_dir(ground.logs());
    for (name, value) in ground.command(&[]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("PATH", format!("{program}:{}", inherited.display()));
    shell.stdin(Stdio::null()).kill_on_drop(true);
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_readme_says_works_when_pasted() {
    let ground = Ground::prepare().await;
    let (build, commands) = commands_below(README, "## Use it\n").split_once('\n').unwrap();
    assert!(build.starts_with("make build; source scripts/env.sh"), "{build}");
    let mut shell = shell(&ground, commands);
    // The commands say what they need.
    shell.env_remove("DEFAULT_CONFIGURATION_REPO_URL").env_remove("ANSIBLE_APPSERVER_REPO");
    let output =
        tokio::time::timeout(2 * PATIENCE, shell.output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("http://alpha.localhost"), "{said}");
    assert!(said.contains("nothing needs you"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_readme_says_to_programs_works_when_pasted() {
    let mut ground = Ground::prepare().await;
    ground.start_with(&[("OCIM_CLOUDS", r#"{"sim": {"kind": "simulated"}}"#)]).await;
    let commands = commands_below(README, "### From a program\n");
    assert!(commands.contains("127.0.0.1:5000"), "{commands}");
    let commands = commands.replace("127.0.0.1:5000", ground.address());
    let said = ground.root().join("said");
    let file = std::fs::File::create(&said).unwrap();
    let mut shell = shell(&ground, &commands);
    shell.stdout(file.try_clone().unwrap()).stderr(file);
    let mut shell = shell.spawn().unwrap();
    let await_words = async |ground: &Ground, words: &str| {
        let has_words =
            async || std::fs::read_to_string(&said).unwrap().contains(words).then_some(());
        ground.wait_for(&format!("`{words}` from the pasted commands"), has_words).await;
    };
    await_words(&ground, "event: caught_up").await;
    ground.post("/instances", json!({ "sub_domain": "gamma", "name": "Gamma" })).await;
    await_words(&ground, r#""kind":"instance.created""#).await;
    let made = ground.get("/api/v1/instances").await;
    assert!(made["items"].to_string().contains("beta.localhost"), "{made}");
    // The stream, which goes on for ever, ends with the server.
    assert!(ground.terminate().await.0.success());
    let ended = tokio::time::timeout(PATIENCE, shell.wait()).await.expect("it ends").unwrap();
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(ended.success(), "{said}");
    for words in [r#"{"items":[]}"#, r#"{"id":"inst_"#, "event: appended"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
