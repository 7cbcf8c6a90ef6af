//! Examples: what operators do to runs.

use super::{Example, second};
use crate::{OperateRun, RunExplanation, RunOperation, RunVerb};
use uuid::Uuid;

impl Example for OperateRun {
    fn example() -> Self {
        Self {
            operation: RunVerb::RetryStep { step: "delete_server".to_owned() },
            reason: "the cloud answers again".to_owned(),
            dry_run: true,
        }
    }
}

impl Example for RunOperation {
    fn example() -> Self {
        let sentences = [
            "would try the undo of `create_server` at once",
            "if all goes well, the run ends turned back",
        ];
        Self { done: false, sentences: sentences.map(str::to_owned).to_vec() }
    }
}

impl Example for RunExplanation {
    fn example() -> Self {
        Self {
            sentence: "stuck at delete_server: the cloud does not answer".to_owned(),
            waits_for: Some("a person".to_owned()),
            steps: vec!["delete_server".to_owned()],
            since: Some(second(4_200)),
            until: None,
            holder: Some(Uuid::from_u128(0x0198_5f6a_7c3e_7d41_8b2f_6e5d_4c3b_2a19)),
            held_until: Some(second(4_230)),
            code: Some("undo_failed".to_owned()),
            cause: Some("cancelled: agreed with the customer".to_owned()),
            last_error: Some("the cloud does not answer".to_owned()),
            next: vec!["ends turned back".to_owned()],
        }
    }
}
