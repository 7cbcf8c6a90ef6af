//! Runs as the API reads them: lists, steps, attempts, and how long things take.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use chrono::{DateTime, Utc};
use ocim_projections::row;
use ocim_projections::runs::columns as run_columns;
use ocim_projections::runs::step_columns;
use serde::{Deserialize, Serialize};

row! {
    /// One run of a process.
    pub struct RunRow of run_columns {
        id, definition, version, subject, phase, cause, trouble, stuck_code, error_code,
        current_step, cancel_requested, actor, created_at, updated_at, ended_at,
    }
    beside {
        /// What people call what it is about; none where that has no name.
        subject_name: Option<String> = "coalesce(i.domain || '/' || a.number, i.domain, l.domain)",
        /// What it depends on outside.
        providers: Vec<String> = "array_remove(array['region ' || coalesce(a.region, i.region), \
            'playbooks ' || coalesce(a.playbooks, i.playbooks), 'balancer ' || l.domain], null)",
    }
}

/// What a run is about, and whose balancer it uses.
const BESIDE_RUNS: &str = " left join rm.appservers as a on a.id = t.subject \
    left join rm.instances as i on i.id = coalesce(a.instance, t.subject) \
    left join rm.load_balancers as l on l.id = coalesce(i.load_balancer, t.subject)";

row! {
    /// One step of a run that has begun.
    pub struct RunStepRow of step_columns {
        step, state, attempt, note, retry_at, started_at, updated_at,
    }
}

row! {
    /// A run by its id.
    pub struct RunIdRow of run_columns { id }
}

/// One attempt at a step, or at its undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunAttemptRow {
    /// Whose run.
    pub run: String,
    /// The step's path.
    pub step: String,
    /// From 1.
    pub attempt: i32,
    /// Whether it undid the step.
    pub is_undo: bool,
    /// How it ended: `done`, `failed`, or another move that made its outcome irrelevant; none
    /// while it is under way.
    pub outcome: Option<String>,
    /// What kind of failure.
    pub class: Option<String>,
    /// Why it failed for good.
    pub code: Option<String>,
    /// What it said.
    pub note: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The version of the event that ended it.
    pub ended_version: Option<i64>,
}

/// Which runs one wants.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only those about this object.
    pub subject: Option<String>,
    /// Only those of this definition.
    pub definition: Option<String>,
    /// Only those in this phase.
    pub phase: Option<String>,
    /// Only those that have not ended.
    pub open_only: bool,
    /// Only those that started before.
    pub started_before: Option<DateTime<Utc>>,
}

/// How the runs of a definition went. Durations are in seconds, of runs that completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionFigures {
    /// `launch_appserver`, ….
    pub definition: String,
    /// Runs that started.
    pub runs: i64,
    /// Those that go forward or back.
    pub open: i64,
    /// Those that are stuck.
    pub stuck: i64,
    /// Those that completed.
    pub completed: i64,
    /// Those that turned back to the end.
    pub unwound: i64,
    /// Half of them took no longer.
    pub p50: Option<f64>,
    /// Nine in ten took no longer.
    pub p90: Option<f64>,
    /// Ninety-nine in a hundred took no longer.
    pub p99: Option<f64>,
    /// None took longer.
    pub max: Option<f64>,
}

/// How a step of a definition went. Durations are in seconds, from the first attempt's begin to the
/// end of the one that did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFigures {
    /// Of which definition.
    pub definition: String,
    /// The step's path.
    pub step: String,
    /// How often it was done.
    pub done: i64,
    /// How often it was not needed.
    pub skipped: i64,
    /// Attempts.
    pub attempts: i64,
    /// Attempts after a run's first one.
    pub retries: i64,
    /// Attempts that failed.
    pub failures: i64,
    /// How often it was undone.
    pub undos: i64,
    /// Attempts to undo it that failed.
    pub undo_failures: i64,
    /// As [`DefinitionFigures::p50`].
    pub p50: Option<f64>,
    /// As [`DefinitionFigures::p90`].
    pub p90: Option<f64>,
    /// As [`DefinitionFigures::p99`].
    pub p99: Option<f64>,
    /// As [`DefinitionFigures::max`].
    pub max: Option<f64>,
}

