//! Finds the programs of an installed PostgreSQL.

use super::PostgresError;
use ocim_adapters::program::Program;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Debian keeps each major version in a folder of its own here, outside of `PATH`.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// One installed PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    /// Its major version.
    pub(super) major: u32,
    /// The folder with `initdb` and `postgres`.
    pub(super) bin: PathBuf,
}

/// The newest one installed, or the one of the major version that `cluster` was made by.
pub(super) async fn find_programs(cluster: &Path) -> Result<Programs, PostgresError> {
    let installed = list_installed().await;
    let Some((&newest, _)) = installed.last_key_value() else {
        return Err(PostgresError::NotInstalled);
    };
    let wanted = read_major(cluster).unwrap_or(newest);
    match installed.get(&wanted) {
        Some(bin) => Ok(Programs { major: wanted, bin: bin.clone() }),
        None => {
            let names: Vec<String> = installed.keys().map(u32::to_string).collect();
            Err(PostgresError::OtherMajor {
                cluster: cluster.to_owned(),
                made_by: wanted,
                installed: names.join(", "),
            })
        }
    }
}

/// The major version that a cluster was made by, if there is a cluster.
pub(super) fn read_major(cluster: &Path) -> Option<u32> {
    parse_major(&fs::read_to_string(cluster.join("PG_VERSION")).ok()?)
}

async fn list_installed() -> BTreeMap<u32, PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(DEBIAN_FOLDER)
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    if let Some(text) = ask(Program::new("pg_config"), "--bindir").await {
        folders.push(PathBuf::from(text.trim()));
    }
    let mut installed = BTreeMap::new();
    for bin in folders {
        // Client packages put folders there too.
        if !bin.join("initdb").is_file() {
            continue;
        }
        let version = ask(Program::new(bin.join("postgres")), "--version").await;
        if let Some(major) = version.and_then(|text| parse_major(text.split(' ').nth(2)?)) {
            installed.entry(major).or_insert(bin);
        }
    }
    installed
}

/// What a program says to a question; `None` when it is not there or does not work.
async fn ask(mut program: Program, question: &str) -> Option<String> {
    let output = program.arg(question).run(VERSION_TIMEOUT).await.ok()?;
    String::from_utf8(output.stdout).ok()
}

fn parse_major(version: &str) -> Option<u32> {
    let digits = version.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors_are_read_from_all_forms() {
        let cases = [
            ("15\n", Some(15)),
            ("15.18", Some(15)),
            ("18beta1", Some(18)),
            ("9.6", Some(9)),
            ("x", None),
        ];
        for (text, major) in cases {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }
}
