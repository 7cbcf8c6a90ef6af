//! Python virtual environments, one for each set of packages that pip resolves, made once and kept.
//!
//! pip alone reads requirement files. What it would install (names, versions, hashes) and what local
//! paths hold is an environment's key, so that nobody gets what another site's files say. It works
//! isolated (`-I`) in a copy of the source: neither the source nor the copy can be imported by it.
//! Packages installed from local paths lie in a copy inside their environment, which stays with it.

use super::AnsibleConfig;
use super::answers::judge_pip;
use super::tools::{TellPort, copy_tree, lock_file, run_tool};
use crate::file_work::work_aside;
use crate::playbooks::Source;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MAKE_TIMEOUT: Duration = Duration::from_secs(120);
const INSTALL_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const LOCK_TIMEOUT: Duration = Duration::from_secs(35 * 60);
/// The copy of the source inside an environment with packages from local paths.
const OWN_COPY: &str = "checkout";

/// A source that lies in a folder, and its requirements file's path inside.
pub(super) struct Wanted<'a> {
    pub(super) source: &'a Source,
    /// The commit that it is, where it is of a git repository.
    pub(super) commit: Option<&'a str>,
    pub(super) root: &'a Path,
    pub(super) requirements: &'a str,
    /// Whether pip is asked even if it was asked for this commit before: other versions may have come
    /// out. A play takes what was found when its launch looked.
    pub(super) is_look: bool,
}

/// What pip would install.
#[derive(Debug, PartialEq, Eq)]
struct Pins {
    /// A line for each package, with all that tells its content from any other.
    lines: BTreeSet<String>,
    /// Whether one of them comes from a folder of the source.
    has_local: bool,
}

/// The environment for these requirements; made by the first who asks, while the others wait.
pub(super) async fn ensure_environment(
    config: &AnsibleConfig,
    wanted: &Wanted<'_>,
) -> Result<PathBuf, PortError> {
    let version = run_tool(config.tool(&config.python).args(["-I", "--version"]), MAKE_TIMEOUT)
        .await
        .map_err(|error| error.permanent(ErrorCode::ProgramMissing, "Python does not run"))?;
    let environments = config.folder.join("environments");
    // An environment's scripts name the place that it was made in, so that must be the real one.
    let environments = std::fs::create_dir_all(&environments)
        .and_then(|()| environments.canonicalize())
        .map_err(|error| broken(&environments, &error))?;
    let named = |kind: &str| {
        let text = format!("{}\n{version}\n{kind}", config.python.display());
        environments.join(&format!("{:x}", Sha256::digest(text))[..32])
    };
    if matches!(wanted.source, Source::Bundled(_)) {
        // Ours, and the same for everybody: the text says it all.
        let requirements = wanted.root.join(wanted.requirements);
        let text = std::fs::read_to_string(&requirements)
            .map_err(|error| broken(&requirements, &error))?;
        let folder = named(&text);
        let install = async || {
            make_venv(config, &folder).await?;
            install(config, &folder, wanted.root, wanted.requirements).await.map(drop)
        };
        ensure_complete(&folder, &text, install).await?;
        return Ok(folder);
    }
    let known = named(&format!("known {:?} {}", wanted.commit, wanted.requirements));
    let known = known.with_extension("known");
    if !wanted.is_look
        && let Ok(name) = std::fs::read_to_string(&known)
        && environments.join(&name).join("complete").exists()
    {
        return Ok(environments.join(name));
    }
    let resolver = named("pip alone");
    ensure_complete(&resolver, "", async || make_venv(config, &resolver).await).await?;
    let scratch = super::make_scratch(config)?;
    let copy = scratch.path().join(OWN_COPY);
    copy_tree(config, wanted.root, &copy).await?;
    let report = run_pip(config, &resolver, &copy, wanted.requirements, &["--dry-run"]).await?;
    let pins = read_pins_aside(report, &copy, wanted.root).await?;
    let text = pins.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let folder = named(&text);
    let fill = async || {
        make_venv(config, &folder).await?;
        let place = if pins.has_local { folder.join(OWN_COPY) } else { copy.clone() };
        if pins.has_local {
            copy_tree(config, wanted.root, &place).await?;
        }
        let report = install(config, &folder, &place, wanted.requirements).await?;
        if read_pins_aside(report, &place, wanted.root).await? == pins {
            return Ok(());
        }
        let text = "other versions of packages came out while the requirements were installed";
        Err(PortError::transient(text).blamed_on(Blame::Other))
    };
    ensure_complete(&folder, &text, fill).await?;
    let name = folder.file_name().unwrap_or_default().as_encoded_bytes();
    std::fs::write(&known, name).map_err(|error| broken(&known, &error))?;
    Ok(folder)
}

