//! Runs as the API reads them: lists, steps, attempts, and how long things take.

use super::{QueryError, Reads, beyond, limit_value, wanted};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One run of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// `run_…`.
    pub id: String,
    /// `launch_appserver`, ….
    pub definition: String,
    /// Its version.
    pub version: i32,
    /// Text id of what it is about.
    pub subject: String,
    /// What people call that; none where it has no name.
    pub subject_name: Option<String>,
    /// What it depends on outside.
    pub providers: Vec<String>,
    /// `forward`, `unwinding`, `stuck`, `completed`, `unwound`, `abandoned`.
    pub phase: String,
    /// Why it turned back or is stuck.
    pub cause: Option<String>,
    /// What keeps it from going on, while it is stuck.
    pub trouble: Option<String>,
    /// Which kind of trouble a stuck run has.
    pub stuck_code: Option<String>,
    /// Why a step, or its undo, failed for good.
    pub error_code: Option<String>,
    /// The step under way or tried last.
    pub current_step: Option<String>,
    /// Whether a cancel waits to be obeyed.
    pub cancel_requested: bool,
    /// Who started it.
    pub actor: String,
    /// When it started.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// One step of a run that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStepRow {
    /// Its path.
    pub step: String,
    /// Its place in the order in which steps began, from 0.
    pub place: i64,
    /// `intended`, `waiting`, `failed`, `done`, `skipped`, `undoing`, `undo_waiting`, `undo_failed`, `undone`, `kept`.
    pub state: String,
    /// The number of its latest attempt.
    pub attempt: i32,
    /// What it said: error, reason for skipping, note.
    pub note: Option<String>,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
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
        let RunFilter { subject, definition, phase, open_only, started_before } = filter;
        let conditions = [
            beyond("$2", after),
            wanted("$3", "subject", subject.as_deref()),
            wanted("$4", "definition", definition.as_deref()),
            wanted("$5", "phase", phase.as_deref()),
            "($6::timestamptz is null or created_at < $6)".to_owned(),
            (if *open_only { "ended_at is null" } else { "true" }).to_owned(),
        ];
        let conditions = conditions.join(" and ");
        let sql = format!("{RUNS} where {conditions} order by id desc limit $1::bigint");
        let limit = limit_value(limit);
        self.query(&sql, &[&limit, &after, subject, definition, phase, started_before]).await
    }

    /// One run.
    pub async fn read_run(&self, id: &str) -> Result<Option<RunRow>, QueryError> {
        self.query_one(&format!("{RUNS} where id = $1"), id).await
    }

    /// The ids of the runs that this one started, in the order in which they began.
    pub async fn list_started_runs(&self, run: &str) -> Result<Vec<String>, QueryError> {
        #[derive(Deserialize)]
        struct Started {
            id: String,
        }
        let sql = "select id from rm.runs where actor = $1 order by created_at, id";
        let started = self.query::<Started>(sql, &[&format!("saga:{run}")]).await?;
        Ok(started.into_iter().map(|run| run.id).collect())
    }

    /// The steps of a run that have begun, in the order in which they did.
    pub async fn list_run_steps(&self, run: &str) -> Result<Vec<RunStepRow>, QueryError> {
        let sql = "select *, row_number() over (order by began) - 1 as place \
                   from rm.run_steps where run = $1 order by began";
        self.query(sql, &[&run]).await
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

/// Runs, each with what people call the thing that it is about.
const RUNS: &str = "
select * from (
    select r.*, coalesce(i.domain || '/' || a.number, i.domain, l.domain) as subject_name,
           array_remove(array[
               'region ' || coalesce(a.settings->>'openstack_region',
                                     i.settings->>'openstack_region'),
               'playbooks ' || coalesce(a.settings->>'configuration_source_repo_url',
                                         i.settings->>'configuration_source_repo_url'),
               'balancer ' || l.domain], null) as providers
      from rm.runs as r
      left join rm.appservers as a on a.id = r.subject
      left join rm.instances as i on i.id = coalesce(a.instance, r.subject)
      left join rm.load_balancers as l on l.id = coalesce(i.load_balancer, r.subject)) as runs";

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
