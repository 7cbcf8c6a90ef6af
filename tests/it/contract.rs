//! The document is a contract: public tools take it, a generated client works, fuzzing finds no breach.
//!
//! The tools are pinned in `tests/contract`, and `scripts/setup.sh` installs them.

use crate::support::ocim::Ground;
use ocim_api_spec::ProblemType;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Problems that a client can't cause by itself in a test of this kind: they need a slow line, two
/// writers at one moment, or an Ocim that is not well. Other tests meet them.
const NOT_CAUSED: [ProblemType; 6] = [
    ProblemType::RequestTimeout,
    ProblemType::VersionConflict,
    ProblemType::IdempotencyKeyInUse,
    ProblemType::Internal,
    ProblemType::Busy,
    ProblemType::Unavailable,
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract")
}

/// The folder into which `scripts/setup.sh` installs the tools.
fn tools() -> PathBuf {
    let given = std::env::vars_os().find(|(name, _)| name == "CONTRACT_TOOLS_DIR");
    let folder = given.map(|(_, folder)| PathBuf::from(folder));
    let folder = folder.expect("CONTRACT_TOOLS_DIR: run by `make test`, or source scripts/env.sh");
    assert!(folder.join("venv/bin").is_dir(), "{}: run scripts/setup.sh", folder.display());
    folder
}

/// Runs one of the tools to its end, which must be a good one; what it printed.
async fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let bin = tools().join("venv/bin");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let mut command = Command::new(bin.join(program));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command.env_clear().env("PATH", path).env("HOME", folder).env("NO_COLOR", "1");
    let output = command.output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}\n{errors}");
    text
}

/// The real program with a region that is simulated, where two launches at a time may run.
async fn serve_simulated_region() -> Ground {
    let clouds = r#"{"sim": {"kind": "simulated", "seed": 7, "speed": 2000, "launches_max": 2}}"#;
    let mut ground = Ground::prepare().await;
    ground.start_with(&[("OCIM_CLOUDS", clouds)]).await;
    ground
}

/// A folder with the document.
fn with_document() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = ocim::http::openapi::document_text().unwrap();
    fs::write(folder.path().join("openapi.json"), text).unwrap();
    folder
}

#[tokio::test]
async fn a_public_linter_finds_the_document_valid() {
    let folder = with_document();
    run(folder.path(), "openapi-spec-validator", &["openapi.json"]).await;
}

#[tokio::test]
async fn each_example_is_one_of_its_schema() {
    let folder = with_document();
    let script = sources().join("examples.py").display().to_string();
    let seen = run(folder.path(), "python", &[&script, "openapi.json"]).await;
    assert!(seen.trim().parse::<usize>().unwrap() > 80, "{seen}");
}

#[tokio::test]
async fn typescript_takes_the_generated_types_in_its_strict_mode() {
    let folder = with_document();
    let modules = tools().join("node_modules");
    let script = |path: &str| modules.join(path).display().to_string();
    let generate = script("openapi-typescript/bin/cli.js");
    run(folder.path(), "node", &[&generate, "openapi.json", "--output", "api.ts"]).await;
    fs::copy(sources().join("client.ts"), folder.path().join("client.ts")).unwrap();
    let check = script("typescript/bin/tsc");
    run(folder.path(), "node", &[&check, "--strict", "--noEmit", "client.ts"]).await;
}

#[tokio::test]
async fn the_generated_python_client_does_the_main_job_and_meets_each_error() {
    let folder = with_document();
    let into = ["--output-path", "ocim_client", "--meta", "none", "--fail-on-warning"];
    let arguments = [["generate", "--path", "openapi.json"].as_slice(), &into].concat();
    run(folder.path(), "openapi-python-client", &arguments).await;
    fs::copy(sources().join("client.py"), folder.path().join("client.py")).unwrap();
    let ground = serve_simulated_region().await;
    let (url, token) = ground.access();
    let met = run(folder.path(), "python", &["client.py", url, token]).await;
    let met: BTreeSet<_> = met.split_whitespace().collect();
    let wanted = ProblemType::ALL.iter().filter(|kind| !NOT_CAUSED.contains(kind));
    assert_eq!(met, wanted.map(|kind| kind.name()).collect());
}

/// Three seeds, all checks, all phases.
#[tokio::test]
async fn schemathesis_finds_no_breach_of_the_document() {
    let folder = with_document();
    let ground = serve_simulated_region().await;
    let unreachable = "a balancer is not as it should be domain=\"balancer.example.com\"";
    ground.expected.add(&[
        (unreachable, "it registers the balancer of the example, which nobody is"),
        ("a provider keeps failing: left alone provider=", "it tries servers of its own making"),
    ]);
    let (url, token) = ground.access();
    let authorization = format!("Authorization: Bearer {token}");
    ground.post("/tokens", json!({"name": "spare", "scope": "all"})).await;
    let config = sources().join("schemathesis.toml").display().to_string();
    for seed in ["1", "2", "3"] {
        let place = ["--config-file", &config, "run", "openapi.json", "--url", url];
        let how = ["--header", &authorization, "--seed", seed, "--no-color"];
        run(folder.path(), "schemathesis", &[place.as_slice(), &how].concat()).await;
        // Else it had tried nothing but the refusal.
        ground.get("/api/v1/instances").await;
    }
}

#[test]
fn each_check_that_is_switched_off_has_its_reason_and_there_are_five_at_most() {
    let text = fs::read_to_string(sources().join("schemathesis.toml")).unwrap();
    let mut reason = false;
    for line in text.lines() {
        let off = line.contains("enabled = false") || line.contains("expected-statuses");
        assert!(!off || reason, "no reason stands above `{line}`");
        reason = line.starts_with("# ") || (reason && !line.is_empty());
    }
    let exceptions = text.split("[[operations]]").skip(1).map(|block| {
        let is_off =
            |line: &&str| line.contains("enabled = false") || line.contains("parameters =");
        block.lines().filter(is_off).count().max(1)
    });
    assert!(exceptions.sum::<usize>() <= 5, "each is a place where nobody looks");
}