/// Makes the folder unless it is there. It is made in its place, as its scripts name it; a mark with
/// this text tells a whole one from the rest of one whose maker died.
async fn ensure_complete(
    folder: &Path,
    text: &str,
    make: impl AsyncFnOnce() -> Result<(), PortError>,
) -> Result<(), PortError> {
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(());
    }
    let _lock = lock_file(&folder.with_extension("lock"), LOCK_TIMEOUT).await?;
    if complete.exists() {
        return Ok(());
    }
    if folder.exists() {
        let broken_one = folder.to_owned();
        work_aside("remove a broken environment", move || {
            std::fs::remove_dir_all(&broken_one).map_err(|error| broken(&broken_one, &error))
        })
        .await?;
    }
    make().await?;
    std::fs::write(&complete, text).map_err(|error| broken(folder, &error))
}

async fn make_venv(config: &AnsibleConfig, folder: &Path) -> Result<(), PortError> {
    let mut make = config.tool(&config.python);
    make.args(["-I", "-m", "venv"]).arg(folder);
    run_tool(&mut make, MAKE_TIMEOUT).await.map(drop).map_err(|error| {
        let code = ErrorCode::RequirementsNotInstallable;
        error.permanent(code, "the virtual environment cannot be made")
    })
}

async fn install(
    config: &AnsibleConfig,
    folder: &Path,
    root: &Path,
    requirements: &str,
) -> Result<Report, PortError> {
    run_pip(config, folder, root, requirements, &[]).await
}

/// What pip did, or with `--dry-run` would do, for the requirements of a source that lies in `root`.
async fn run_pip(
    config: &AnsibleConfig,
    environment: &Path,
    root: &Path,
    requirements: &str,
    options: &[&str],
) -> Result<Report, PortError> {
    let report = tempfile::NamedTempFile::new_in(environment)
        .map_err(|error| broken(environment, &error))?;
    let mut pip = config.tool(&environment.join("bin/python"));
    pip.args(["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
    pip.arg("--quiet").args(options).arg("--report").arg(report.path());
    if let Some(wheels) = &config.wheels_dir {
        pip.arg("--no-index").arg("--find-links").arg(wheels);
    }
    let requirements = root.join(requirements);
    pip.arg("--requirement").arg(&requirements);
    // Local paths are relative to where the file lies.
    pip.current_dir(requirements.parent().unwrap_or(root));
    run_tool(&mut pip, INSTALL_TIMEOUT).await.map_err(|error| judge_pip(&error))?;
    let text = std::fs::read(report.path()).map_err(|error| broken(report.path(), &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        let text = format!("pip's report can't be read: {error}");
        PortError::permanent(ErrorCode::Defect, text).blamed_on(Blame::Other)
    })
}

/// pip's installation report, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Report {
    install: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    metadata: Metadata,
    download_info: Download,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Download {
    url: String,
    archive_info: Option<Value>,
    vcs_info: Option<Value>,
    dir_info: Option<Value>,
}

/// As [`read_pins`]: what local folders hold may be much.
async fn read_pins_aside(report: Report, copy: &Path, root: &Path) -> Result<Pins, PortError> {
    let (copy, root) = (copy.to_owned(), root.to_owned());
    work_aside("read what pip installed", move || read_pins(&report, &copy, &root)).await
}

/// The packages of a report on the source's copy `copy`; local folders by what they hold in `root`,
/// where pip has not been at work.
fn read_pins(report: &Report, copy: &Path, root: &Path) -> Result<Pins, PortError> {
    let mut pins = Pins { lines: BTreeSet::new(), has_local: false };
    for package in &report.install {
        let Metadata { name, version } = &package.metadata;
        let download = &package.download_info;
        let content = match (&download.dir_info, &download.vcs_info, &download.archive_info) {
            (Some(info), ..) => {
                pins.has_local = true;
                let inside = find_inside(&download.url, copy).ok_or_else(|| {
                    let text = format!("the requirements name {name} outside of the repository");
                    PortError::permanent(ErrorCode::RequirementsNotInstallable, text)
                })?;
                let place = root.join(&inside);
                let held = hash_tree(&place).map_err(|error| broken(&place, &error))?;
                format!("{} {info} {held}", inside.display())
            }
            (None, Some(info), _) => format!("{} {}", download.url, info["commit_id"]),
            (None, None, Some(info)) if info["hash"].is_string() => info["hash"].to_string(),
            _ => download.url.clone(),
        };
        pins.lines.insert(format!("{name}=={version} {content}"));
    }
    Ok(pins)
}

/// The path inside `folder` that a `file:` URL names.
fn find_inside(url: &str, folder: &Path) -> Option<PathBuf> {
    let path = reqwest::Url::parse(url).ok()?.to_file_path().ok()?;
    let real = path.canonicalize().ok()?;
    real.strip_prefix(folder.canonicalize().ok()?).ok().map(Path::to_owned)
}

/// A hash of names, contents, links and executable bits below a folder.
fn hash_tree(folder: &Path) -> std::io::Result<String> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    fn add(hash: &mut Sha256, place: &Path) -> std::io::Result<()> {
        let mut entries: Vec<_> = std::fs::read_dir(place)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (name, kind, path) = (entry.file_name(), entry.file_type()?, entry.path());
            if name == ".git" {
                continue;
            }
            let content = match () {
                () if kind.is_dir() => vec![],
                () if kind.is_symlink() => std::fs::read_link(&path)?.as_os_str().as_bytes().into(),
                () => std::fs::read(&path)?,
            };
            let mode =
                if kind.is_file() { entry.metadata()?.permissions().mode() & 0o111 } else { 0 };
            hash.update(format!("{name:?} {} {} {mode}\n", kind.is_dir(), kind.is_symlink()));
            hash.update(content.len().to_le_bytes());
            hash.update(content);
            if kind.is_dir() {
                add(hash, &path)?;
                hash.update("end\n");
            }
        }
        Ok(())
    }

    let mut hash = Sha256::new();
    add(&mut hash, folder)?;
    Ok(format!("{:x}", hash.finalize()))
}

