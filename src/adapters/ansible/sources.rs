//! Where playbooks come from: this binary, or cached mirrors of git repositories.

use super::AnsibleConfig;
use super::tools::{ToolError, lock_file, run_tool};
use crate::ports::PortError;
use crate::ports::playbooks::Source;
use include_dir::{Dir, DirEntry, include_dir};
use ocim_domain::saga::ErrorCode;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

static BUNDLED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/playbooks");

const CLONE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const LOCAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Puts a fresh copy of the source into the folder `into`, which does not exist yet.
pub(super) async fn fetch_source(
    config: &AnsibleConfig,
    source: &Source,
    into: &Path,
) -> Result<(), PortError> {
    match source {
        Source::Bundled(name) => unpack_bundled(name, into),
        Source::Git { repository, version } => checkout(config, repository, version, into).await,
    }
}

fn unpack_bundled(name: &str, into: &Path) -> Result<(), PortError> {
    let folder = BUNDLED.get_dir(name).ok_or_else(|| {
        PortError::permanent(
            ErrorCode::PlaybookNotFound,
            format!("no bundled playbook is called {name}"),
        )
    })?;
    unpack(folder, folder.path(), into)
        .map_err(|error| PortError::transient(format!("{name} cannot be unpacked: {error}")))
}

fn unpack(folder: &Dir<'_>, above: &Path, into: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(into)?;
    for entry in folder.entries() {
        let path = into.join(entry.path().strip_prefix(above).unwrap_or(entry.path()));
        match entry {
            DirEntry::Dir(inner) => unpack(inner, inner.path(), &path)?,
            DirEntry::File(file) => std::fs::write(path, file.contents())?,
        }
    }
    Ok(())
}

async fn checkout(
    config: &AnsibleConfig,
    repository: &str,
    version: &str,
    into: &Path,
) -> Result<(), PortError> {
    let refused = |text: &str| {
        Err(PortError::permanent(ErrorCode::PlaybookNotFound, format!("{text}: {version:?}")))
    };
    if repository.starts_with('-') || repository.is_empty() {
        return Err(PortError::permanent(
            ErrorCode::PlaybookNotFound,
            format!("not a git repository: {repository:?}"),
        ));
    }
    if version.starts_with('-') || version.is_empty() {
        return refused("not a branch, tag or commit");
    }
    let (mirror, commit) = find_commit(config, repository, version).await?;
    let Some(commit) = commit else {
        return refused("the repository has no such branch, tag or commit");
    };
    let git = |folder: &Path, arguments: &[&str]| git_command(config, folder, arguments);
    // `--shared` sees every commit of the mirror, those of pull requests too.
    let mut clone = git(&config.folder, &["clone", "--quiet", "--no-checkout", "--shared", "--"]);
    run_git(clone.arg(&mirror).arg(into), LOCAL_TIMEOUT).await?;
    // Submodules with relative addresses are relative to the real repository.
    run_git(&mut git(into, &["remote", "set-url", "origin", repository]), LOCAL_TIMEOUT).await?;
    run_git(&mut git(into, &["checkout", "--quiet", "--detach", &commit]), LOCAL_TIMEOUT).await?;
    let submodules = ["submodule", "--quiet", "update", "--init", "--recursive"];
    run_git(&mut git(into, &submodules), CLONE_TIMEOUT).await?;
    Ok(())
}

/// The mirror of the repository, and the commit that `version` means in it.
async fn find_commit(
    config: &AnsibleConfig,
    repository: &str,
    version: &str,
) -> Result<(PathBuf, Option<String>), PortError> {
    let name = format!("{:x}", Sha256::digest(repository));
    let mirrors = config.folder.join("mirrors");
    std::fs::create_dir_all(&mirrors)
        .map_err(|error| PortError::transient(format!("{}: {error}", mirrors.display())))?;
    let mirror = mirrors.join(format!("{}.git", &name[..32]));
    let _lock = lock_file(&mirror.with_extension("lock"), CLONE_TIMEOUT).await?;
    if !mirror.join("HEAD").exists() {
        clone_mirror(config, repository, &mirror).await?;
    } else if let Some(commit) = resolve_fixed(config, &mirror, version).await? {
        return Ok((mirror, Some(commit)));
    } else {
        run_git(&mut git_command(config, &mirror, &["remote", "update", "--prune"]), CLONE_TIMEOUT)
            .await?;
    }
    let branch = resolve(config, &mirror, &format!("refs/heads/{version}")).await?;
    let commit = match branch {
        Some(commit) => Some(commit),
        None => resolve_fixed(config, &mirror, version).await?,
    };
    Ok((mirror, commit))
}

