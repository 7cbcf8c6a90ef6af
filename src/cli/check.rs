//! `ocim check`: whether all that Ocim needs is there, before it is started.

use super::database::Database;
use super::error::{CliError, Kind};
use super::output::Output;
use crate::config::{Config, ConfigError};
use crate::data_folder::DataFolder;
use serde::Serialize;
use std::path::Path;

/// Programs that runs call, each with the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("git", "git"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/sbin/haproxy", "haproxy"),
];

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    is_fine: bool,
    says: String,
}

impl Finding {
    fn new(what: &str, outcome: Result<String, String>) -> Self {
        let is_fine = outcome.is_ok();
        let says = outcome.unwrap_or_else(|error| error);
        Self { what: what.to_owned(), is_fine, says }
    }
}

/// Looks at everything and tells of each; fails unless all is fine.
///
/// # Errors
/// [`Kind::Failed`] when something is not.
pub(super) async fn run(
    config: Result<Config, Vec<ConfigError>>,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut findings = vec![];
    match config {
        Ok(config) => {
            findings.push(Finding::new("configuration", Ok("is valid".to_owned())));
            findings.push(Finding::new("server", check_server(&config)));
            findings.push(Finding::new("database", check_database(&config).await));
            findings.push(Finding::new("ansible's python", check_python(&config)));
        }
        Err(errors) => findings.extend(
            errors.iter().map(|error| Finding::new("configuration", Err(error.to_string()))),
        ),
    }
    let programs = PROGRAMS.iter().map(|(name, package)| check_program(name, package));
    findings.extend(programs);
    output.table(
        &findings,
        &[
            ("", &|it| if it.is_fine { "ok" } else { "FAILS" }.to_owned()),
            ("WHAT", &|it| it.what.clone()),
            ("SAYS", &|it| it.says.clone()),
        ],
    )?;
    match findings.iter().filter(|it| !it.is_fine).count() {
        0 => Ok(()),
        count => Err(CliError::new(Kind::Failed, format!("{count} of the checks failed"))),
    }
}

fn check_server(config: &Config) -> Result<String, String> {
    match DataFolder::find_server(&config.data_dir) {
        Ok(Some(record)) => Ok(format!("process {} answers at {}", record.pid, record.address)),
        Ok(None) => Ok(format!("none runs on {}", config.data_dir.display())),
        Err(error) => Err(crate::telemetry::chain(&error)),
    }
}

async fn check_database(config: &Config) -> Result<String, String> {
    let database = Database::open(config).await.map_err(|error| error.message)?;
    let version = async {
        let client = database.pool.get().await.map_err(|error| error.to_string())?;
        let row = client.query_one("show server_version", &[]).await;
        row.map(|row| row.get::<_, String>(0)).map_err(|error| error.to_string())
    }
    .await;
    database.close().await;
    version.map(|version| format!("PostgreSQL {version} answers"))
}

fn check_python(config: &Config) -> Result<String, String> {
    let path = &config.ansible_python_path;
    if path.is_file() {
        Ok(path.display().to_string())
    } else {
        Err(format!("{} is missing: install python3, or set ANSIBLE_PYTHON_PATH", path.display()))
    }
}

/// Looks for a program by its path, or in the usual folders.
fn check_program(name: &str, package: &str) -> Finding {
    let folders = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|it| it.is_file());
    let short = name.rsplit('/').next().unwrap_or(name);
    let missing = || format!("is missing: install the Debian package {package}");
    Finding::new(short, found.map(|path| path.display().to_string()).ok_or_else(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let finding = check_program("no-such-program", "nothing");
        assert!(!finding.is_fine);
        assert_eq!(finding.says, "is missing: install the Debian package nothing");
        assert!(check_program("sh", "dash").is_fine);
    }
}
