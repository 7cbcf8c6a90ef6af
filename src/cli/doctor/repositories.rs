//! The repositories of playbooks: each is asked for the version that is configured.

use super::{Fault, Finding, fault};
use crate::config::Config;
use ocim_adapters::program::Program;
use ocim_domain::error_chain::chain;
use std::time::Duration;

/// The most that a repository says of its branches and tags, in bytes.
const ANSWER_BYTES: usize = 64 << 20;
/// Longest wait for a repository.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks each.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let (main, common) = tokio::join!(
        ask(
            config,
            &config.default_configuration_repo_url,
            &config.default_configuration_version,
            "DEFAULT_CONFIGURATION_REPO_URL and DEFAULT_CONFIGURATION_VERSION"
        ),
        ask(
            config,
            &config.ansible_appserver_repo,
            &config.ansible_appserver_version,
            "ANSIBLE_APPSERVER_REPO and ANSIBLE_APPSERVER_VERSION"
        )
    );
    vec![Finding::new("repository_configuration", main), Finding::new("repository_common", common)]
}

async fn ask(config: &Config, url: &str, version: &str, variables: &str) -> Result<String, Fault> {
    if url.is_empty() || url.starts_with("bundled:") {
        let what = if url.is_empty() { "none is configured" } else { "built in" };
        return Ok(what.to_owned());
    }
    let mut command = Program::new("git").of_package("git");
    command.envs(config.tool_environment.clone()).env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=10");
    command.args(["ls-remote", "--", url]);
    let answer = command.keep(ANSWER_BYTES).run(TIMEOUT).await.map_err(|error| {
        let says = format!("{url} does not answer: {}", chain(&error));
        fault(says, format!("look at the network, or at {variables}"))
    })?;
    let refs = String::from_utf8_lossy(&answer.stdout);
    // A commit that is no branch's last one can't be asked for.
    let is_commit = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
    let has = |name: &str| {
        let branch = format!("refs/heads/{version}");
        let tag = format!("refs/tags/{version}");
        name == branch || name == tag || name == version
    };
    if is_commit || refs.lines().filter_map(|line| line.split('\t').nth(1)).any(has) {
        return Ok(format!("{url} has `{version}`"));
    }
    let says = format!("{url} has no branch or tag `{version}`");
    Err(fault(says, format!("look at {variables}")))
}
