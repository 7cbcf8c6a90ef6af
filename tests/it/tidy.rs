//! Keeps the project tidy: headers, sizes, layers, documents that tell the truth.

mod hardening;
mod parity;
mod root;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const FILE_LINES_MAX: usize = 600;
const README_LINES_MAX: usize = 175;

/// Which words may not stand in which files, and why. A path that ends in `/` is a folder; the
/// exceptions are whole paths. Tests at the end of a file are not looked at.
const LAYERS: [(&str, &[&str], &[&str], &str); 10] = [
    (
        "domain/src/",
        &[
            "std::fs",
            "std::net::Tcp",
            "std::process",
            "std::env",
            "std::thread",
            "tokio",
            "rand::",
            "async fn",
            "SystemTime",
        ],
        &[],
        "the domain is pure: no I/O, clock, randomness or async",
    ),
    (
        "projections/src/",
        &["std::fs", "std::process", "std::env", "tokio", "async fn", "SELECT ", "INSERT "],
        &[],
        "projectors turn events into row changes as data",
    ),
    (
        "api-spec/src/",
        &["ocim_domain"],
        &[],
        "wire types do not know the domain; src/http converts",
    ),
    (
        "engine/src/",
        &[
            "ocim_adapters",
            "ocim_domain::appserver",
            "ocim_domain::configuration",
            "ocim_domain::fragment",
            "ocim_domain::hosts",
            "ocim_domain::instance",
            "ocim_domain::inventory",
            "ocim_domain::load_balancer",
            "ocim_domain::name",
            "ocim_domain::region",
            "ocim_domain::resources",
            "ocim_domain::run_record",
            "ocim_domain::server",
            "ocim_domain::settings",
            "ocim_domain::shared_server",
            "ocim_domain::token",
            "ocim_projections::ALL",
        ],
        &[],
        "the engine knows no Open edX and no adapter",
    ),
    (
        "adapters/src/",
        &["ocim_domain::instance", "ocim_domain::appserver::", "ocim_domain::settings"],
        &[],
        "an adapter knows its port and its server",
    ),
    (
        "src/http/",
        &["tokio_postgres", "SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "::decide("],
        &[],
        "handlers unpack, call the app once, convert",
    ),
    ("src/http/", &OUTSIDE, &[], "handlers see ports, never who implements them"),
    ("src/app/", &["actix_web", "SELECT "], &[], "the app knows no outside"),
    ("src/app/", &OUTSIDE, &[], "the app sees ports, never who implements them"),
    ("src/processes/", &OUTSIDE, &[], "steps work through ports"),
];

/// Who implements ports.
const OUTSIDE: [&str; 10] = [
    "ocim_adapters::balancer::haproxy",
    "ocim_adapters::cloud::local",
    "ocim_adapters::cloud::openstack",
    "ocim_adapters::hosts::finder",
    "ocim_adapters::logs::postgres",
    "ocim_adapters::playbooks::ansible",
    "ocim_adapters::shell::ssh",
    "ocim_adapters::simulated",
    "ocim_adapters::sites::http",
    "ocim_adapters::system",
];

/// Which of our crates each crate may know.
const CRATES: [(&str, &[&str]); 5] = [
    ("domain", &[]),
    ("projections", &["ocim-domain"]),
    ("api-spec", &[]),
    ("adapters", &["ocim-domain"]),
    ("engine", &["ocim-domain", "ocim-projections"]),
];

/// The files of the project: tracked, or new and not ignored.
fn list_files() -> Vec<String> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names in UTF-8");
    let files: Vec<String> =
        text.lines().filter(|path| root().join(path).is_file()).map(str::to_owned).collect();
    assert!(files.iter().any(|path| path == "src/lib.rs"), "{files:?}");
    files
}

fn list_code() -> Vec<(String, String)> {
    let is_code = |path: &String| Path::new(path).extension().is_some_and(|end| end == "rs");
    list_files().into_iter().filter(is_code).map(|path| (path.clone(), read(&path))).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file's lines without comments and without the tests at its end.
fn working_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut findings = vec![];
    for (path, text) in list_code() {
        if !text.starts_with("//! ") {
            findings.push(format!("{path}: does not open with `//!` and its purpose"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        if Path::new(&path).file_name().is_some_and(|name| name == "mod.rs") {
            findings.push(format!("{path}: modules are foo.rs beside foo/"));
        }
    }
    assert_none(&findings);
}

#[test]
fn layers_know_only_what_they_may() {
    let code = list_code();
    let mut findings = vec![];
    for (layer, words, exceptions, reason) in LAYERS {
        let parent = format!("{}.rs", layer.trim_end_matches('/'));
        let belongs = |path: &str| path.starts_with(layer) || path == parent;
        for (path, text) in code.iter().filter(|(path, _)| belongs(path)) {
            if exceptions.contains(&path.as_str()) {
                continue;
            }
            for (number, line) in working_lines(text) {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    findings.push(format!("{path}:{number}: `{word}`: {reason}"));
                }
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn only_the_stores_look_into_positions() {
    // Engines leave gaps: who counts with positions counts wrong.
    let words = ["Position([", "osition.0", ".0[0]", ".0[1]"];
    let mut findings = vec![];
    for (path, text) in list_code() {
        let is_above =
            ["src/", "engine/src/", "projections/src/"].iter().any(|top| path.starts_with(top));
        if !is_above || path.starts_with("engine/src/store/") {
            continue;
        }
        for (number, line) in working_lines(&text) {
            if words.iter().any(|word| line.contains(word)) {
                findings
                    .push(format!("{path}:{number}: positions are compared, never taken apart"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn crates_know_only_what_they_may() {
    for (name, known) in CRATES {
        let manifest = read(&format!("{name}/Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        let ours = dependencies.lines().filter(|line| line.starts_with("ocim-"));
        let ours: Vec<_> = ours.filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
        assert_eq!(ours, known, "{name}");
    }
}

/// The modules at the top of a crate, each with those that it names.
fn list_known_modules(crate_folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in list_code() {
        let Some(rest) = path.strip_prefix(crate_folder) else { continue };
        let module = rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        for (_, line) in working_lines(&text) {
            for named in line.split("crate::").skip(1) {
                let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
                let named: String = named.chars().take_while(|c| is_name(*c)).collect();
                if named != module && !named.is_empty() {
                    known.entry(module.clone()).or_default().insert(named);
                }
            }
        }
    }
    known
}

#[test]
fn no_modules_know_each_other_in_a_circle() {
    for folder in ["src/", "engine/src/", "projections/src/", "api-spec/src/"] {
        let mut known = list_known_modules(folder);
        // Those that know nobody who is left are taken away, until nobody is.
        loop {
            let left: BTreeSet<String> = known.keys().cloned().collect();
            let before = known.len();
            known.retain(|_, named| named.iter().any(|name| left.contains(name)));
            if known.len() == before {
                break;
            }
        }
        assert!(known.is_empty(), "{folder}: these know each other in a circle: {known:#?}");
    }
}

#[test]
fn only_the_configuration_reads_the_environment() {
    let mut findings = vec![];
    for (path, text) in list_code() {
        // Where programs lie is no setting of ours.
        let may_read = ["src/config.rs", "adapters/src/program.rs"].contains(&path.as_str());
        if may_read || path.contains("tests/") {
            continue;
        }
        for (number, line) in working_lines(&text) {
            if line.contains("env::var") || line.contains("env::set_var") {
                findings.push(format!("{path}:{number}: src/config.rs reads the environment"));
            }
        }
    }
    assert_none(&findings);
}

/// Who starts a process other than by `adapters/src/program.rs`, and why.
const STARTERS: [(&str, &str); 5] = [
    ("adapters/src/program.rs", "the one way"),
    ("adapters/src/shell/ssh.rs", "a login by hand has the terminal of whoever asks for it"),
    ("adapters/src/cloud/local/isolation.rs", "a local machine outlives Ocim"),
    ("src/embedded_postgres/supervisor.rs", "PostgreSQL runs as long as Ocim does"),
    ("src/cli/sites.rs", "a person's own browser needs a person's environment"),
];

#[test]
fn programs_are_run_in_one_way() {
    let mut findings = vec![];
    let is_ours = |path: &str| !path.contains("tests/") && !path.contains("benches/");
    for (path, text) in list_code().iter().filter(|(path, _)| is_ours(path)) {
        let starts = working_lines(text).find(|(_, line)| line.contains("Command::new("));
        let is_listed = STARTERS.iter().any(|(listed, _)| listed == path);
        match starts {
            Some((number, _)) if !is_listed => {
                findings.push(format!("{path}:{number}: adapters/src/program.rs runs programs"));
            }
            None if is_listed => findings.push(format!("{path}: starts no process any more")),
            _ => {}
        }
    }
    assert_none(&findings);
}

/// Those that read models without a scope: they tell how Ocim is, not what it has.
const UNSCOPED: [&str; 2] = ["src/http/health.rs", "src/http/metrics.rs"];

#[test]
fn no_handler_leaves_out_who_asks() {
    let mut findings = vec![];
    for (path, text) in list_code().iter().filter(|(path, _)| path.starts_with("src/http/")) {
        for (number, line) in working_lines(text) {
            let reads_all = line.contains(".read_models()")
                && !line.contains(".changes()")
                && !UNSCOPED.contains(&path.as_str());
            if reads_all || line.contains("_: ReqData<Caller>") {
                findings.push(format!("{path}:{number}: what is shown depends on who asks"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn no_test_is_switched_off() {
    // In pieces, since this file is looked at too.
    let words = [concat!("#[ig", "nore"), concat!("#[should_", "panic"), concat!("todo", "!(")];
    let mut findings = vec![];
    for (path, text) in list_code() {
        for (index, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                findings.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn no_file_speaks_of_the_machine_it_was_written_on() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/w", "t/"),
        concat!("/ro", "ot/."),
        concat!("real", "stack"),
    ];
    let mut findings = vec![];
    for path in list_files() {
        // Pictures and the like are no text.
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (index, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{path}:{}: `{word}`", index + 1));
            }
        }
    }
    assert_none(&findings);
}

/// Words in backticks, or links' targets, that look like paths of this repository.
fn named_paths(text: &str) -> BTreeSet<&str> {
    let tops = [
        "src/",
        "domain/",
        "engine/",
        "adapters/",
        "projections/",
        "api-spec/",
        "migrations/",
        "playbooks/",
    ];
    let more = ["tests/", "benches/", "docs/", "scripts/", "console/", ".ci/"];
    let is_path = |word: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        tops.iter().chain(&more).any(|top| word.starts_with(top)) && word.chars().all(is_plain)
    };
    text.split(['`', '(', ')', ' ', '\n', '|', ',', '"']).filter(is_path).collect()
}

/// Paths in other repositories, which documents name as defaults.
const ELSEWHERE: [&str; 1] = ["playbooks/appserver.yml"];

#[test]
fn paths_named_in_documents_exist() {
    let mut findings = vec![];
    for path in list_files() {
        let is_document = path == "README.md" || path.starts_with("docs/");
        if !is_document || !path.ends_with(".md") {
            continue;
        }
        let text = read(&path);
        for named in named_paths(&text) {
            let named = named.trim_end_matches(['.', ':']);
            if !root().join(named).exists() && !ELSEWHERE.contains(&named) {
                findings.push(format!("{path}: names {named}, which is not there"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn the_readme_is_for_a_stranger_in_a_hurry() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines, at most {README_LINES_MAX}");
}

#[test]
fn decisions_are_short_numbered_and_listed() {
    let index = read("docs/adr/README.md");
    let mut numbers = vec![];
    for path in list_files() {
        let Some(name) = path.strip_prefix("docs/adr/").filter(|name| *name != "README.md") else {
            continue;
        };
        assert!(index.contains(name), "docs/adr/README.md does not list {name}");
        let text = read(&path);
        assert!(text.lines().count() <= 30, "{name} is longer than 30 lines");
        for part in ["## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(part), "{name} lacks `{part}`");
        }
        numbers.push(name[..4].parse::<usize>().expect("a number of four digits"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "numbers from 1, without gaps");
}
