//! A random process and all that happens to one run of it.

use crate::sagas::crash_store::Moment;
use ocim_domain::saga::ErrorClass;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Range;

const STEPS_MAX: usize = 8;

/// One process, one run of it, and what happens to that.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Blocks that follow each other; each is branches, each of these a sequence.
    pub(crate) blocks: Vec<Vec<Vec<Row>>>,
    /// The pivot and what is tried until it is done after it; empty for a process without a pivot.
    pub(crate) after: Vec<Row>,
    /// The run's time, in seconds.
    pub(crate) time: Option<u64>,
    /// In seconds from its start.
    pub(crate) cancelled_after: Option<u64>,
    /// One after the other.
    pub(crate) harms: Vec<Harm>,
    pub(crate) takeover: Option<Takeover>,
    pub(crate) remedy: Remedy,
}

/// One step, and what its calls come to.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) back: Back,
    /// With a probe, a run makes the resource blindly; without one, it finds or makes it.
    pub(crate) probe: bool,
    pub(crate) attempts_max: u32,
    /// Which of the timeouts.
    pub(crate) timeout: usize,
    pub(crate) is_limited: bool,
    /// How long a call takes once it has had its effect, in seconds.
    pub(crate) takes: u64,
    /// The first calls, in order.
    pub(crate) turns: Vec<Turn>,
    /// All later calls; they work if it is empty.
    pub(crate) last: Option<Turn>,
    pub(crate) undo_turns: Vec<Turn>,
    pub(crate) undo_fails_for_ever: bool,
}

/// What the way back means to a step before the pivot.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Back {
    Undone,
    /// Kept once the step of that number, or a later one, has failed.
    KeptAfter(usize),
    NoUndo,
}

/// What one call comes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    Works,
    /// It fails and has no effect.
    Fails(ErrorClass),
    /// It has its effect, and nobody hears of it.
    LosesReply,
    /// As `LosesReply`, but the effect comes when nobody waits for it any more.
    ComesLate,
    /// It never comes back.
    Hangs {
        has_effect: bool,
    },
    NotYet,
    Until,
    /// The call was not made.
    IsFree,
    /// The event store did not answer the step.
    MeetsOutage,
    Skips,
}

/// What happens at the n-th append since the last harm.
#[derive(Debug, Clone)]
pub(crate) struct Harm {
    pub(crate) nth: usize,
    pub(crate) moment: Moment,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Crash,
    Outage,
    /// Somebody's cancel is faster.
    Cancel,
}

/// Another node takes the run over, and the first one does not know.
#[derive(Debug, Clone)]
pub(crate) struct Takeover {
    /// How often the driver is advanced before.
    pub(crate) beats: usize,
    /// How long it goes on by itself, in seconds, before it loses its lease.
    pub(crate) rightly: u64,
    /// And how long after that, before the other node records that it has the run.
    pub(crate) unaware: u64,
    /// How often the other node's driver is advanced before the first one wakes up.
    pub(crate) wakes_after: usize,
}

/// What a person does about a run that is stuck, once the cause is mended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Remedy {
    Retry,
    MarkUndone,
    SkipStep,
    ForceUnwind,
    ResumeForward,
    Abandon,
}

fn any_class() -> impl Strategy<Value = ErrorClass> {
    prop::sample::select(vec![
        ErrorClass::Transient,
        ErrorClass::RateLimited,
        ErrorClass::Conflict,
        ErrorClass::Ambiguous,
        ErrorClass::Timeout,
        ErrorClass::Permanent,
    ])
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        2 => Just(Turn::Works),
        4 => any_class().prop_map(Turn::Fails),
        3 => Just(Turn::LosesReply),
        1 => Just(Turn::ComesLate),
        2 => any::<bool>().prop_map(|has_effect| Turn::Hangs { has_effect }),
        2 => Just(Turn::NotYet),
        1 => Just(Turn::Until),
        1 => Just(Turn::IsFree),
        1 => Just(Turn::MeetsOutage),
        1 => Just(Turn::Skips),
    ]
}

fn any_undo_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        2 => Just(Turn::Fails(ErrorClass::Transient)),
        1 => Just(Turn::Fails(ErrorClass::RateLimited)),
        2 => Just(Turn::LosesReply),
        1 => any::<bool>().prop_map(|has_effect| Turn::Hangs { has_effect }),
        1 => Just(Turn::NotYet),
    ]
}