fn broken(folder: &Path, error: &std::io::Error) -> PortError {
    PortError::transient(format!("{}: {error}", folder.display())).blamed_on(Blame::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A copy and an original with a package in `lib`.
    fn places() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (copy, root) = (folder.path().join("copy"), folder.path().join("root"));
        for place in [&copy, &root] {
            fs::create_dir_all(place.join("lib")).unwrap();
            fs::write(place.join("lib/code.py"), "1").unwrap();
        }
        (folder, copy, root)
    }

    fn report(download: Value) -> Report {
        let package = serde_json::json!({
            "metadata": { "name": "lib", "version": "1.0" }, "download_info": download,
        });
        serde_json::from_value(serde_json::json!({ "install": [package] })).unwrap()
    }

    #[test]
    fn a_local_package_is_known_by_what_its_folder_holds() {
        let (_folder, copy, root) = places();
        let url = format!("file://{}", copy.join("lib").display());
        let pins = |editable: bool| {
            let info = serde_json::json!({ "url": url, "dir_info": { "editable": editable } });
            read_pins(&report(info), &copy, &root).unwrap()
        };
        let first = pins(false);
        assert!(first.has_local && first != pins(true));
        // What building left in the copy is not the source's.
        fs::write(copy.join("lib/lib.egg-info"), "built").unwrap();
        assert_eq!(pins(false), first);
        fs::write(root.join("lib/code.py"), "2").unwrap();
        assert_ne!(pins(false), first);
    }

    #[test]
    fn a_package_outside_of_the_source_is_refused() {
        let (folder, copy, root) = places();
        for place in ["root/lib", "copy/../root/lib", "none"] {
            let url = format!("file://{}", folder.path().join(place).display());
            let info = serde_json::json!({ "url": url, "dir_info": {} });
            let error = read_pins(&report(info), &copy, &root).unwrap_err();
            assert!(error.message.contains("outside of the repository"), "{error}");
        }
    }

    #[test]
    fn archives_are_known_by_their_hashes_and_commits_by_their_ids() {
        let pins = |download: Value| {
            let (copy, root) = (Path::new("/copy"), Path::new("/root"));
            read_pins(&report(download), copy, root).unwrap().lines
        };
        let wheel = |at: &str, hash: &str| {
            pins(serde_json::json!({ "url": at, "archive_info": { "hash": hash } }))
        };
        assert_eq!(wheel("https://a/x.whl", "sha256=1"), wheel("https://b/x.whl", "sha256=1"));
        assert_ne!(wheel("https://a/x.whl", "sha256=1"), wheel("https://a/x.whl", "sha256=2"));
        let commit = |id: &str| {
            pins(serde_json::json!({ "url": "https://a/x", "vcs_info": { "commit_id": id } }))
        };
        assert_ne!(commit("1"), commit("2"));
    }
}
