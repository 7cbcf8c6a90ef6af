//! Logs as a client of the API sees them: any range, of any step, as a file, and live.

use super::live::Reader;
use crate::support::api_server::ApiServer;
use ocim::logs::masking::Masker;
use ocim_adapters::logs::Level;
use ocim_domain::ids::RunId;
use serde_json::Value;

async fn write(server: &ApiServer, run: RunId, step: &str, text: &str) {
    let masker = Masker::new([]);
    server.app.logs().append(run, step, Level::Info, text, &masker).await.unwrap();
}

fn numbers(page: &Value) -> Vec<u64> {
    let lines = page["lines"].as_array().unwrap().iter();
    lines.map(|line| line["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn any_range_of_any_step_can_be_read() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    for number in 1..=12 {
        let step = ["create_server", "prepare", "prepare/clone"][number % 3];
        write(&server, run, step, &format!("line {number}")).await;
    }
    let path = format!("/runs/{run}/logs");
    let page = async |query: &str| server.get(&format!("{path}?{query}")).await;
    assert_eq!(numbers(&page("from=3&to=5").await), [3, 4, 5]);
    assert_eq!(numbers(&page("from=11&to=400").await), [11, 12]);
    assert_eq!(numbers(&page("step=create_server").await), [3, 6, 9, 12]);
    assert_eq!(numbers(&page("step=prepare&to=6").await), [1, 2, 4, 5]);
    assert_eq!(numbers(&page("step=prepare/clone").await), [2, 5, 8, 11]);
    assert_eq!(numbers(&page("step=prep").await), [0; 0]);
    let first = page("step=create_server&limit=2").await;
    assert_eq!((numbers(&first), &first["next"]), (vec![3, 6], &7.into()));
    assert_eq!(numbers(&page("step=create_server&limit=2&from=7").await), [9, 12]);
    for wrong in ["from=0", "from=5&to=4", "limit=0", "step"] {
        let refused = server.ask("GET", &format!("{path}?{wrong}&x")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    for wrong in
        ["from=0", "to=0", "from=5&to=4", "from=9223372036854775808", "to=9223372036854775808"]
    {
        for path in [path.clone(), format!("{path}/raw")] {
            let refused = server.ask("GET", &format!("{path}?{wrong}")).send().await.unwrap();
            assert_eq!(refused.status(), 400, "{path}?{wrong}");
        }
    }
    let follow = server.ask("GET", &format!("{path}?follow=true"));
    let refused = follow.header("Last-Event-ID", "9223372036854775808").send().await.unwrap();
    assert_eq!(refused.status(), 400);
    server.stop().await;
}

#[tokio::test]
async fn a_log_is_counted_and_downloaded_as_a_text_file() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    let count = async || {
        let head = server.ask("HEAD", &format!("/runs/{run}/logs")).send().await.unwrap();
        assert_eq!(head.status(), 200);
        head.headers()["x-line-count"].to_str().unwrap().to_owned()
    };
    assert_eq!(count().await, "0");
    let text: String = (1..=2_500).map(|number| format!("line {number}\n")).collect();
    write(&server, run, "configure", &text).await;
    write(&server, run, "await_reboot", "it is up").await;
    assert_eq!(count().await, "2501");

    let path = format!("/runs/{run}/logs/raw");
    let file = server.ask("GET", &path).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "text/plain; charset=utf-8");
    let disposition = format!("attachment; filename=\"{run}.log\"");
    assert_eq!(file.headers()["content-disposition"], disposition);
    assert_eq!(file.headers()["x-line-count"], "2501");
    assert_eq!(file.text().await.unwrap(), format!("{text}it is up\n"));
    let part = async |query: &str| {
        let file = server.ask("GET", &format!("{path}?{query}")).send().await.unwrap();
        file.text().await.unwrap()
    };
    assert_eq!(part("from=1000&to=1001").await, "line 1000\nline 1001\n");
    assert_eq!(part("step=await_reboot").await, "it is up\n");
    assert_eq!(part("from=2502").await, "");
    let unknown = "/runs/run_00000000-0000-7000-8000-000000000000/logs";
    for (method, path) in [("HEAD", unknown.to_owned()), ("GET", format!("{unknown}/raw"))] {
        assert_eq!(server.ask(method, &path).send().await.unwrap().status(), 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn one_step_is_followed_across_connections() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    write(&server, run, "other", "one").await;
    write(&server, run, "configure", "two").await;
    let path = format!("/runs/{run}/logs?follow=true&step=configure");
    let mut reader = Reader::open(&server, &path, None).await;
    let (id, _, line) = reader.next().await.unwrap();
    assert_eq!((id.as_str(), &line["text"]), ("2", &"two".into()));
    drop(reader);
    write(&server, run, "other", "three").await;
    write(&server, run, "configure", "four").await;
    server.app.logs().finish(run).await.unwrap();
    let mut reader = Reader::open(&server, &path, Some(&id)).await;
    assert_eq!(reader.next().await.unwrap().0, "4");
    assert_eq!(reader.next().await.unwrap().1, "end");
    server.stop().await;
}

/// A `fatal: … => {…}` is longer than a page should be, and nothing of it may be lost.
#[tokio::test]
async fn a_long_line_is_shown_cut_and_downloaded_whole() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    let long = format!("fatal: {}", "é".repeat(40_000));
    write(&server, run, "configure", &long).await;
    write(&server, run, "configure", "short").await;
    let page = server.get(&format!("/runs/{run}/logs")).await;
    let [first, second] = &page["lines"].as_array().unwrap()[..] else { panic!("{page}") };
    let shown = first["text"].as_str().unwrap();
    assert!(shown.len() <= 16 * 1024 && long.starts_with(shown), "{}", shown.len());
    assert_eq!(first["more_bytes"], long.len() - shown.len());
    assert_eq!((&second["text"], &second["more_bytes"]), (&"short".into(), &0.into()));
    let raw = server.ask("GET", &format!("/runs/{run}/logs/raw")).send().await.unwrap();
    assert_eq!(raw.text().await.unwrap(), format!("{long}\nshort\n"));
    server.stop().await;
}
