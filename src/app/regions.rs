//! Commands on regions: how many launches run at a time.

use super::{App, AppError, Caller, Done};
use ocim_domain::region::{Command, LAUNCHES_MAX, Region, region_id};

impl App {
    /// Lets so many launches run at a time in a region from now on, whatever the configuration says.
    /// Those that have a slot keep it; the first in line get what is free.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when no such region is configured; [`AppError::Invalid`] for a number
    /// outside of 1 to 1000.
    pub async fn set_launches_max(
        &self,
        by: &Caller,
        region: &str,
        limit: u32,
    ) -> Result<Done<()>, AppError> {
        if !self.setting.regions.iter().any(|known| known == region) {
            return Err(AppError::not_found("region", region));
        }
        if !(1..=LAUNCHES_MAX).contains(&limit) {
            let rule = format!("must be a number from 1 to {LAUNCHES_MAX}");
            return Err(AppError::invalid("launches_max", rule));
        }
        let command = Command::SetLimit { region: region.to_owned(), limit };
        let stream = region_id(region).stream();
        let executed = self.journal.execute::<Region>(&stream, &by.metadata(), command).await?;
        Ok(Done { value: (), position: executed.position })
    }
}
