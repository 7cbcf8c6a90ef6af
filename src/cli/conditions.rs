//! Which runs an order is for: `stuck provider=local`, on the command line's `--where`.

use super::client::Client;
use super::error::{CliError, Kind};
use super::list::{Filter, is_admitted, read_filter};
use ocim_api_spec::{Run, RunPhase};

/// What a run must be to be meant; it is open in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    is_stuck: bool,
    providers: Vec<String>,
    filters: Vec<Filter>,
}

impl std::str::FromStr for Conditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut read = Self { is_stuck: false, providers: vec![], filters: vec![] };
        for word in text.split_whitespace() {
            match (word, word.split_once('=')) {
                ("stuck", _) => read.is_stuck = true,
                ("open", _) => {}
                (_, Some(("provider", name))) => read.providers.push(name.to_owned()),
                (_, Some(("step", name))) => {
                    read.filters.push(read_filter(&format!("current_step={name}"))?);
                }
                _ => read.filters.push(read_filter(word).map_err(|_| {
                    format!("`{word}`: write `stuck`, `provider=NAME`, `step=NAME` or FIELD=VALUE")
                })?),
            }
        }
        // An order to everything that runs is nothing to be given by mistake.
        let is_blank = read.filters.is_empty() && read.providers.is_empty() && !read.is_stuck;
        if is_blank {
            Err("name at least one condition, e.g. `stuck`".to_owned())
        } else {
            Ok(read)
        }
    }
}

impl Conditions {
    /// The open runs that fit, oldest first.
    ///
    /// # Errors
    /// What the server says; [`Kind::NotFound`] where none fits, [`Kind::Usage`] for a field that
    /// runs don't have.
    pub(super) async fn find_runs(&self, client: &Client) -> Result<Vec<Run>, CliError> {
        let admit = |run: &Run| self.admit(run);
        let query = [("open", "true"), ("limit", "200")];
        let mut runs = client.get_first("/runs", &query, usize::MAX, admit).await?;
        runs.reverse();
        if runs.is_empty() {
            return Err(CliError::new(Kind::NotFound, "no open run fits"));
        }
        Ok(runs)
    }

    fn admit(&self, run: &Run) -> Result<bool, CliError> {
        let fits = |name: &String| run.providers.iter().any(|provider| is_called(provider, name));
        let is_meant = self.providers.iter().all(fits);
        let is_so = !self.is_stuck || run.phase == RunPhase::Stuck;
        Ok(is_meant && is_so && is_admitted(&self.filters, run)?)
    }
}

/// Whether a provider, e.g. `region local`, is meant by its name, with or without its kind.
fn is_called(provider: &str, name: &str) -> bool {
    provider == name || provider.split_once(' ').is_some_and(|(_, own)| own == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_words_and_fields() {
        let read = |text: &str| text.parse::<Conditions>();
        let known = read("stuck provider=local step=create_server definition=x").unwrap();
        assert!(known.is_stuck && known.providers == ["local"] && known.filters.len() == 2);
        for wrong in ["", "open", "stcuk", "=x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(is_called("region local", "local") && is_called("region local", "region local"));
        assert!(!is_called("region local", "loc"));
    }
}
