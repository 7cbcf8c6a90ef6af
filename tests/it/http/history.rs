//! Timelines and the log of events, as a client of the API sees them.

use super::live::Reader;
use crate::support::api_server::ApiServer;
use chrono::{DateTime, Utc};
use ocim::read_models::{Order, timeline_sql};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{ErrorClass, Event};
use ocim_domain::token::Scope;
use serde_json::{Value, json};

/// A site that alice made and launched, with the run of the launch, whose first step took two
/// attempts. Returns the ids of instance, appserver and run.
async fn given_launch(server: &ApiServer) -> (String, String, RunId) {
    let token = server.tokens.create_token("alice", Scope::All, None).await.unwrap().expose();
    let post = |path: String, body: Value| {
        server.bare("POST", &format!("/api/v1{path}")).bearer_auth(&token).json(&body).send()
    };
    let body = json!({"sub_domain": "alpha", "name": "Alpha", "email": "staff@alpha.example"});
    let created: Value = post("/instances".into(), body).await.unwrap().json().await.unwrap();
    let instance = created["id"].as_str().unwrap().to_owned();
    let path = format!("/instances/{instance}/appservers");
    let launched: Value = post(path, json!({})).await.unwrap().json().await.unwrap();
    let appserver = launched["appserver"].as_str().unwrap().to_owned();
    let run: RunId = launched["run"].as_str().unwrap().parse().unwrap();
    server.start_run(run, &appserver).await;
    let step = || "create_server".to_owned();
    let intend = |attempt| Event::StepIntended {
        step: step(),
        attempt,
        key: ocim_domain::saga::step_key(run, "create_server"),
        deadline: "2036-11-22T12:00:00Z".parse().unwrap(),
        at: None,
    };
    let failed = Event::StepFailed {
        step: step(),
        attempt: 1,
        class: ErrorClass::Transient,
        code: None,
        error: "the cloud is busy".to_owned(),
        retry_at: Some("2026-11-22T12:00:00Z".parse().unwrap()),
        at: None,
    };
    let done = Event::StepDone { step: step(), output: json!({}) };
    for event in [intend(1), failed, intend(2), done] {
        server.report(run, event).await;
    }
    (instance, appserver, run)
}

