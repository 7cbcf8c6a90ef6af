//! How effects fail: what it means for the caller, whose failure it is, and what to tell people.

use crate::ids::IncidentId;
use crate::outside_text;
use crate::saga::ErrorCode;
use crate::text::make_recordable;
use std::time::Duration;

/// What a failed effect means for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// May work when tried again.
    Transient,
    /// The other side asked to wait this long.
    RateLimited(Duration),
    /// The other side is in a state that forbids it now.
    Conflict,
    /// Will not work however often it is tried.
    Permanent,
    /// It may have happened: look before trying again.
    Ambiguous,
}

/// Whose failure it is. A provider's circuit counts the provider's own alone, so that what one
/// caller asks for can't take the provider away from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The service behind the port: it is down, or answers as it never should.
    Provider,
    /// Whoever asked, by what was asked for: a wrong name, a site's own requirements.
    Caller,
    /// Neither: this machine (a full disk), or somebody else (a package index).
    Other,
}

/// A failed effect: what it means, and what to tell people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What it means for the caller.
    pub class: Class,
    /// Why no further try can mend it, if none can.
    pub code: Option<ErrorCode>,
    /// Whose failure it is.
    pub blame: Blame,
    /// One sentence for people, without secrets.
    pub message: String,
    /// The failure is the provider's, which is down, and costs nobody an attempt: come back in this
    /// long. An ambiguous one still has to be looked up.
    pub free_for: Option<Duration>,
    /// The call was not made, because whoever it asks is paused by this incident.
    pub paused_by: Option<IncidentId>,
}

impl PortError {
    /// An error of this class. Whoever refuses, or asks for patience, is well: that is blamed on
    /// the caller, anything else on the provider until somebody knows better. What it says may be a
    /// tool's own words: they lose credentials here, and are made fit to be stored.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        let blame = match class {
            Class::Transient | Class::Ambiguous => Blame::Provider,
            Class::RateLimited(_) | Class::Conflict | Class::Permanent => Blame::Caller,
        };
        let message = make_recordable(&outside_text::take_in(&message.into()));
        Self { class, code: None, blame, message, free_for: None, paused_by: None }
    }

    /// The same error, blamed on somebody else than its class suggests.
    #[must_use]
    pub fn blamed_on(self, blame: Blame) -> Self {
        Self { blame, ..self }
    }

    /// The same error, whose sentence names who was asked.
    #[must_use]
    pub fn naming(self, provider: &str) -> Self {
        if self.message.contains(provider) {
            return self;
        }
        let message = make_recordable(&format!("{provider}: {}", self.message));
        Self { message, ..self }
    }

    /// An error that a later try may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, message)
    }

    /// A call that was not made, and may be in this long.
    pub fn postponed(again_in: Duration, message: impl Into<String>) -> Self {
        let class = Class::RateLimited(again_in);
        Self { free_for: Some(again_in), ..Self::new(class, message) }
    }

    /// A call that was not made, because whoever it asks is paused.
    pub fn paused(by: IncidentId, message: impl Into<String>) -> Self {
        let class = Class::RateLimited(Duration::ZERO);
        Self { paused_by: Some(by), ..Self::new(class, message) }
    }

    /// An error that no further try can mend.
    pub fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(Class::Permanent, message) }
    }
}
