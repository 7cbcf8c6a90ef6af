//! Events that a newer program wrote: an older one fails nothing by them, and leaves the run alone.

use super::stage::{Stage, somebody};
use ocim::app::{AppError, LaunchAsk};
use ocim_domain::event::{Metadata, NewEvent, StreamId};
use ocim_domain::saga::{Phase, Step};
use ocim_engine::sagas::node_leases::Take;
use ocim_engine::store::Expected;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// Appends what no program knows yet.
pub(super) async fn append_newer(stage: &Stage, stream: &StreamId, kind: &str, schema: u16) {
    let store = stage.app().journal().store();
    let version = store.read_stream(stream, 0).await.unwrap().last().unwrap().version;
    let event = NewEvent {
        id: Uuid::new_v4(),
        kind: kind.to_owned(),
        schema,
        data: json!({"invented": true}),
        meta: Metadata::by("a newer program"),
    };
    store.append(stream, Expected::Exact(version), vec![event]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_meets_a_newer_event_waits_and_is_left_to_newer_nodes() {
    for (about, kind, schema) in [
        ("appserver", "appserver.moved_to_the_moon", 1),
        ("appserver", "appserver.status_changed", 99),
        ("run", "saga.step_dreamt", 1),
        ("run", "saga.step_intended", 99),
    ] {
        let stage = Stage::new().await;
        let launched = stage.begin_launch(LaunchAsk::default()).await;
        let begun = |run: &ocim_domain::saga::Run| {
            matches!(run.steps.get("await_server"), Some(Step::Done { .. }))
        };
        stage.drive_until(launched.run, begun).await;
        let of_run = launched.run.stream();
        let stream = if about == "run" { of_run.clone() } else { launched.appserver.stream() };
        append_newer(&stage, &stream, kind, schema).await;
        let before = stage.app().journal().store().read_stream(&of_run, 0).await.unwrap();
        let runner = stage.start_runner();
        let newer = stage.node(2);
        // For longer than the attempt's time, nothing fails, and the lease is to be had.
        let mut was_free = false;
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_secs(97)).await;
            if matches!(newer.take(launched.run).await.unwrap(), Take::Taken { .. }) {
                was_free = true;
                newer.release(launched.run).await;
            }
        }
        assert!(was_free, "{kind}: no newer node could have gone on with it");
        runner.stop().await;
        let after = stage.app().journal().store().read_stream(&of_run, 0).await.unwrap();
        let new: Vec<_> = after[before.len()..].iter().map(|it| it.kind.as_str()).collect();
        let harmless =
            ["saga.lease_taken", "saga.step_intended", "saga.step_resumed", "saga.step_done"];
        assert!(new.iter().all(|kind| harmless.contains(kind)), "{kind}: {new:?}");
        if about == "run" {
            let told = stage.app().explain_run(&somebody(), launched.run).await.unwrap_err();
            assert!(matches!(told, AppError::Newer(_)), "{told:?}");
        } else {
            let run = stage.run(launched.run).await;
            assert_eq!(run.phase, Phase::Forward, "{kind}");
        }
    }
}
