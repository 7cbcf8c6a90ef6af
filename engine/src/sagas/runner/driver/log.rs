//! The run's log under a driver: every append is fenced by the version that the driver knows.

use super::{DriveError, Driver};
use crate::journal::{JournalError, Loaded};
use crate::sagas::host::Host;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Metadata, Recorded};
use ocim_domain::saga::{Command, Event, PlantedBug, Saga};

impl<H: Host> Driver<H> {
    /// Appends one event of this run; false when it came too late, because the run has gone
    /// another way meanwhile, or somebody has spoken since it was chosen. What people did in
    /// between is let by; anything else in between means that another runner drives the run.
    pub(super) async fn report(&mut self, event: Event) -> Result<bool, DriveError> {
        loop {
            let state = Some(self.run.clone());
            let command = Command::Report(event.clone());
            let Ok(events) = Saga::decide(&state, command, self.now()) else { return Ok(false) };
            let (version, position) = (Some(self.version), self.position);
            let loaded = Loaded::<Saga> { state, version, position };
            let meta = Metadata {
                correlation_id: Some(self.id.to_string()),
                ..Metadata::by(self.actor())
            };
            match self.world.journal().append(&self.id.stream(), &meta, loaded, events).await {
                Ok(executed) => {
                    if let Some(run) = executed.state {
                        self.run = run;
                    }
                    if matches!(event, Event::StepDone { .. })
                        && self.has_planted(PlantedBug::CancelOverridden)
                    {
                        self.run.cancel = None;
                    }
                    self.version = executed.version;
                    self.position = executed.position;
                    return Ok(true);
                }
                Err(JournalError::VersionConflict) => {
                    self.refresh().await?;
                    // A choice is made anew once somebody has spoken.
                    if !event.tells_an_outcome() {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Folds what others appended to the run's stream.
    pub(super) async fn refresh(&mut self) -> Result<(), DriveError> {
        let stream = self.id.stream();
        let newer = self.world.journal().store().read_stream(&stream, self.version + 1).await;
        for recorded in newer.map_err(JournalError::from)? {
            let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)
                .map_err(JournalError::from)?;
            if !self.is_by_people(&event, &recorded) {
                return Err(DriveError::Fenced);
            }
            if let Some(run) = Saga::evolve(Some(self.run.clone()), &event) {
                self.run = run;
            }
            self.version = recorded.version;
            self.position = recorded.position;
        }
        Ok(())
    }

    fn is_by_people(&self, event: &Event, recorded: &Recorded) -> bool {
        match event {
            Event::CancelRequested { .. }
            | Event::OperatorActed { .. }
            | Event::Abandoned { .. } => true,
            // A forced one; a runner's own has the run as its actor.
            Event::UnwindBegan(_) => recorded.meta.actor != self.actor(),
            _ => self.has_planted(PlantedBug::NoFence),
        }
    }

    fn actor(&self) -> String {
        format!("saga:{}", self.id)
    }
}