fn any_back() -> impl Strategy<Value = Back> {
    prop_oneof![
        5 => Just(Back::Undone),
        1 => (0..STEPS_MAX).prop_map(Back::KeptAfter),
        1 => Just(Back::NoUndo),
    ]
}

fn any_row() -> impl Strategy<Value = Row> {
    let limits = (1..4_u32, 0..3_usize, prop::bool::weighted(0.2), 0..40_u64);
    let last = prop_oneof![
        9 => Just(None),
        1 => Just(Some(Turn::Fails(ErrorClass::Permanent))),
        1 => Just(Some(Turn::Fails(ErrorClass::Transient))),
    ];
    let undo = (vec(any_undo_turn(), 0..3), prop::bool::weighted(0.1));
    (any_back(), any::<bool>(), limits, vec(any_turn(), 0..3), last, undo).prop_map(
        |(back, probe, limits, turns, last, (undo_turns, undo_fails_for_ever))| {
            let (attempts_max, timeout, is_limited, takes) = limits;
            Row {
                back,
                probe,
                attempts_max,
                timeout,
                is_limited,
                takes,
                turns,
                last,
                undo_turns,
                undo_fails_for_ever,
            }
        },
    )
}

fn any_block() -> impl Strategy<Value = Vec<Vec<Row>>> {
    prop_oneof![
        3 => any_row().prop_map(|row| vec![vec![row]]),
        1 => vec(vec(any_row(), 1..3), 2..4),
    ]
}

fn any_harm(appends: Range<usize>) -> impl Strategy<Value = Harm> {
    let what =
        prop_oneof![3 => Just(What::Crash), 1 => Just(What::Outage), 2 => Just(What::Cancel)];
    let moment = prop::sample::select(vec![Moment::Before, Moment::After]);
    (appends, moment, what).prop_map(|(nth, moment, what)| Harm { nth, moment, what })
}

fn any_takeover() -> impl Strategy<Value = Takeover> {
    (0..12_usize, 0..60_u64, 0..60_u64, 0..12_usize).prop_map(
        |(beats, rightly, unaware, wakes_after)| Takeover { beats, rightly, unaware, wakes_after },
    )
}

/// What is tried until it is done must be able to end.
fn that_ends(mut rows: Vec<Row>) -> Vec<Row> {
    for row in rows.iter_mut().skip(1) {
        row.last = row.last.map(|_| Turn::Fails(ErrorClass::Permanent));
    }
    rows
}

/// Any process of up to eight steps, and any trouble.
pub(crate) fn any_case() -> impl Strategy<Value = Case> {
    let steps = (vec(any_block(), 1..4), vec(any_row(), 0..3).prop_map(that_ends));
    let people = (
        option::weighted(0.3, 1..1_500_u64),
        option::weighted(0.2, 0..300_u64),
        prop::sample::select(vec![
            Remedy::Retry,
            Remedy::MarkUndone,
            Remedy::SkipStep,
            Remedy::ForceUnwind,
            Remedy::ResumeForward,
            Remedy::Abandon,
        ]),
    );
    let trouble = (vec(any_harm(0..12), 0..3), option::weighted(0.3, any_takeover()));
    (steps, people, trouble)
        .prop_map(|((blocks, after), (time, cancelled_after, remedy), (harms, takeover))| Case {
            blocks,
            after,
            time,
            cancelled_after,
            harms,
            takeover,
            remedy,
        })
        .prop_filter("too many steps", |case| case.rows().count() <= STEPS_MAX)
}

impl Row {
    /// A step that is undone, looks after doubt, and may be tried thrice.
    pub(crate) fn new(turns: &[Turn]) -> Self {
        Self {
            back: Back::Undone,
            probe: true,
            attempts_max: 3,
            timeout: 0,
            is_limited: false,
            takes: 1,
            turns: turns.to_vec(),
            last: None,
            undo_turns: vec![],
            undo_fails_for_ever: false,
        }
    }
}

impl Case {
    /// A process without a pivot, in no trouble but that of its steps.
    pub(crate) fn new(blocks: Vec<Vec<Vec<Row>>>) -> Self {
        Self {
            blocks,
            after: vec![],
            time: None,
            cancelled_after: None,
            harms: vec![],
            takeover: None,
            remedy: Remedy::Retry,
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.blocks.iter().flatten().flatten().chain(&self.after)
    }
}
