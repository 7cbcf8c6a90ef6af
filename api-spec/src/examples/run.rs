//! Examples: runs, their steps, and how they went.

use super::{Example, second};
use crate::texts::{Actor, AppserverId, NeededReason, RunId};
use crate::{
    AttemptOutcome, CancelRun, DefinitionStatistics, Durations, Run, RunAttempt, RunDetail,
    RunPhase, RunStatistics, RunStep, StartedRun, StepState, StepStatistics,
};

impl Example for Run {
    fn example() -> Self {
        Self {
            id: RunId::EXAMPLE.to_owned(),
            definition: "launch_appserver".to_owned(),
            version: 2,
            subject: AppserverId::EXAMPLE.to_owned(),
            subject_name: Some("alpha.example.com/2".to_owned()),
            phase: RunPhase::Forward,
            providers: vec!["region local".to_owned()],
            outcome: "under way at run_main_playbook".to_owned(),
            cause: None,
            stuck_code: None,
            error_code: None,
            current_step: Some("run_main_playbook".to_owned()),
            cancel_requested: false,
            actor: Actor::EXAMPLE.to_owned(),
            started_by: None,
            created: second(120),
            modified: second(300),
            ended: None,
            duration_s: 612.4,
        }
    }
}

impl Example for RunDetail {
    fn example() -> Self {
        let attempt = RunAttempt {
            attempt: 1,
            is_undo: false,
            started: second(121),
            ended: Some(second(163)),
            duration_s: Some(42.0),
            outcome: Some(AttemptOutcome::Failed),
            class: Some("transient".to_owned()),
            code: None,
            error: Some("the cloud does not answer".to_owned()),
        };
        let step = RunStep {
            step: "create_server".to_owned(),
            state: StepState::Waiting,
            attempt: 1,
            note: Some("the cloud does not answer".to_owned()),
            retry_at: Some(second(170)),
            started: second(121),
            modified: second(163),
            attempts: vec![attempt],
        };
        Self { run: Run::example(), started_runs: vec![], steps: vec![step] }
    }
}

impl Example for StartedRun {
    fn example() -> Self {
        Self { run: RunId::EXAMPLE.to_owned() }
    }
}

impl Example for CancelRun {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for RunStatistics {
    fn example() -> Self {
        let durations = Durations {
            p50_s: Some(2_410.0),
            p90_s: Some(3_020.5),
            p99_s: Some(3_600.0),
            max_s: Some(3_600.0),
        };
        let step = StepStatistics {
            step: "run_main_playbook".to_owned(),
            done: 11,
            skipped: 0,
            attempts: 12,
            retries: 1,
            failures: 1,
            undos: 0,
            undo_failures: 0,
            durations,
        };
        let definition = DefinitionStatistics {
            definition: "launch_appserver".to_owned(),
            runs: 12,
            open: 1,
            stuck: 0,
            completed: 10,
            unwound: 1,
            durations,
            steps: vec![step],
        };
        Self { since: second(-2_592_000), definitions: vec![definition] }
    }
}
