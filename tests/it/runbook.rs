//! `docs/RUNBOOK.md` is enough: each page's trouble is seen and resolved by the commands that it names.

mod machines;
mod node;
mod running;
mod stuck;
mod traffic;
mod waits;

use crate::support::api_server::ApiServer;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use tokio::process::Command;

/// What everybody has read before any page.
const INTRODUCTION: [&str; 2] = ["Which runs need me", "What one may do to a run"];

/// Somebody who has read the introduction and one page, and has a terminal.
struct Desk {
    server: ApiServer,
    page: String,
    known: String,
}

impl Desk {
    /// Opens the page of that heading.
    async fn open(heading: &str) -> Self {
        let page = read_page(heading);
        let known = INTRODUCTION.map(read_page).join(" ") + &page;
        Self { server: ApiServer::start().await, page, known }
    }

    /// What a command prints that the pages name, and that succeeds.
    async fn tell(&self, arguments: &[&str]) -> String {
        let output = self.ocim(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command in a dry run, which must change nothing, and then in earnest.
    async fn order(&self, arguments: &[&str]) -> String {
        let with_reason = [arguments, &["--reason", "the runbook says so"]].concat();
        let would = self.tell(&[&with_reason[..], &["--dry-run"]].concat()).await;
        let did = self.tell(&with_reason).await;
        assert_eq!(would.replace("It would:", "Done:"), did, "it does what it said");
        did
    }

    /// The exit code of a command.
    async fn ask(&self, arguments: &[&str]) -> i32 {
        self.ocim(arguments).await.status.code().unwrap()
    }

    async fn ocim(&self, arguments: &[&str]) -> Output {
        let name = command_path(arguments.iter().copied()).join(" ");
        assert!(self.known.contains(&format!("ocim {name}")), "no page names `ocim {name}`");
        let mut command = program();
        command.arg("--data-dir").arg(self.server.data_dir()).args(arguments);
        command.env("DATABASE_URL", self.server.database.url());
        self.server.catch_up().await;
        command.output().await.unwrap()
    }

    /// The page has these words, and so has what was told.
    #[track_caller]
    fn finds(&self, told: &str, words: &[&str]) {
        for word in words {
            assert!(self.page.contains(word), "the page does not say `{word}`");
            assert!(told.contains(word), "`{word}` was not told: {told}");
        }
    }
}

/// The program, without this process's own configuration.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocim"));
    command.env_clear().env("HOME", "/nonexistent").current_dir("/").kill_on_drop(true);
    command
}

fn read_runbook() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RUNBOOK.md");
    std::fs::read_to_string(path).unwrap()
}

/// A page without its line breaks.
fn read_page(heading: &str) -> String {
    let runbook = read_runbook();
    let mut pages = runbook.split("\n## ").skip(1);
    let page = pages.find(|page| page.lines().next() == Some(heading));
    let page = page.unwrap_or_else(|| panic!("the runbook has no page `{heading}`"));
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a command up to what stands for something, e.g. `run explain`.
fn command_path<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let is_name = |word: &&str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    words.take_while(is_name).take(2).collect()
}

/// All commands of the runbook with their options: in backticks, or lines of a block.
fn named_commands() -> BTreeMap<Vec<String>, BTreeSet<String>> {
    let runbook = read_runbook();
    let mut named = BTreeMap::<Vec<String>, BTreeSet<String>>::new();
    for piece in runbook.split('`') {
        let lines: Vec<String> = match piece.lines().count() {
            0..=2 => vec![piece.split_whitespace().collect::<Vec<_>>().join(" ")],
            _ => piece.lines().map(str::to_owned).collect(),
        };
        for line in lines {
            let Some(words) = line.strip_prefix("ocim ") else { continue };
            let words: Vec<&str> = words.split_whitespace().collect();
            let path = command_path(words.iter().copied()).into_iter().map(str::to_owned).collect();
            let options = words.iter().filter(|word| word.starts_with("--"));
            named.entry(path).or_default().extend(options.map(|it| (*it).to_owned()));
        }
    }
    named
}

#[tokio::test]
async fn every_command_and_option_that_the_runbook_names_exists() {
    let named = named_commands();
    assert!(named.len() > 20, "{named:?}");
    for (path, options) in named {
        let output = program().args(&path).arg("--help").output().await.unwrap();
        assert!(output.status.success(), "ocim {path:?}: {output:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains(&format!("Usage: ocim {}", path.join(" "))), "ocim {path:?}: {help}");
        for option in options {
            assert!(help.contains(&option), "ocim {path:?} has no {option}");
        }
    }
}

#[test]
fn every_page_of_a_trouble_says_how_it_looks_why_what_to_do_and_what_not() {
    let runbook = read_runbook();
    let pages: Vec<_> = runbook.split("\n## ").skip(1 + INTRODUCTION.len()).collect();
    assert!(pages.len() > 10, "{}", pages.len());
    for page in pages {
        for part in ["- **Looks**: ", "- **Why**: ", "- **Do**: ", "- **Don't**: "] {
            assert!(page.contains(part), "{}: no {part}", page.lines().next().unwrap());
        }
    }
    for code in ["undo_failed", "step_failed", "unknown_definition", "crash_loop"] {
        read_page(&format!("Stuck: `{code}`"));
    }
}
