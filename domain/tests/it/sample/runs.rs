//! One of each event of a run.

use super::*;

/// One event of each kind of a run.
pub(crate) fn saga_events() -> Vec<saga::Event> {
    use saga::Event as E;
    let step = || "create_server".to_owned();
    vec![
        E::Started {
            definition: "launch_appserver".to_owned(),
            version: 1,
            input: json!({ "appserver": appserver_id(1) }),
            subject: appserver_id(1).to_string(),
            deadline: Some(at(3600)),
        },
        E::LeaseTaken { node: Uuid::from_u128(7), epoch: 2, orderly: false },
        E::StepIntended {
            step: step(),
            attempt: 1,
            key: saga::step_key(run_id(1), "create_server"),
            deadline: at(60),
            at: Some(at(0)),
        },
        E::StepResumed { step: step() },
        E::StepOutlived { step: step() },
        E::HeldUp {
            incident: incident(),
            why: "region north is paused: works".to_owned(),
            at: at(20),
        },
        E::LetGo { at: at(80) },
        E::StepDone { step: step(), output: json!({ "machine": "vm-7" }) },
        E::StepSkipped { step: "set_dns".to_owned(), reason: "no DNS is configured".to_owned() },
        E::StepFailed {
            step: step(),
            attempt: 1,
            class: ErrorClass::Ambiguous,
            code: None,
            error: "the connection broke".to_owned(),
            retry_at: Some(at(70)),
            at: Some(at(60)),
        },
        E::TimerSet { step: step(), due: at(900), at: Some(at(600)) },
        E::TimerFired { step: step() },
        E::CancelRequested { reason: "not needed any more".to_owned() },
        E::UnwindBegan(Cause::StepFailed { step: step(), error: "no room".to_owned() }),
        E::UndoIntended { step: step(), attempt: 1, deadline: at(120), at: Some(at(100)) },
        E::UndoDone { step: step(), note: Some("it was gone already".to_owned()) },
        E::UndoSkipped { step: step(), reason: "kept for debugging".to_owned() },
        E::UndoFailed {
            step: step(),
            attempt: 2,
            class: ErrorClass::Transient,
            code: Some(ErrorCode::AttemptsExhausted),
            error: "the cloud does not answer".to_owned(),
            retry_at: None,
            at: None,
        },
        E::Stuck {
            step: step(),
            why: "its undo failed".to_owned(),
            code: Some(StuckCode::UndoFailed),
        },
        E::OperatorActed {
            actor: "token:alice".to_owned(),
            action: Action::SkipStep,
            direction: Direction::Forward,
            step: Some(step()),
            reason: "made by hand".to_owned(),
            output: Some(json!({ "machine": "vm-8" })),
        },
        E::Completed {},
        E::Unwound {},
        E::Abandoned {
            reason: "the region is gone".to_owned(),
            left_behind: vec![LeftBehind {
                step: step(),
                key: Some(saga::step_key(run_id(1), "create_server")),
                output: Some("{\"machine\":\"vm-7\"}".to_owned()),
            }],
        },
    ]
}
