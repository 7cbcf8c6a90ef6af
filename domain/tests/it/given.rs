//! Given a history, when a command comes, then these events or that refusal.

use crate::sample::at;
use ocim_domain::decider::Decider;

/// A history to put commands to.
pub(crate) struct Given<D: Decider>(D::State);

/// The aggregate after these events.
pub(crate) fn given<D: Decider>(history: impl IntoIterator<Item = D::Event>) -> Given<D> {
    Given(D::fold(&history.into_iter().collect::<Vec<_>>()))
}

impl<D: Decider> Given<D>
where
    D::Event: std::fmt::Debug + PartialEq,
    D::Rejected: PartialEq,
{
    /// The state that the history adds up to.
    pub(crate) fn state(&self) -> &D::State {
        &self.0
    }

    /// The command is answered with exactly these events.
    #[track_caller]
    pub(crate) fn when_then(
        &self,
        command: D::Command,
        events: impl IntoIterator<Item = D::Event>,
    ) {
        let answer = D::decide(&self.0, command, at(9));
        assert_eq!(answer.map_err(|refusal| refusal.to_string()), Ok(events.into_iter().collect()));
    }

    /// The command is answered by silence: it is so already.
    #[track_caller]
    pub(crate) fn when_silent(&self, command: D::Command) {
        self.when_then(command, []);
    }

    /// The command is refused for this reason.
    #[track_caller]
    pub(crate) fn when_refused(&self, command: D::Command, refusal: D::Rejected) {
        let answer = D::decide(&self.0, command, at(9));
        assert!(answer.as_ref().is_err_and(|e| *e == refusal), "{answer:?} is not {refusal:?}");
    }

    /// The aggregate after the command's events; it must not be refused.
    #[track_caller]
    pub(crate) fn after(&self, command: D::Command) -> Self {
        let events = D::decide(&self.0, command, at(9)).expect("the command fits");
        Self(events.iter().fold(self.0.clone(), D::evolve))
    }
}
