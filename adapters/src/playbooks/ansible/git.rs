//! Commits of git repositories: what a version means now, mirrored once for all launches.

use super::AnsibleConfig;
use super::answers::judge_git;
use super::logins::offer_logins;
use super::submodules::KeptSubmodules;
use super::tools::{lock_file, run_tool};
use crate::program::{Program, ProgramError};
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CLONE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const ASK_TIMEOUT: Duration = Duration::from_secs(120);
/// The most that a repository says of the names that end like one.
const ANSWER_BYTES: usize = 16 << 20;
const LOCAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Puts the files of that version, submodules included, into the folder `into`, which does not exist
/// yet; the commit that it is. What a look has fetched is kept for the play.
pub(super) async fn checkout(
    config: &AnsibleConfig,
    repository: &str,
    version: &str,
    into: &Path,
    is_look: bool,
) -> Result<String, PortError> {
    if repository.starts_with('-') || repository.is_empty() {
        return Err(not_found(format!("not a git repository: {repository:?}")));
    }
    if version.starts_with('-') || version.is_empty() {
        return Err(not_found(format!("not a branch, tag or commit: {version:?}")));
    }
    let (mirror, commit) = find_commit(config, repository, version).await?;
    let git = |folder: &Path, arguments: &[&str]| git_command(config, folder, arguments);
    // `--shared` sees every commit of the mirror, those of pull requests too.
    let mut clone = git(&config.folder, &["clone", "--quiet", "--no-checkout", "--shared", "--"]);
    run_git(clone.arg(&mirror).arg(into), LOCAL_TIMEOUT, Blame::Other).await?;
    // Submodules with relative addresses are relative to the real repository.
    let set_origin = ["remote", "set-url", "--", "origin", repository];
    run_git(&mut git(into, &set_origin), LOCAL_TIMEOUT, Blame::Other).await?;
    // Written like this it can't be the name of a branch.
    let exactly = format!("{commit}^{{commit}}");
    let detach = ["checkout", "--quiet", "--detach", &exactly];
    run_git(&mut git(into, &detach), LOCAL_TIMEOUT, Blame::Other).await?;
    let kept = KeptSubmodules::new(config, &mirror, &commit);
    kept.give(into).await?;
    let submodules = ["submodule", "--quiet", "update", "--init", "--recursive"];
    let mut update = remote_command(config, into, &submodules)?;
    run_git(&mut update, CLONE_TIMEOUT, Blame::Caller).await?;
    if is_look {
        kept.keep(into).await?;
    }
    Ok(commit)
}

/// The mirror of the repository, and the commit that `version` means now. Only a whole commit id
/// stays what it is: once it is here, nobody is asked. Everything else may have moved.
async fn find_commit(
    config: &AnsibleConfig,
    repository: &str,
    version: &str,
) -> Result<(PathBuf, String), PortError> {
    let name = format!("{:x}", Sha256::digest(repository));
    let mirrors = config.folder.join("mirrors");
    std::fs::create_dir_all(&mirrors).map_err(|error| {
        let text = format!("{}: {error}", mirrors.display());
        PortError::transient(text).blamed_on(Blame::Other)
    })?;
    let mirror = mirrors.join(format!("{}.git", &name[..32]));
    let _lock = lock_file(&mirror.with_extension("lock"), CLONE_TIMEOUT).await?;
    let wanted = match is_commit_id(version) {
        true => version.to_owned(),
        // What the repository does not name may be the beginning of an id, or `main~2`.
        false => ask_repository(config, repository, version).await?.unwrap_or(version.to_owned()),
    };
    let is_here = is_commit_id(&wanted) && mirror.join("HEAD").exists();
    let here = if is_here { read_commit(config, &mirror, &wanted).await? } else { None };
    let commit = match here {
        Some(commit) => Some(commit),
        None => {
            update_mirror(config, repository, &mirror).await?;
            read_commit(config, &mirror, &wanted).await?
        }
    };
    let unknown = || {
        let what = "the repository has no such branch, tag or commit";
        not_found(format!("{what}: {version:?}"))
    };
    Ok((mirror, commit.ok_or_else(unknown)?))
}

fn not_found(text: String) -> PortError {
    PortError::permanent(ErrorCode::PlaybookNotFound, text)
}

