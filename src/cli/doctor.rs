//! `ocim doctor`: tries all that Ocim needs, says what to do, and writes nothing.

mod database;
mod dns;
mod place;
mod programs;
mod regions;
mod repositories;
mod shared_servers;

use super::error::{CliError, Kind};
use super::output::Output;
use crate::config::{Config, ConfigError};
use serde::Serialize;

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Finding {
    /// What it is, for programs, e.g. `program_git`.
    code: String,
    is_fine: bool,
    /// What was found.
    says: String,
    /// What to do; none where all is well.
    advice: Option<String>,
}

/// What is wrong, and what to do.
type Fault = (String, String);

impl Finding {
    fn new(code: impl Into<String>, outcome: Result<String, Fault>) -> Self {
        let code = code.into();
        match outcome {
            Ok(says) => Self { code, is_fine: true, says, advice: None },
            Err((says, advice)) => Self { code, is_fine: false, says, advice: Some(advice) },
        }
    }
}

fn fault(says: impl Into<String>, advice: impl Into<String>) -> Fault {
    (says.into(), advice.into())
}

/// Tries everything and tells of each; fails unless all is fine.
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
            let valid = "all variables are understood".to_owned();
            findings.push(Finding::new("configuration", Ok(valid)));
            findings.extend(config.notes.iter().map(|note| tell_note(note)));
            findings.extend(place::look(&config));
            let (database, programs, repositories, dns, regions) = tokio::join!(
                database::look(&config),
                programs::look(&config),
                repositories::look(&config),
                dns::look(&config),
                regions::look(&config)
            );
            findings.extend(database);
            findings.extend(programs);
            findings.extend(repositories);
            findings.push(dns);
            findings.extend(regions);
        }
        Err(errors) => findings.extend(errors.iter().map(|error| {
            let advice = "mend it in the environment or in `.env`; src/config.rs documents each";
            Finding::new("configuration", Err(fault(error.to_string(), advice)))
        })),
    }
    output.wide_table(
        &findings,
        &[
            ("WHAT", &|it| it.code.clone()),
            ("", &|it| if it.is_fine { "ok" } else { "FAILS" }.to_owned()),
            ("SAYS", &says),
        ],
        &[],
    )?;
    match findings.iter().filter(|it| !it.is_fine).count() {
        0 => Ok(()),
        1 => Err(CliError::new(Kind::Failed, "1 finding needs you")),
        count => Err(CliError::new(Kind::Failed, format!("{count} findings need you"))),
    }
}

/// What a start says of a setting, too: nothing fails of it.
fn tell_note(note: &str) -> Finding {
    let is_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let name = note.split(|c| !is_of_name(c)).next().unwrap_or_default();
    Finding::new(format!("setting_{}", name.to_lowercase()), Ok(note.to_owned()))
}

fn says(finding: &Finding) -> String {
    let advice = finding.advice.as_ref().map(|advice| format!(": {advice}")).unwrap_or_default();
    format!("{}{advice}", finding.says.replace('\n', " "))
}
