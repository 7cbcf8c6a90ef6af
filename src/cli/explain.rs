//! `ocim explain`: the page of a problem or of a code, and where a run stands.

use super::error::{CliError, Kind};
use super::output::Output;
use crate::problem_pages::{find_page, first_sentence, list_pages};
use clap::Args;
use ocim_api_spec::PROBLEMS_PATH;
use serde_json::json;

/// What is to be explained.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A code, e.g. `playbook_failed`; a problem's name or `type`; a run, `run_…`; all codes when
    /// left out
    what: Option<String>,
}

impl ExplainArgs {
    /// The run that is meant, if one is: codes are names, and no ids.
    pub(super) fn run_id(&self) -> Option<&str> {
        self.what.as_deref().filter(|what| what.starts_with("run_"))
    }
}

/// Prints the page, or the list of all. No server is asked.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such page.
pub(super) fn print_page(args: &ExplainArgs, output: &mut Output) -> Result<(), CliError> {
    let Some(what) = args.what.as_deref() else { return list(output) };
    let name = what.rsplit_once(PROBLEMS_PATH).map_or(what, |(_, name)| name);
    let page = find_page(name).ok_or_else(|| {
        let text = format!("there is no code `{what}`: `ocim explain` lists all of them");
        CliError::new(Kind::NotFound, text)
    })?;
    if output.json {
        return output.document(&json!({ "name": name, "page": page }));
    }
    output.own_lines(page.trim_end())
}

fn list(output: &mut Output) -> Result<(), CliError> {
    let told = |name| (name, find_page(name).map(first_sentence).unwrap_or_default());
    let rows: Vec<(&str, &str)> = list_pages().into_iter().map(told).collect();
    output
        .table(&rows, &[("CODE", &|it| it.0.to_owned()), ("WHAT HAPPENED", &|it| it.1.to_owned())])
}
