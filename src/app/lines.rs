//! Where runs that wait in line stand, and who is before them.

use super::App;
use super::error::AppError;
use ocim_domain::ids::RunId;
use ocim_domain::region::{Region, region_id};
use ocim_domain::run_record::{LaunchInput, MoveInput};
use ocim_domain::saga::{Held, Phase, Run, Saga};
use ocim_domain::server::Server;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Those before a run that are named.
const NAMED_MAX: usize = 3;

/// The steps that wait in a line of other runs.
pub const IN_LINE: [&str; 3] = ["await_turn", "await_slot", "claim_traffic"];

/// A line that a step waits in.
#[derive(Debug)]
struct Line {
    /// What it is, for people.
    told: String,
    /// Those who must get on before the one that waits does.
    holders: Vec<RunId>,
    /// Whether it gets on when any of them does, not all.
    any: bool,
}

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
        let lines = self.find_lines(id, run).await?.into_iter();
        Ok(lines.map(|(step, line)| (step, line.told)).collect())
    }

    /// Why those stand still whom a run waits for in line; none where one of them gets on, or where it
    /// waits in no line.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn standstill_before(
        &self,
        id: RunId,
        run: &Run,
    ) -> Result<Option<Held>, AppError> {
        // One that is to be cancelled waits for nobody.
        if !is_in_line(run) || run.cancel.is_some() {
            return Ok(None);
        }
        for line in self.find_lines(id, run).await?.into_values() {
            let mut standing = None;
            for holder in &line.holders {
                let held = self.journal.load::<Saga>(&holder.stream()).await?.state;
                // What is at rest will be taken out of the line, whatever it was held up by.
                let held = held.filter(|run| !run.phase.is_at_rest()).and_then(|run| run.held);
                match (&held, line.any) {
                    (None, true) => return Ok(None),
                    (Some(_), false) => return Ok(held),
                    _ => standing = standing.or(held),
                }
            }
            if standing.is_some() {
                return Ok(standing);
            }
        }
        Ok(None)
    }

    async fn find_lines(&self, id: RunId, run: &Run) -> Result<BTreeMap<String, Line>, AppError> {
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

    async fn line_of_launches(&self, run: &Run) -> Result<Option<Line>, AppError> {
        let Some(input) = input::<LaunchInput>(run) else { return Ok(None) };
        let (instance, _) = self.load_instance(input.instance).await?;
        let all: Vec<_> = instance.launches.iter().map(|launch| launch.run).collect();
        let own = instance.launches.iter().position(|it| it.appserver == input.appserver);
        Ok(own.map(|own| Line {
            told: tell_line("the instance's launches", &all, own),
            holders: all[..own].to_vec(),
            any: false,
        }))
    }

    async fn line_of_region(&self, id: RunId, run: &Run) -> Result<Option<Line>, AppError> {
        let Some(input) = input::<LaunchInput>(run) else { return Ok(None) };
        let server = self.load_appserver(input.appserver).await?.launched.server;
        let server = self.journal.load::<Server>(&server.stream()).await?.state;
        let Some(server) = server.present() else { return Ok(None) };
        let name = &server.requested.region;
        let region = self.journal.load::<Region>(&region_id(name).stream()).await?.state;
        let (running, holders) = (region.running.len(), region.holders());
        let all: Vec<_> = region.queue.into_iter().collect();
        let own = all.iter().position(|it| *it == id);
        let what = format!("the queue of region {name}, where {running} run");
        Ok(own.map(|own| Line { told: tell_line(&what, &all, own), holders, any: true }))
    }

    async fn line_of_traffic(&self, id: RunId, run: &Run) -> Result<Option<Line>, AppError> {
        let instance = match input::<MoveInput>(run) {
            Some(MoveInput::Appserver(input)) => {
                self.load_appserver(input.appserver).await?.launched.instance
            }
            Some(MoveInput::Instance(input)) => input.instance,
            Some(MoveInput::TestLink(input)) => input.instance,
            None => return Ok(None),
        };
        let (instance, _) = self.load_instance(instance).await?;
        let holder = instance.traffic_run.filter(|holder| *holder != id);
        Ok(holder.map(|holder| Line {
            told: format!("{holder} moves the site's traffic"),
            holders: vec![holder],
            any: false,
        }))
    }
}

/// Whether a run, on its way to its goal, waits for others of Ocim's own.
pub(super) fn is_in_line(run: &Run) -> bool {
    let waits = |step: &str| run.steps.get(step).is_some_and(|step| !step.is_finished());
    run.phase == Phase::Forward && IN_LINE.into_iter().any(waits)
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