fn column<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_timeline_tells_what_concerns_a_thing_in_sentences() {
    let server = ApiServer::start().await;
    let other = server.given_instance("other").await;
    let (instance, appserver, run) = given_launch(&server).await;
    let timeline =
        async |thing: String| server.get(&format!("{thing}/timeline?order=oldest")).await;

    let of_instance = timeline(format!("/instances/{instance}")).await;
    let told = column(&of_instance, "sentence");
    assert!(told.contains(&"alice reserved the name alpha.example.com for Alpha"), "{told:?}");
    assert!(told.contains(&"alice created the site Alpha at alpha.example.com"), "{told:?}");
    assert!(told.contains(&"alice launched AppServer 1 of Alpha"), "{told:?}");
    assert!(told.iter().any(|it| it.starts_with("Ocim finished “create server” (attempt 2, ")));
    assert!(!of_instance.to_string().contains(&other), "{of_instance}");
    assert!(!of_instance.to_string().contains("staff@"), "{of_instance}");
    let positions = column(&of_instance, "position");
    assert!(positions.is_sorted(), "{positions:?}");

    let of_appserver = timeline(format!("/appservers/{appserver}")).await;
    let told = column(&of_appserver, "sentence");
    assert_eq!(told[0], "alice launched AppServer 1 of Alpha");
    assert_eq!(told[1], "Ocim began launch_appserver for AppServer 1");
    let of_run = timeline(format!("/runs/{run}")).await;
    assert_eq!(column(&of_run, "sentence").len(), told.len());
    assert!(told[3].starts_with("“create server” failed (0."), "{told:?}");
    assert!(told[3].ends_with("s): the cloud is busy; next try at 12:00:00 UTC"), "{told:?}");
    assert_eq!(column(&of_run, "kind")[4], "saga.step_intended");
    assert_eq!(told[4], "Ocim began “create server” (attempt 2)");

    for missing in ["instances/inst", "appservers/apps", "runs/run"] {
        let path = format!("/{missing}_00000000-0000-7000-8000-000000000000/timeline");
        assert_eq!(server.ask("GET", &path).send().await.unwrap().status(), 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_timeline_comes_in_pages_from_either_end() {
    let server = ApiServer::start().await;
    let (instance, _, _) = given_launch(&server).await;
    let path = format!("/instances/{instance}/timeline");
    let whole = server.get(&format!("{path}?limit=200")).await;
    let newest_first = column(&whole, "position");
    for (order, backwards) in [("newest", false), ("oldest", true)] {
        let mut expected = newest_first.clone();
        if backwards {
            expected.reverse();
        }
        let mut seen: Vec<String> = vec![];
        let mut next = format!("/api/v1{path}?order={order}&limit=3");
        loop {
            let answer = server.bare("GET", &next).bearer_auth(&server.token).send().await.unwrap();
            let link = answer.headers().get("link").map(|it| it.to_str().unwrap().to_owned());
            let page: Value = answer.json().await.unwrap();
            seen.extend(column(&page, "position").into_iter().map(str::to_owned));
            // What happens meanwhile moves no page.
            server.given_instance(&format!("{order}-{}", seen.len())).await;
            let Some(link) = link else { break };
            let target = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            assert!(target.contains(&format!("order={order}")), "{target}");
            next = target.to_owned();
        }
        assert_eq!(seen, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn events_are_found_by_stream_kind_actor_correlation_and_time() {
    let server = ApiServer::start().await;
    server.given_instance("other").await;
    let (instance, _, run) = given_launch(&server).await;
    let stream = instance.replace("inst_", "instance-");
    let all = server.get("/events?limit=200&order=oldest").await;
    let all = all["items"].as_array().unwrap();
    let count = async |filter: String, wanted: &dyn Fn(&Value) -> bool| {
        let page = server.get(&format!("/events?limit=200&order=oldest&{filter}")).await;
        let expected: Vec<_> = all.iter().filter(|it| wanted(it)).cloned().collect();
        assert_eq!(page["items"], json!(expected), "{filter}");
        expected.len()
    };
    let of_stream = |it: &Value| it["stream"] == stream.as_str();
    assert_eq!(count(format!("stream={stream}"), &of_stream).await, 2);
    let kinds = "kind=instance.created,saga.started".to_owned();
    let is_kind = |it: &Value| it["kind"] == "instance.created" || it["kind"] == "saga.started";
    assert_eq!(count(kinds, &is_kind).await, 3);
    let by_alice = count("actor=token:alice".into(), &|it| it["actor"] == "token:alice").await;
    assert!((2..all.len()).contains(&by_alice));
    let saga = run.to_string().replace("run_", "saga-");
    assert_eq!(count(format!("stream={saga}"), &|it| it["stream"] == saga.as_str()).await, 5);
    let request = all[0]["correlation"].as_str().unwrap().to_owned();
    let of_request = |it: &Value| it["correlation"] == request.as_str();
    let found = count(format!("correlation={request}"), &of_request).await;
    assert!((1..all.len()).contains(&found));
    let time = |it: &Value| it["at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let middle = &all[all.len() / 2];
    let text = middle["at"].as_str().unwrap();
    let since = count(format!("since={text}"), &|it| time(it) >= time(middle)).await;
    let until = count(format!("until={text}"), &|it| time(it) < time(middle)).await;
    assert_eq!(since + until, all.len());

    for wrong in ["stream=alpha", "since=yesterday", "order=up", "after=7", "limit=201", "kinds=x"]
    {
        let refused = server.ask("GET", &format!("/events?{wrong}")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn protected_values_of_events_are_hidden_in_lists_and_live() {
    let server = ApiServer::start().await;
    let mut live = Reader::open(&server, "/events?follow=true&kind=instance.created", None).await;
    live.next_of("caught_up").await;
    let (instance, _, _) = given_launch(&server).await;
    let stream = instance.replace("inst_", "instance-");
    let (id, _, told) = live.next_of("event").await;
    let page = server.get(&format!("/events?stream={stream}&kind=instance.created")).await;
    assert_eq!(page["items"], json!([told]));
    assert_eq!(told["data"]["settings"]["email"], "<protected>");
    assert_eq!(told["data"]["settings"]["name"], "Alpha");
    for secret in ["staff@", "sealed", "$protected"] {
        assert!(!told.to_string().contains(secret), "{secret}: {told}");
    }
    drop(live);
    server.given_instance("beta").await;
    let path = "/events?follow=true&kind=instance.created";
    let mut live = Reader::open(&server, path, Some(&id)).await;
    assert_eq!(live.next_of("event").await.2["data"]["settings"]["name"], "beta");
    server.stop().await;
}

/// Rows that a plan of the database took from tables, whether or not it kept them.
fn rows_touched(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let own = match plan["Relation Name"].is_string() {
        true => number("Actual Rows") + number("Rows Removed by Filter"),
        false => 0.0,
    };
    let below = plan["Plans"].as_array().into_iter().flatten().map(rows_touched);
    own * number("Actual Loops") + below.sum::<f64>()
}

/// However long the log is, and whatever the database believes of it.
#[tokio::test]
async fn a_timeline_costs_what_its_subject_went_through() {
    let server = ApiServer::start().await;
    let run = server.given_run().await.to_string();
    let client = server.database.client().await;
    let others = "
        insert into rm.events select 'x' || lpad(n::text, 40, '0') as position, e.stream, e.version,
               e.id, e.kind, e.schema, e.data, e.meta, e.actor, e.correlation, e.recorded_at
          from generate_series(1, 20000) as n, (select * from rm.events limit 1) as e;
        insert into rm.event_mentions (subject, position)
        select 'run_other' || n % 7, 'x' || lpad(n::text, 40, '0')
          from generate_series(1, 20000) as n;";
    client.batch_execute(others).await.unwrap();
    for statistics in ["", "analyze"] {
        client.batch_execute(statistics).await.unwrap();
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let sql = format!("explain (analyze, format json) {}", timeline_sql(order));
            let row = client.query_one(&sql, &[&run, &51_i64, &None::<String>]).await.unwrap();
            let plan: Value = row.get(0);
            let touched = rows_touched(&plan[0]["Plan"]);
            assert!(touched < 100.0, "{order:?} {statistics}: {touched} rows: {plan:#}");
        }
    }
    server.stop().await;
}
