//! Python virtual environments, one for each set of requirements, made once and kept.

use super::AnsibleConfig;
use super::tools::{lock_file, run_tool};
use crate::ports::PortError;
use ocim_domain::saga::ErrorCode;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MAKE_TIMEOUT: Duration = Duration::from_secs(120);
const INSTALL_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const LOCK_TIMEOUT: Duration = Duration::from_secs(35 * 60);
/// How deep requirements may include each other.
const INCLUDES_MAX: usize = 10;

/// The environment for these requirements; made by the first who asks, while the others wait.
pub(super) async fn ensure_environment(
    config: &AnsibleConfig,
    requirements: &Path,
) -> Result<PathBuf, PortError> {
    let text = read_requirements(requirements, 0)?;
    let version = run_tool(config.tool(&config.python).arg("--version"), MAKE_TIMEOUT)
        .await
        .map_err(|error| error.permanent(ErrorCode::ProgramMissing, "Python does not run"))?;
    let python = config.python.display();
    let hash = Sha256::digest(format!("{python}\n{version}\n{text}"));
    let environments = config.folder.join("environments");
    // An environment's scripts name the place that it was made in, so that must be the real one.
    let environments = std::fs::create_dir_all(&environments)
        .and_then(|()| environments.canonicalize())
        .map_err(|error| broken(&environments, &error))?;
    let folder = environments.join(&format!("{hash:x}")[..32]);
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(folder);
    }
    let _lock = lock_file(&folder.with_extension("lock"), LOCK_TIMEOUT).await?;
    if !complete.exists() {
        // It is made in its place, as its scripts name it; the mark tells a whole one from the
        // rest of one whose maker died.
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|error| broken(&folder, &error))?;
        }
        make_environment(config, requirements, &folder).await?;
        std::fs::write(&complete, text).map_err(|error| broken(&folder, &error))?;
    }
    Ok(folder)
}

async fn make_environment(
    config: &AnsibleConfig,
    requirements: &Path,
    folder: &Path,
) -> Result<(), PortError> {
    let mut make = config.tool(&config.python);
    make.args(["-m", "venv"]).arg(folder);
    run_tool(&mut make, MAKE_TIMEOUT).await.map_err(|error| {
        error.permanent(
            ErrorCode::RequirementsNotInstallable,
            "the virtual environment cannot be made",
        )
    })?;
    let mut install = config.tool(&folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet"]);
    if let Some(wheels) = &config.wheels_dir {
        install.arg("--no-index").arg("--find-links").arg(wheels);
    }
    install.arg("--requirement").arg(requirements);
    install.current_dir(requirements.parent().unwrap_or(Path::new("/")));
    run_tool(&mut install, INSTALL_TIMEOUT)
        .await
        .map_err(|error| error.transient("pip cannot install the requirements"))?;
    Ok(())
}

/// The file's text, and that of the files it includes.
fn read_requirements(path: &Path, depth: usize) -> Result<String, PortError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if depth > INCLUDES_MAX {
        return Err(PortError::permanent(
            ErrorCode::RequirementsNotInstallable,
            format!("{name}: the requirements include each other"),
        ));
    }
    let mut text = std::fs::read_to_string(path).map_err(|error| {
        PortError::permanent(
            ErrorCode::RequirementsNotInstallable,
            format!("the requirements {name} cannot be read: {error}"),
        )
    })?;
    let included: Vec<String> = text.lines().filter_map(find_include).map(str::to_owned).collect();
    for file in included {
        let beside = path.parent().unwrap_or(Path::new("/")).join(file);
        text.push('\n');
        text.push_str(&read_requirements(&beside, depth + 1)?);
    }
    Ok(text)
}

/// The file that a line `-r FILE`, `-c FILE` or one of their long forms includes.
fn find_include(line: &str) -> Option<&str> {
    ["--requirement", "--constraint", "-r", "-c"]
        .iter()
        .find_map(|option| line.trim().strip_prefix(option))
        .map(|rest| rest.trim_start_matches(['=', ' ', '\t']).trim())
        .filter(|file| !file.is_empty() && !file.contains("://"))
}

fn broken(folder: &Path, error: &std::io::Error) -> PortError {
    PortError::transient(format!("{}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_requirements_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("all.txt"), "-r base.txt\nx==1\n").unwrap();
        std::fs::write(folder.path().join("base.txt"), "y==2\n").unwrap();
        let text = read_requirements(&folder.path().join("all.txt"), 0).unwrap();
        assert!(text.contains("x==1") && text.contains("y==2"), "{text}");
        std::fs::write(folder.path().join("base.txt"), "--requirement=all.txt\n").unwrap();
        assert!(read_requirements(&folder.path().join("all.txt"), 0).is_err());
    }

    #[test]
    fn only_includes_of_files_are_followed() {
        assert_eq!(find_include("-r a.txt"), Some("a.txt"));
        assert_eq!(find_include("--constraint=b.txt"), Some("b.txt"));
        assert_eq!(find_include("-r https://example.org/a.txt"), None);
        assert_eq!(find_include("ansible-core==2.19.14"), None);
        assert_eq!(find_include("requests"), None);
    }
}
