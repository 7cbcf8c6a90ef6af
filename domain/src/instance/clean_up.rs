//! Which Appservers that serve nobody go by themselves, and until when and why the others stay (core §4.4).

mod verdict;

pub use verdict::{Goes, Stays, Verdict};

use super::{Event, Hold, Present};
use crate::Timestamp;
use crate::appserver::Status;
use crate::ids::{AppserverId, RunId};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// After how many days where nobody says otherwise.
pub const DAYS_DEFAULT: u16 = 2;
/// Most days.
pub const DAYS_MAX: u16 = 365;

/// When an instance's obsolete Appservers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// After so many whole days.
    Days(u16),
    /// Never by themselves.
    Off,
}

/// What the policy asks of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its rule.
    pub rule: Rule,
    /// The hold that counts now.
    pub hold: Option<Hold>,
    /// Whether it is in service, and no run takes it out or brings it back.
    pub is_live: bool,
}

/// An Appserver whose machine is not gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub appserver: AppserverId,
    /// "AppServer <number>".
    pub number: u32,
    /// When its settings were frozen.
    pub made: Timestamp,
    /// How far it came.
    pub status: Status,
    /// Whether it receives traffic.
    pub active: bool,
    /// When it last began to.
    pub last_activated: Option<Timestamp>,
    /// Until when a failed one keeps its machine for people to look at.
    pub kept_until: Option<Timestamp>,
    /// The run that is at work on it.
    pub at_work: Option<RunId>,
}

/// Who serves since when: the one that began last.
#[derive(Debug, Clone, Copy)]
struct Serving {
    number: u32,
    since: Timestamp,
}

/// What is to become of each of an instance's Appservers whose machines are not gone, in their order.
#[must_use]
pub fn judge(site: &Site, standing: &[Standing], now: Timestamp) -> Vec<(AppserverId, Verdict)> {
    let serving = standing
        .iter()
        .filter(|it| it.active)
        .filter_map(|it| it.last_activated.map(|since| Serving { number: it.number, since }));
    let serving = serving.max_by_key(|it| it.since);
    let mut newest_first: Vec<usize> = (0..standing.len()).collect();
    newest_first
        .sort_by_key(|at| standing.get(*at).map(|it| std::cmp::Reverse((it.made, it.number))));
    let mut chosen = Chosen::default();
    let mut verdicts: Vec<_> = newest_first
        .into_iter()
        .filter_map(|at| Some((at, standing.get(at)?)))
        .map(|(at, it)| (at, it.appserver, judge_one(site, serving, &mut chosen, it, now)))
        .collect();
    verdicts.sort_by_key(|(at, ..)| *at);
    verdicts.into_iter().map(|(_, appserver, verdict)| (appserver, verdict)).collect()
}

/// Which of the places are taken, as one walks from the newest to the oldest.
#[derive(Debug, Default)]
struct Chosen {
    has_fallback: bool,
    candidate: Option<u32>,
}

fn judge_one(
    site: &Site,
    serving: Option<Serving>,
    chosen: &mut Chosen,
    it: &Standing,
    now: Timestamp,
) -> Verdict {
    let stays = |why, until| Verdict::Stays { why, until };
    if it.active {
        return stays(Stays::Serves, None);
    }
    if matches!(it.status, Status::New | Status::Waiting | Status::Configuring) {
        return stays(Stays::Launching, None);
    }
    let Rule::Days(days) = site.rule else { return stays(Stays::Off, None) };
    if it.status == Status::Failed {
        // Its own date is the rule for it, whatever the number of days.
        match it.kept_until {
            Some(until) if now < until => return stays(Stays::Debugging, Some(until)),
            Some(_) => return stays(Stays::DateOver, None),
            None => {}
        }
    }
    let verdict = by_table(days, serving, chosen, it, now);
    if !verdict.goes() {
        return verdict;
    }
    match (&site.hold, it.at_work) {
        _ if !site.is_live => stays(Stays::NotLive, None),
        (Some(hold), _) => stays(Stays::Held(hold.clone()), Some(hold.until)),
        (None, Some(run)) => stays(Stays::AtWork(run), None),
        (None, None) => verdict,
    }
}

/// The table of core §4.4, for one that does not serve.
fn by_table(
    days: u16,
    serving: Option<Serving>,
    chosen: &mut Chosen,
    it: &Standing,
    now: Timestamp,
) -> Verdict {
    let time = TimeDelta::days(i64::from(days));
    // Saturates where a clock shows years beyond all reason.
    let end = |from: Timestamp| from.checked_add_signed(time).unwrap_or(Timestamp::MAX_UTC);
    let runs = it.status == Status::Running;
    let why = match serving.filter(|serving| it.made < serving.since) {
        Some(Serving { number, since }) => {
            if now < end(since) && !chosen.has_fallback && runs {
                chosen.has_fallback = true;
                let why = Stays::Fallback { serving: number, since };
                return Verdict::Stays { why, until: Some(end(since)) };
            }
            Goes::Replaced { serving: number, since }
        }
        None => match chosen.candidate {
            None if runs => {
                chosen.candidate = Some(it.number);
                return Verdict::Stays { why: Stays::ReleaseCandidate, until: None };
            }
            Some(candidate) if runs => Goes::Overtaken { candidate },
            _ => Goes::NotRunning,
        },
    };
    if now < end(it.made) {
        return Verdict::Stays { why: Stays::Young, until: Some(end(it.made)) };
    }
    Verdict::Goes { why, days }
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too few or too many days.
    #[error("must be a number from 1 to {DAYS_MAX}")]
    Days,
}

impl Present {
    /// What the clean-up goes by, where `default` is the rule of those without one of their own.
    #[must_use]
    pub fn clean_up_site(&self, default: Rule, now: Timestamp) -> Site {
        Site {
            rule: self.clean_up.unwrap_or(default),
            hold: self.hold_at(now).cloned(),
            is_live: self.check_live().is_ok(),
        }
    }
}

/// The rules.
pub(super) fn decide(
    present: &Present,
    rule: Option<Rule>,
    reason: String,
) -> Result<Vec<Event>, Refused> {
    if matches!(rule, Some(Rule::Days(days)) if !(1..=DAYS_MAX).contains(&days)) {
        return Err(Refused::Days);
    }
    let is_known = present.clean_up == rule;
    Ok(if is_known { vec![] } else { vec![Event::CleanUpChanged { rule, reason }] })
}
