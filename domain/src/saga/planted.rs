//! Bugs that tests plant to prove that they would be found: the feature `planted-bugs`, never built into `ocim`.
//!
//! Each is one `if planted.has(...)` beside the right code. Without the feature no bug can be
//! planted, and `has` is a constant: nothing of it is left in what is built.

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// After doubt a step is run without a look.
    NoProbe,
    /// Steps count as undone though nobody undid them.
    NoUndo,
    /// A step that began and whose outcome is unknown, or that failed, is not undone.
    UndoOfSuccessesOnly,
    /// What was made first is undone first.
    UndoInForwardOrder,
    /// Events of another runner are taken for one's own.
    NoFence,
    /// The lease is not asked before an effect.
    LeaseNotAsked,
    /// The runs of a dead node stay its own.
    LeaseNeverExpires,
    /// A step is tried however often it failed.
    RetryWithoutBound,
    /// The pause before a retry is forgotten.
    RetryAtIgnored,
    /// A report that comes after a cancel overrides it.
    CancelOverridden,
    /// The time of a run is never up.
    DeadlineIgnored,
    /// Each attempt has a key of its own.
    NewKeyPerAttempt,
    /// The intent is recorded when the effect is there.
    IntentAfterEffect,
    /// A run turns back though it has begun its pivot.
    TurnsBackPastPivot,
    /// An undo is tried for ever.
    StuckNeverDeclared,
}

/// The bug that is planted, if any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: Option<PlantedBug>,
}

#[cfg(feature = "planted-bugs")]
impl PlantedBug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::NoProbe,
        Self::NoUndo,
        Self::UndoOfSuccessesOnly,
        Self::UndoInForwardOrder,
        Self::NoFence,
        Self::LeaseNotAsked,
        Self::LeaseNeverExpires,
        Self::RetryWithoutBound,
        Self::RetryAtIgnored,
        Self::CancelOverridden,
        Self::DeadlineIgnored,
        Self::NewKeyPerAttempt,
        Self::IntentAfterEffect,
        Self::TurnsBackPastPivot,
        Self::StuckNeverDeclared,
    ];
}

#[cfg(feature = "planted-bugs")]
impl Planted {
    /// This bug.
    #[must_use]
    pub const fn bug(bug: PlantedBug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Whether this bug is planted.
    #[must_use]
    pub fn has(self, bug: PlantedBug) -> bool {
        self.bug == Some(bug)
    }
}

#[cfg(not(feature = "planted-bugs"))]
impl Planted {
    /// Whether this bug is planted: never.
    #[must_use]
    pub const fn has(self, _: PlantedBug) -> bool {
        false
    }
}
