//! Holds: somebody keeps an Instance to himself for a time, so that nobody else changes it.

use super::{Event, Present};
use crate::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// The longest time of one hold.
pub const DAYS_MAX: i64 = 92;

/// Who keeps an Instance to himself, why, and until when. It ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The actor who placed it: as `token:ada`.
    pub holder: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}

/// What one may ask about the hold of an Instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keep others from it; the holder may say so anew.
    Place(Hold),
    /// Let others change it again. Whoever is not the holder needs `force` and a `reason`.
    Release {
        /// Who asks.
        by: String,
        /// Although it is somebody else's.
        force: bool,
        /// Why.
        reason: Option<String>,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody else holds it.
    #[error(
        "{} holds the instance until {}: {}. Wait until then, ask them to release it, or release it \
         yourself with `force` and a reason (`ocim instance release`)",
        .0.holder, .0.until.format("%F %TZ"), .0.reason
    )]
    Held(Hold),
    /// There is nothing to release.
    #[error("nobody holds the instance: there is nothing to release")]
    NotHeld,
    /// It would be over at once.
    #[error("must lie ahead")]
    Past,
    /// It would last too long.
    #[error("must be at most {DAYS_MAX} days ahead: place it anew before it ends")]
    TooLong,
}

impl Present {
    /// The hold that counts now.
    #[must_use]
    pub fn hold_at(&self, now: Timestamp) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Refuses whoever is not the holder.
    ///
    /// # Errors
    /// [`Refused::Held`] by somebody else.
    pub fn check_hold(&self, actor: &str, now: Timestamp) -> Result<(), Refused> {
        match self.hold_at(now) {
            Some(hold) if hold.holder != actor => Err(Refused::Held(hold.clone())),
            _ => Ok(()),
        }
    }
}

/// The rules.
pub(super) fn decide(
    present: &Present,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Event>, Refused> {
    match command {
        Command::Place(hold) => {
            present.check_hold(&hold.holder, now)?;
            if hold.until <= now {
                return Err(Refused::Past);
            }
            if hold.until - now > TimeDelta::days(DAYS_MAX) {
                return Err(Refused::TooLong);
            }
            Ok(if present.hold.as_ref() == Some(&hold) { vec![] } else { vec![Event::Held(hold)] })
        }
        Command::Release { by, force, reason } => {
            let hold = present.hold_at(now).ok_or(Refused::NotHeld)?;
            if !force {
                present.check_hold(&by, now)?;
            }
            Ok(vec![Event::HoldReleased { holder: hold.holder.clone(), reason }])
        }
    }
}

/// What its events mean; others are none of theirs.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    match event {
        Event::Held(hold) => present.hold = Some(hold.clone()),
        Event::HoldReleased { .. } => present.hold = None,
        _ => {}
    }
}
