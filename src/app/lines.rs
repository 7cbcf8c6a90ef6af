//! Where runs that wait in line stand, and who is before them.

use super::App;
use super::error::AppError;
use ocim_domain::ids::RunId;
use ocim_domain::region::{Region, region_id};
use ocim_domain::run_record::{LaunchInput, TrafficInput};
use ocim_domain::saga::Run;
use ocim_domain::server::Server;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Those before a run that are named.
const NAMED_MAX: usize = 3;

impl App {
    /// The steps of a run that wait in line now, each with its place and who is before it.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn lines_of(
        &self,
        id: RunId,
        run: &Run,
    ) -> Result<BTreeMap<String, String>, AppError> {
        let mut lines = BTreeMap::new();
        if run.phase.is_over() {
            return Ok(lines);
        }
        for (step, _) in run.steps.iter().filter(|(_, step)| !step.is_finished()) {
            let line = match step.as_str() {
                "await_turn" => self.line_of_launches(run).await,
                "await_slot" => self.line_of_region(id, run).await,
                "claim_traffic" => self.line_of_traffic(id, run).await,
                _ => Ok(None),
            };
            match line {
                Ok(line) => lines.extend(line.map(|line| (step.clone(), line))),
                // What it is about never came to be.
                Err(AppError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lines)
    }

    async fn line_of_launches(&self, run: &Run) -> Result<Option<String>, AppError> {
        let Some(input) = input::<LaunchInput>(run) else { return Ok(None) };
        let (instance, _) = self.load_instance(input.instance).await?;
        let all: Vec<_> = instance.launches.iter().map(|launch| launch.run).collect();
        let own = instance.launches.iter().position(|it| it.appserver == input.appserver);
        Ok(own.map(|own| tell_line("the instance's launches", &all, own)))
    }

    async fn line_of_region(&self, id: RunId, run: &Run) -> Result<Option<String>, AppError> {
        let Some(input) = input::<LaunchInput>(run) else { return Ok(None) };
        let server = self.load_appserver(input.appserver).await?.launched.server;
        let server = self.journal.load::<Server>(&server.stream()).await?.state;
        let Some(server) = server.present() else { return Ok(None) };
        let name = &server.requested.region;
        let region = self.journal.load::<Region>(&region_id(name).stream()).await?.state;
        let all: Vec<_> = region.queue.into_iter().collect();
        let own = all.iter().position(|it| *it == id);
        let what = format!("the queue of region {name}, where {} run", region.running.len());
        Ok(own.map(|own| tell_line(&what, &all, own)))
    }

    async fn line_of_traffic(&self, id: RunId, run: &Run) -> Result<Option<String>, AppError> {
        let Some(input) = input::<TrafficInput>(run) else { return Ok(None) };
        let instance = self.load_appserver(input.appserver).await?.launched.instance;
        let (instance, _) = self.load_instance(instance).await?;
        let holder = instance.traffic_run.filter(|holder| *holder != id);
        Ok(holder.map(|holder| format!("{holder} moves the site's traffic")))
    }
}

/// The input of a run, where it is of that kind.
fn input<T: DeserializeOwned>(run: &Run) -> Option<T> {
    serde_json::from_value(run.input.clone()).ok()
}

/// One's place in a line, by its index.
fn tell_line(what: &str, all: &[RunId], own: usize) -> String {
    let mut told = format!("place {} of {} in {what}", own + 1, all.len());
    let before = &all[..own];
    if !before.is_empty() {
        let named: Vec<_> = before.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        told += &format!("; before it: {}", named.join(", "));
    }
    if let Some(more) = before.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        told += &format!(" and {more} more");
    }
    told
}
