//! The variables that an Appserver was made with, as people may see them.

use super::error::AppError;
use super::{App, Caller};
use ocim_domain::appserver::Appserver;
use ocim_domain::configuration::Variables;
use ocim_domain::configuration::shown_variables::hide_secrets;
use ocim_domain::ids::AppserverId;
use ocim_domain::right::ReadScope;

impl App {
    /// The variables that an Appserver was made with, its secrets hidden; none until it is frozen, and
    /// where their key was deleted.
    ///
    /// # Errors
    /// [`AppError`] without a store, or where they can't be read.
    pub async fn read_variables(
        &self,
        by: &Caller,
        id: AppserverId,
    ) -> Result<Option<Variables>, AppError> {
        let ReadScope::Everything = by.sees;
        let loaded = self.journal.load::<Appserver>(&id.stream()).await?;
        let frozen = loaded.state.present().map(|present| &present.launched.variables);
        let Some(text) = frozen.and_then(|variables| variables.open()) else { return Ok(None) };
        let variables = serde_json::from_str(text).map_err(AppError::internal)?;
        Ok(Some(hide_secrets(&variables)))
    }
}