impl Reads<'_> {
    /// At most `limit` of the runs that one wants, those after the id `after`.
    ///
    /// # Errors
    /// [`QueryError`] without a database; so for every query below.
    pub async fn list_runs(
        &self,
        filter: &RunFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<RunRow>, QueryError> {
        let limit = limit_value(limit);
        let mut clause = Clause::new(BESIDE_RUNS)
            .and_some("t.id < $", after.as_ref())
            .and_some("t.subject = $", filter.subject.as_ref())
            .and_some("t.definition = $", filter.definition.as_ref())
            .and_some("t.phase = $", filter.phase.as_ref())
            .and_some("t.created_at < $", filter.started_before.as_ref());
        if filter.open_only {
            clause = clause.and("t.ended_at is null");
        }
        self.rows(&clause.end("t.id desc", &limit)).await
    }

    /// One run.
    pub async fn read_run(&self, id: &str) -> Result<Option<RunRow>, QueryError> {
        self.one(&Clause::new(BESIDE_RUNS).and_value("t.id = $", &id)).await
    }

    /// Whether there is such a run.
    pub async fn has_run(&self, id: &str) -> Result<bool, QueryError> {
        let found = self.one::<RunIdRow>(&Clause::new("").and_value("t.id = $", &id)).await?;
        Ok(found.is_some())
    }

    /// The ids of the runs that this one started, in the order in which they began.
    pub async fn list_started_runs(&self, run: &str) -> Result<Vec<String>, QueryError> {
        let actor = format!("saga:{run}");
        let clause = Clause::new("").and_value("t.actor = $", &actor).ordered("t.created_at, t.id");
        let started = self.rows::<RunIdRow>(&clause).await?;
        Ok(started.into_iter().map(|run| run.id).collect())
    }

    /// The steps of a run that have begun, in the order in which they did.
    pub async fn list_run_steps(&self, run: &str) -> Result<Vec<RunStepRow>, QueryError> {
        self.rows(&Clause::new("").and_value("t.run = $", &run).ordered("t.began")).await
    }

    /// All attempts of these runs, in the order in which they began.
    pub async fn list_run_attempts(
        &self,
        runs: &[String],
    ) -> Result<Vec<RunAttemptRow>, QueryError> {
        self.query(ATTEMPTS, &[&runs]).await
    }

    /// How the runs went that started at or after `since`, by definition.
    pub async fn read_definition_figures(
        &self,
        definition: Option<&str>,
        since: DateTime<Utc>,
    ) -> Result<Vec<DefinitionFigures>, QueryError> {
        self.query(DEFINITION_FIGURES, &[&definition, &since]).await
    }

    /// How the steps of those runs went, by definition and in the usual order of the steps.
    pub async fn read_step_figures(
        &self,
        definition: Option<&str>,
        since: DateTime<Utc>,
    ) -> Result<Vec<StepFigures>, QueryError> {
        self.query(STEP_FIGURES, &[&definition, &since]).await
    }
}

/// An attempt begins with an intent, and ends with the next move of the same step.
const ATTEMPTS: &str = "
select run, step, attempt, what = 'undo_intended' as is_undo, at as started_at,
       case next_what when 'undone' then 'done' when 'undo_failed' then 'failed'
                      else next_what end as outcome,
       next_class as class, next_code as code, next_note as note, next_at as ended_at, next_version as ended_version
  from (select *, lead(what) over w as next_what, lead(class) over w as next_class,
               lead(code) over w as next_code,
               lead(note) over w as next_note, lead(at) over w as next_at,
               lead(version) over w as next_version
          from rm.run_moves where run = any ($1)
        window w as (partition by run, step order by version)) as m
 where what in ('intended', 'undo_intended') order by run, version";

const DEFINITION_FIGURES: &str = "
select definition, count(*) as runs,
       count(*) filter (where phase in ('forward', 'unwinding')) as open,
       count(*) filter (where phase = 'stuck') as stuck,
       count(*) filter (where phase = 'completed') as completed,
       count(*) filter (where phase = 'unwound') as unwound,
       percentile_cont(0.5) within group (order by seconds) as p50,
       percentile_cont(0.9) within group (order by seconds) as p90,
       percentile_cont(0.99) within group (order by seconds) as p99,
       max(seconds) as max
  from (select *, case phase when 'completed' then
                       extract(epoch from ended_at - created_at)::double precision
                  end as seconds
          from rm.runs
         where created_at >= $2 and ($1::text is null or definition = $1)) as r
 group by definition order by definition";

const STEP_FIGURES: &str = "
select definition, step, count(seconds) as done, sum(skipped)::bigint as skipped,
       sum(attempts)::bigint as attempts, sum(greatest(attempts - 1, 0))::bigint as retries,
       sum(failures)::bigint as failures, sum(undos)::bigint as undos,
       sum(undo_failures)::bigint as undo_failures,
       percentile_cont(0.5) within group (order by seconds) as p50,
       percentile_cont(0.9) within group (order by seconds) as p90,
       percentile_cont(0.99) within group (order by seconds) as p99,
       max(seconds) as max
  from (select r.definition, m.step, m.run, min(m.version) as began,
               count(*) filter (where m.what = 'intended') as attempts,
               count(*) filter (where m.what = 'skipped') as skipped,
               count(*) filter (where m.what = 'failed') as failures,
               count(*) filter (where m.what = 'undone') as undos,
               count(*) filter (where m.what = 'undo_failed') as undo_failures,
               extract(epoch from max(m.at) filter (where m.what = 'done')
                                - min(m.at) filter (where m.what = 'intended')
                      )::double precision as seconds
          from rm.runs as r join rm.run_moves as m on m.run = r.id
         where r.created_at >= $2 and ($1::text is null or r.definition = $1)
         group by r.definition, m.step, m.run) as s
 group by definition, step order by definition, avg(began), step";
