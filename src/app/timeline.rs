//! Timelines: the events that concern a thing, told as sentences.

use super::{App, Caller};
use crate::read_models::{Order, QueryError, Reads, RunAttemptRow};
use ocim_domain::event::{Position, Recorded};
use ocim_domain::ids::RunId;
use ocim_projections::history;
use ocim_projections::timeline::{Attempt, Context, actor_name, sentence};
use std::collections::{BTreeMap, BTreeSet};

/// An event with what it means to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The event; protected values are without their texts.
    pub event: Recorded,
    /// The id of the thing to which it happened.
    pub subject: String,
    /// What happened, in one sentence.
    pub sentence: String,
}

impl App {
    /// At most `limit` of the events that concern an instance, appserver or run and all that
    /// belongs to it, those after `after` in this order.
    ///
    /// # Errors
    /// [`QueryError`] without a database.
    pub async fn read_timeline(
        &self,
        by: &Caller,
        subject: &str,
        order: Order,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Vec<Told>, QueryError> {
        let reads = self.reads(by);
        let rows = reads.list_timeline(subject, order, limit, after).await?;
        let events: Vec<_> = rows.into_iter().map(|row| row.into_recorded()).collect();
        let context = gather_context(&reads, &events).await?;
        Ok(events.into_iter().map(|event| tell(event, &context)).collect())
    }
}

/// What the sentences about these events need to know beside them.
async fn gather_context(reads: &Reads<'_>, events: &[Recorded]) -> Result<Context, QueryError> {
    let ids: BTreeSet<_> = events.iter().flat_map(history::mentioned).collect();
    let of_runs = events.iter().filter(|event| event.stream.category() == RunId::CATEGORY);
    let runs: BTreeSet<_> = of_runs.map(|event| history::subject_of(&event.stream)).collect();
    let names = reads.read_names(&ids.into_iter().collect::<Vec<_>>()).await?;
    let runs: Vec<_> = runs.into_iter().collect();
    let attempts = match runs.is_empty() {
        true => BTreeMap::new(),
        false => {
            let rows = reads.list_run_attempts(&runs).await?;
            rows.into_iter().filter_map(ended_attempt).collect()
        }
    };
    Ok(Context { names, attempts })
}

/// An attempt that has ended, under the event that ended it.
fn ended_attempt(row: RunAttemptRow) -> Option<((String, u64), Attempt)> {
    let version = u64::try_from(row.ended_version?).ok()?;
    let number = u32::try_from(row.attempt).ok()?;
    let seconds = (row.ended_at? - row.started_at).as_seconds_f64();
    Some(((row.run, version), Attempt { number, seconds }))
}

fn tell(event: Recorded, context: &Context) -> Told {
    let told = sentence(&event, context);
    // An event of a newer release, of which this one knows only the kind.
    let unknown = || format!("{}: {}", actor_name(&event.meta.actor), event.kind);
    let sentence = told.unwrap_or_else(unknown);
    Told { subject: history::subject_of(&event.stream), sentence, event }
}