/// Whether a version is the whole id of a commit, by SHA-1 or SHA-256.
fn is_commit_id(version: &str) -> bool {
    matches!(version.len(), 40 | 64) && version.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The object that the repository itself means by that name at this moment; none where it names
/// nothing so. A branch comes before a tag.
async fn ask_repository(
    config: &AnsibleConfig,
    repository: &str,
    version: &str,
) -> Result<Option<String>, PortError> {
    let arguments = ["ls-remote", "--quiet", "--", repository, version];
    let mut command = remote_command(config, &config.folder, &arguments)?;
    let listed = run_git(command.keep(ANSWER_BYTES), ASK_TIMEOUT, Blame::Provider).await?;
    Ok(find_named(&listed, version))
}

/// The id that `ls-remote` lists for a name. It matches ends of names, so there may be others.
fn find_named(listed: &str, version: &str) -> Option<String> {
    let names =
        [version.to_owned(), format!("refs/heads/{version}"), format!("refs/tags/{version}")];
    let find = |name: &String| {
        let lines = listed.lines().filter_map(|line| line.split_once('\t'));
        lines.filter(|(_, listed)| listed == name).map(|(id, _)| id.to_owned()).next()
    };
    names.iter().find_map(find)
}

/// Makes the mirror, or brings it up to date.
async fn update_mirror(
    config: &AnsibleConfig,
    repository: &str,
    mirror: &Path,
) -> Result<(), PortError> {
    if mirror.join("HEAD").exists() {
        let mut update = remote_command(config, mirror, &["remote", "update", "--prune"])?;
        return run_git(&mut update, CLONE_TIMEOUT, Blame::Provider).await.map(drop);
    }
    let broken = |place: &Path, error: &std::io::Error| {
        PortError::transient(format!("{}: {error}", place.display())).blamed_on(Blame::Other)
    };
    let partial = mirror.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(|error| broken(&partial, &error))?;
    }
    // Checkouts borrow the mirror's objects, so it must not drop any.
    let arguments = ["clone", "--quiet", "--mirror", "--config", "gc.auto=0", "--", repository];
    let mut clone = remote_command(config, &config.folder, &arguments)?;
    run_git(clone.arg(&partial), CLONE_TIMEOUT, Blame::Provider).await?;
    std::fs::rename(&partial, mirror).map_err(|error| broken(mirror, &error))
}

/// The commit of that name in the mirror.
async fn read_commit(
    config: &AnsibleConfig,
    mirror: &Path,
    name: &str,
) -> Result<Option<String>, PortError> {
    let wanted = format!("{name}^{{commit}}");
    let arguments = ["rev-parse", "--quiet", "--verify", "--end-of-options", &wanted];
    match run_tool(&mut git_command(config, mirror, &arguments), LOCAL_TIMEOUT).await {
        Ok(commit) => Ok(Some(commit.trim().to_owned())),
        Err(ProgramError::Failed { .. }) => Ok(None),
        Err(error) => Err(judge_git(&error, Blame::Other)),
    }
}

fn git_command(config: &AnsibleConfig, folder: &Path, arguments: &[&str]) -> Program {
    let mut command = config.tool(Path::new("git"));
    command.current_dir(folder).args(arguments).envs([
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=30"),
        ("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh"),
        // A connection that has fallen silent is given up after a minute.
        ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
        ("GIT_HTTP_LOW_SPEED_TIME", "60"),
    ]);
    command
}

/// The same, for a repository that may want a login.
fn remote_command(
    config: &AnsibleConfig,
    folder: &Path,
    arguments: &[&str],
) -> Result<Program, PortError> {
    let mut command = git_command(config, folder, arguments);
    offer_logins(&mut command, &config.git_logins, &config.folder.join("logins"))?;
    Ok(command)
}

async fn run_git(
    command: &mut Program,
    timeout: Duration,
    whose: Blame,
) -> Result<String, PortError> {
    run_tool(command, timeout).await.map_err(|error| judge_git(&error, whose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ids_are_fixed() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert!(is_commit_id(id) && is_commit_id(&format!("{id}{}", &id[..24])));
        for moving in ["main", "v1", "HEAD", "refs/pull/1/head", &id[..39], &id[..7], "main~2"] {
            assert!(!is_commit_id(moving), "{moving}");
        }
    }

    #[test]
    fn a_name_is_found_whole_and_a_branch_before_a_tag() {
        let listed = "a1\tHEAD\na2\trefs/heads/x/main\na3\trefs/tags/main\na4\trefs/heads/main\n\
                      a5\trefs/pull/1/head\n";
        let cases = [
            ("main", Some("a4")),
            ("x/main", Some("a2")),
            ("HEAD", Some("a1")),
            ("refs/tags/main", Some("a3")),
            ("refs/pull/1/head", Some("a5")),
            ("head", None),
            ("ain", None),
        ];
        for (version, id) in cases {
            assert_eq!(find_named(listed, version).as_deref(), id, "{version}");
        }
    }
}
