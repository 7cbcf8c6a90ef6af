//! `ocim completion`: what shells complete, for every command that there is.

use super::ocim;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::process::Command;

/// The words of every command: the page has all of them, which a test of the command line checks.
fn list_commands() -> BTreeSet<Vec<&'static str>> {
    let page = include_str!("../../../docs/cli.md");
    let spans = page.split('`').skip(1).step_by(2).filter_map(|span| span.strip_prefix("ocim "));
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_word = |word: &&str| is_name(word) && !word.starts_with('-');
    let commands = spans.map(|span| span.split(' ').take_while(is_word).collect::<Vec<_>>());
    // `check` is another name of `doctor`, and the page of `help` is the framework's.
    commands.filter(|words| !words.is_empty() && !["check", "help"].contains(&words[0])).collect()
}

async fn script(shell: &str) -> String {
    let output = ocim(Path::new("/nonexistent"), &["completion", shell]).output().await.unwrap();
    assert!(output.status.success(), "{shell}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The shell itself takes the script, where there is that shell.
async fn assert_taken(program: &str, option: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, script).unwrap();
    match Command::new(program).arg(option).arg(&file).output().await {
        Ok(output) => assert!(output.status.success(), "{program}: {output:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{program}"),
    }
}

#[tokio::test]
async fn bash_completes_every_command() {
    let script = script("bash").await;
    assert_taken("bash", "-n", &script).await;
    let commands = list_commands();
    assert!(commands.len() > 50, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut typing = script;
    for words in &commands {
        let (last, before) = words.split_last().unwrap();
        let typed: String = before.iter().map(|word| format!(" {word}")).collect();
        typing += &format!(
            "\nCOMP_WORDS=(ocim{typed} {last}); COMP_CWORD={}; COMPREPLY=(); _ocim ocim {last} ''; \
             echo \"${{COMPREPLY[*]}}\"",
            words.len()
        );
    }
    let file = folder.path().join("typing");
    std::fs::write(&file, typing).unwrap();
    let output = Command::new("bash").arg(&file).output().await.unwrap();
    let offered = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(offered.lines().count(), commands.len(), "{output:?}");
    for (words, offers) in commands.iter().zip(offered.lines()) {
        let last = words.last().unwrap();
        assert!(offers.split(' ').any(|offer| offer == *last), "{words:?}: {offers}");
    }
}

#[tokio::test]
async fn zsh_completes_every_command() {
    let script = script("zsh").await;
    assert_taken("zsh", "-n", &script).await;
    for words in list_commands() {
        let (last, before) = words.split_last().unwrap();
        let below: String = before.iter().map(|word| format!("__subcmd__{word}")).collect();
        let (_, offers) = script.split_once(&format!("\n_ocim{below}_commands() {{")).unwrap();
        let (offers, _) = offers.split_once("\n}").unwrap();
        assert!(offers.contains(&format!("\n'{last}:")), "{words:?}: {offers}");
    }
}

#[tokio::test]
async fn fish_completes_every_command() {
    let script = script("fish").await;
    assert_taken("fish", "--no-execute", &script).await;
    for words in list_commands() {
        let (last, before) = words.split_last().unwrap();
        let when = match before.first() {
            None => "__fish_ocim_needs_command\"".to_owned(),
            Some(first) => format!("__fish_ocim_using_subcommand {first}; "),
        };
        let offer = format!(" -a \"{last}\"");
        let is_offered = |line: &str| line.contains(&when) && line.contains(&offer);
        assert!(script.lines().any(is_offered), "{words:?}");
    }
}
