//! What is to become of an Appserver that serves nobody, until when and why, for programs and people.

use crate::Timestamp;
use crate::ids::RunId;
use crate::instance::Hold;

/// Why one stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stays {
    /// It receives traffic.
    Serves,
    /// What serves has not done so for long: this one takes its place again if it must.
    Fallback {
        /// The number of the one that serves.
        serving: u32,
        /// Since when.
        since: Timestamp,
    },
    /// It runs, and is newer than what serves.
    ReleaseCandidate,
    /// It was made a short time ago.
    Young,
    /// It failed, and people may look at its machine until its date.
    Debugging,
    /// Its date is over, and its clean-up is on its way or was called off.
    DateOver,
    /// Its launch has not ended.
    Launching,
    /// It would go, but this run is at work on it.
    AtWork(RunId),
    /// It would go, but somebody holds the instance.
    Held(Hold),
    /// It would go, but the instance is not in service.
    NotLive,
    /// Nothing of this instance goes by itself.
    Off,
}

/// Why one goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goes {
    /// It is older than what serves.
    Replaced {
        /// The number of the one that serves.
        serving: u32,
        /// Since when.
        since: Timestamp,
    },
    /// It is newer than what serves, or nobody serves; but one that is newer still runs.
    Overtaken {
        /// That one's number.
        candidate: u32,
    },
    /// As `Overtaken`, but it does not run.
    NotRunning,
}

/// What is to become of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Stays {
        /// Why.
        why: Stays,
        /// Until when, where that is known; then it is looked at anew.
        until: Option<Timestamp>,
    },
    /// It goes.
    Goes {
        /// Why.
        why: Goes,
        /// Made so many days ago, or earlier.
        days: u16,
    },
}

impl Stays {
    /// One word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Serves => "serves",
            Self::Fallback { .. } => "fallback",
            Self::ReleaseCandidate => "release_candidate",
            Self::Young => "young",
            Self::Debugging => "debugging",
            Self::DateOver => "date_over",
            Self::Launching => "launching",
            Self::AtWork(_) => "at_work",
            Self::Held(_) => "held",
            Self::NotLive => "not_live",
            Self::Off => "off",
        }
    }

    /// Whether it stays because that very run is at work on it.
    #[must_use]
    pub fn is_run(&self, run: RunId) -> bool {
        matches!(self, Self::AtWork(at_work) if *at_work == run)
    }

    /// Whether it would go, were it not for what is so just now.
    #[must_use]
    pub const fn is_hindrance(&self) -> bool {
        matches!(self, Self::AtWork(_) | Self::Held(_) | Self::NotLive)
    }
}

impl Verdict {
    /// One word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Stays { why, .. } => why.word(),
            Self::Goes { .. } => "obsolete",
        }
    }

    /// Until when it stays, where that is known.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Stays { until, .. } => *until,
            Self::Goes { .. } => None,
        }
    }

    /// Whether it goes.
    #[must_use]
    pub const fn goes(&self) -> bool {
        matches!(self, Self::Goes { .. })
    }

    /// For people: what becomes of it, until when, and why.
    #[must_use]
    pub fn tell(&self) -> String {
        match self {
            Self::Stays { why, until } => tell_stays(why, *until),
            Self::Goes { why, days } => {
                let old = format!("it was made {} ago or earlier", tell_days(*days));
                match why {
                    Goes::Replaced { serving, since } => format!(
                        "goes, because {old}, and AppServer {serving} serves since {}",
                        tell_time(*since)
                    ),
                    Goes::Overtaken { candidate } => {
                        format!("goes, because {old}, and AppServer {candidate} is newer and runs")
                    }
                    Goes::NotRunning => {
                        format!("goes, because {old}, and does not run")
                    }
                }
            }
        }
    }
}

fn tell_stays(why: &Stays, until: Option<Timestamp>) -> String {
    let until = until.map(|until| format!(" until {}", tell_time(until))).unwrap_or_default();
    match why {
        Stays::Serves => "kept, because it receives traffic".to_owned(),
        Stays::Fallback { serving, since } => format!(
            "kept as fallback{until}, because AppServer {serving} serves only since {}",
            tell_time(*since)
        ),
        Stays::ReleaseCandidate => "kept as release candidate until a newer one runs or it is \
             taken into traffic, because it is the newest that runs"
            .to_owned(),
        Stays::Young => format!("kept{until}, because it is not old enough to go"),
        Stays::Debugging => {
            format!("kept for debugging{until}, because its configuration failed")
        }
        Stays::DateOver => {
            "kept until its clean-up takes it, because its date is over; one that was \
             called off is asked for anew (`ocim appserver clean-up`, or `keep`)"
                .to_owned()
        }
        Stays::Launching => "kept, because its launch has not ended".to_owned(),
        Stays::AtWork(run) => format!("kept until {run} has ended, because that is at work on it"),
        Stays::Held(hold) => {
            format!("kept{until}, because {} holds the instance: {}", hold.holder, hold.reason)
        }
        Stays::NotLive => "kept, because its instance is not in service".to_owned(),
        Stays::Off => "kept, because clean-up is off for this instance".to_owned(),
    }
}

/// A day of the week tells more than a date.
fn tell_time(time: Timestamp) -> String {
    time.format("%A %F %H:%M UTC").to_string()
}

fn tell_days(days: u16) -> String {
    if days == 1 { "a day".to_owned() } else { format!("{days} days") }
}
