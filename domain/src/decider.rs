//! The shape of every aggregate: decide is a pure choice, evolve a total fold.

use crate::Timestamp;
use crate::event::DomainEvent;
use crate::snapshot::SnapshotFormat;

/// One aggregate: commands in, events out, state folded from events.
pub trait Decider: 'static {
    /// The category of its streams.
    const CATEGORY: &'static str;
    /// What the events add up to; `Default` is the state before the first event.
    type State: Default + Clone + Send + 'static;
    /// What one may ask.
    type Command: Send;
    /// What happened.
    type Event: DomainEvent + Send;
    /// Why not.
    type Rejected: std::error::Error + Send + Sync + 'static;
    /// How its state is kept beside its stream; for aggregates whose streams grow with what all others
    /// do, as a balancer's does with each site that it serves.
    const SNAPSHOT: Option<SnapshotFormat<Self::State>> = None;

    /// The events that answer a command; empty when it is already so.
    ///
    /// # Errors
    /// When the command does not fit the state; nothing is written then.
    fn decide(
        state: &Self::State,
        command: Self::Command,
        now: Timestamp,
    ) -> Result<Vec<Self::Event>, Self::Rejected>;

    /// The state after an event. Total: an impossible history leaves the state as it was.
    #[must_use]
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// The state after many events.
    #[must_use]
    fn fold<'a>(events: impl IntoIterator<Item = &'a Self::Event>) -> Self::State
    where
        Self::Event: 'a,
    {
        events.into_iter().fold(Self::State::default(), |state, event| Self::evolve(state, event))
    }
}
