//! Stepping over an event that a read model can't take in: only when told so, by every later build.

use super::fake_log::FakeLog;
use super::history::{instance_id, settings};
use super::{LONG, serving, start, until};
use crate::runbook::program;
use crate::support::api_server::ApiServer;
use crate::support::postgres::Database;
use ocim::read_models::{InstanceFilter, ReadModels};
use ocim_adapters::system::SystemIds;
use ocim_domain::event::{DomainEvent, Metadata, NewEvent};
use ocim_domain::instance;
use ocim_domain::projection::{Event, projection_id};
use ocim_domain::right::ReadScope;
use ocim_domain::system::Ids;
use ocim_engine::projector::{BuildState, ProjectionStatus, ProjectorHandle, resume_past};
use ocim_engine::store::{EventStore, Expected};
use ocim_projections::ALL;
use serde_json::{Value, json};
use uuid::Uuid;

fn created(name: &str) -> instance::Event {
    instance::Event::Created { settings: settings(name) }
}

async fn until_paused(handle: &ProjectorHandle) -> ProjectionStatus {
    until("a projection is paused", async || {
        let status = handle.status().await.ok()?;
        status.into_iter().find(|it| it.state == BuildState::Paused)
    })
    .await
}

fn skip(projection: &str, event: Uuid) -> Event {
    Event::EventSkipped {
        projection: projection.to_owned(),
        event,
        event_kind: "instance.created".to_owned(),
        reason: "it can't be stored".to_owned(),
    }
}

#[tokio::test]
async fn a_paused_projection_steps_over_the_event_it_is_told() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    log.record(&instance_id(1).stream(), &created("Alpha"));
    log.record(&instance_id(2).stream(), &created("no \0 text"));
    log.record(&instance_id(3).stream(), &created("no \0 text either"));
    log.record(&instance_id(4).stream(), &created("Delta"));
    let handle = start(&log, &database, ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());
    let stream = projection_id("instances").stream();

    // One after the other, each by its name; the second is not let by with the first.
    let mut end = None;
    for _ in 0..2 {
        let failure = until_paused(&handle).await.failure.unwrap();
        end = Some(log.record(&stream, &skip("instances", failure.event)));
        resume_past(&database.pool(), "instances", failure.event).await.unwrap();
        until("it has left that event", async || {
            let status = handle.status().await.ok()?;
            let at = serving(&status, "instances").failure.as_ref().map(|it| it.event);
            (at != Some(failure.event)).then_some(())
        })
        .await;
    }
    let end = end.unwrap();
    // It may not have gone on yet.
    until("all is read", async || models.wait_for(end, LONG).await.then_some(())).await;
    let names = async || {
        let rows = models
            .seen_by(ReadScope::Everything)
            .list_instances(&InstanceFilter::default(), 10, None)
            .await
            .unwrap();
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["Delta", "Alpha"]);

    // The log says it: a rebuild steps over both by itself.
    let build = handle.rebuild("instances").await.unwrap();
    until("readers see the new build", async || {
        let status = handle.status().await.ok()?;
        (serving(&status, "instances").build.generation == build.generation).then_some(())
    })
    .await;
    assert_eq!(names().await, ["Delta", "Alpha"]);
    handle.stop().await;
}

/// Records an event as no command could: behind the journal's back.
async fn poison(server: &ApiServer) -> Uuid {
    let (kind, schema, data) = created("no \0 text").encode().unwrap();
    let event =
        NewEvent { id: SystemIds.new_id(), kind, schema, data, meta: Metadata::by("system") };
    let (id, stream) = (event.id, instance_id(9).stream());
    server.app.store().append(&stream, Expected::NoStream, vec![event]).await.unwrap();
    id
}

#[tokio::test]
async fn an_operator_has_a_read_model_go_on() {
    let server = ApiServer::start().await;
    let event = poison(&server).await;
    let refused = server.until(|it| it.status() == 503, || server.bare("GET", "/ready")).await;
    let refused: Value = refused.json().await.unwrap();
    let rule = refused["errors"][0]["rule"].as_str().unwrap();
    assert_eq!(rule, format!("`instances` is paused at the event {event} (instance.created)"));
    let listed = server.ask("GET", "/projections").send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    let paused = listed["items"].as_array().unwrap().iter().find(|it| it["state"] == "paused");
    assert_eq!(paused.unwrap()["failure"]["event"], json!(event), "{listed}");

    // Nothing else is let by: not another event, another read model, or without a reason.
    let ask = async |name: &str, event: Uuid, reason: &str| {
        let body = json!({ "event": event, "reason": reason });
        let path = format!("/projections/{name}/skip");
        server.ask("POST", &path).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("instances", SystemIds.new_id(), "why").await, 409);
    assert_eq!(ask("runs", event, "why").await, 409);
    assert_eq!(ask("nothing", event, "why").await, 404);
    assert_eq!(ask("instances", event, " ").await, 422);

    let mut command = program();
    command.arg("--data-dir").arg(server.data_dir());
    command.args(["projections", "skip", "instances", &event.to_string()]);
    command.args(["--reason", "nobody can mend it before Monday"]);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    server.until(|it| it.status() == 200, || server.bare("GET", "/ready")).await;
    server.given_instance("after").await;

    // Who did it, and why.
    let events = server.get("/events?kind=projection.event_skipped").await;
    let told = &events["items"][0];
    assert_eq!(told["reason"], "nobody can mend it before Monday");
    assert_eq!(told["data"]["event"], json!(event));
    assert!(told["actor"].as_str().unwrap().starts_with("local:"), "{told}");
    server.stop().await;
}