async fn clone_mirror(
    config: &AnsibleConfig,
    repository: &str,
    mirror: &Path,
) -> Result<(), PortError> {
    let partial = mirror.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial)
            .map_err(|error| PortError::transient(format!("{}: {error}", partial.display())))?;
    }
    // Checkouts borrow the mirror's objects, so it must not drop any.
    let arguments = ["clone", "--quiet", "--mirror", "--config", "gc.auto=0", "--", repository];
    run_git(git_command(config, &config.folder, &arguments).arg(&partial), CLONE_TIMEOUT).await?;
    std::fs::rename(&partial, mirror)
        .map_err(|error| PortError::transient(format!("{}: {error}", mirror.display())))
}

/// The commit, if `version` is a tag or a commit: those stay what they are, branches move.
async fn resolve_fixed(
    config: &AnsibleConfig,
    mirror: &Path,
    version: &str,
) -> Result<Option<String>, PortError> {
    if resolve(config, mirror, &format!("refs/heads/{version}")).await?.is_some() {
        return Ok(None);
    }
    if let Some(commit) = resolve(config, mirror, &format!("refs/tags/{version}")).await? {
        return Ok(Some(commit));
    }
    resolve(config, mirror, version).await
}

async fn resolve(
    config: &AnsibleConfig,
    mirror: &Path,
    name: &str,
) -> Result<Option<String>, PortError> {
    let wanted = format!("{name}^{{commit}}");
    let arguments = ["rev-parse", "--quiet", "--verify", "--end-of-options", &wanted];
    match run_tool(&mut git_command(config, mirror, &arguments), LOCAL_TIMEOUT).await {
        Ok(commit) => Ok(Some(commit.trim().to_owned())),
        Err(ToolError::Failed(_)) => Ok(None),
        Err(error) => Err(error.transient("git rev-parse")),
    }
}

fn git_command(config: &AnsibleConfig, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = config.tool(Path::new("git"));
    command.current_dir(folder).args(arguments).envs([
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=30"),
        ("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh"),
    ]);
    command
}

async fn run_git(command: &mut Command, timeout: Duration) -> Result<String, PortError> {
    run_tool(command, timeout).await.map_err(|error| {
        let mut port_error = error.transient("git");
        port_error.message = hide_credentials(&port_error.message);
        port_error
    })
}

/// Removes `user:password@` from the addresses in a text.
fn hide_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', ' ', '\'', '"', '\n']).unwrap_or(part.len());
        let start = part[..authority].rfind('@').map_or(0, |at| at + 1);
        hidden.push_str("://");
        hidden.push_str(&part[start..]);
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_playbooks_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("source");
        unpack_bundled("demo_site", &into).unwrap();
        for file in [
            "requirements.txt",
            "playbooks/openedx_native.yml",
            "playbooks/roles/demo_site/files/server.py",
        ] {
            assert!(into.join(file).is_file(), "{file}");
        }
        assert!(unpack_bundled("no_such", &folder.path().join("other")).is_err());
    }

    #[test]
    fn both_bundled_sets_share_one_environment() {
        let read = |name: &str| BUNDLED.get_file(name).map(include_dir::File::contents);
        assert!(read("demo_site/requirements.txt").is_some());
        assert_eq!(
            read("demo_site/requirements.txt"),
            read("load_balancer/requirements.txt"),
            "the demo would make two virtual environments"
        );
    }

    #[test]
    fn credentials_in_addresses_are_hidden() {
        assert_eq!(
            hide_credentials("fatal: unable to access 'https://me:se@cret@host/x.git/': no"),
            "fatal: unable to access 'https://host/x.git/': no"
        );
        assert_eq!(hide_credentials("git@host:x is not there"), "git@host:x is not there");
    }
}
