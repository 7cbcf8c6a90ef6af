//! Live streams: nothing is lost between two connections, and all end with the server.

use crate::support::api_server::{ApiServer, DEADLINE};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ocim::logs::masking::Masker;
use ocim_adapters::logs::Level;
use ocim_domain::ids::RunId;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A reader of server-sent events.
pub(super) struct Reader {
    bytes: BoxStream<'static, Vec<u8>>,
    unread: String,
}

/// Id, type and data of a message.
pub(super) type Message = (String, String, Value);

impl Reader {
    pub(super) async fn open(server: &ApiServer, path: &str, last_id: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(id) = last_id {
            headers.insert("Last-Event-ID", id.parse().unwrap());
        }
        let response = server.ask("GET", path).headers(headers).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response.bytes_stream().map(|chunk| chunk.unwrap().to_vec()).boxed();
        Self { bytes, unread: String::new() }
    }

    /// The next message; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            while let Some((block, rest)) = self.unread.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = block.lines().filter_map(|line| line.split_once(": "));
                    lines.filter(|(it, _)| *it == name).map(|(_, it)| it.to_owned()).next()
                };
                let message = field("event").map(|event| {
                    let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                    (field("id").unwrap_or_default(), event, data)
                });
                self.unread = rest.to_owned();
                if message.is_some() {
                    return message;
                }
            }
            let chunk = tokio::time::timeout(DEADLINE, self.bytes.next()).await.unwrap()?;
            self.unread.push_str(&String::from_utf8(chunk).unwrap());
        }
    }

    /// The next message of this type.
    pub(super) async fn next_of(&mut self, event: &str) -> Message {
        loop {
            let message = self.next().await.unwrap();
            if message.1 == event {
                return message;
            }
        }
    }
}

pub(super) async fn write_line(server: &ApiServer, run: RunId, text: &str) {
    let masker = Masker::new([]);
    server.app.logs().append(run, "create_server", Level::Info, text, &masker).await.unwrap();
}

#[tokio::test]
async fn the_stream_tells_each_event_once_across_connections() {
    let server = ApiServer::start().await;
    server.given_instance("before").await;
    let mut reader = Reader::open(&server, "/stream", None).await;
    reader.next_of("caught_up").await;
    server.given_instance("during").await;
    let mut position = String::new();
    let last = loop {
        let (id, _, event) = reader.next_of("appended").await;
        let next = event["position"].as_str().unwrap().to_owned();
        assert!(position < next, "{position} {next}");
        position = next;
        assert_eq!(event.as_object().unwrap().len(), 4, "{event}");
        if event["kind"] == "instance.created" {
            break id;
        }
    };
    drop(reader);
    let missed = server.given_instance("between").await.replace("inst_", "instance-");
    let mut reader = Reader::open(&server, "/stream", Some(&last)).await;
    let mut told = vec![];
    loop {
        let (_, kind, event) = reader.next().await.unwrap();
        if kind == "caught_up" {
            break;
        }
        assert!(event["position"].as_str().unwrap() > position.as_str(), "{event}");
        told.push(event);
    }
    let created: Vec<_> = told.iter().filter(|it| it["kind"] == "instance.created").collect();
    assert_eq!(created.len(), 1, "{told:?}");
    assert_eq!(created[0]["stream"], missed);
    server.stop().await;
}

#[tokio::test]
async fn a_log_is_read_in_ranges_and_followed_to_its_end() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    for text in ["one", "two"] {
        write_line(&server, run, text).await;
    }
    let page = server.get(&format!("/runs/{run}/logs?from=2&limit=5")).await;
    assert_eq!(page["lines"][0]["text"], "two");
    assert_eq!((page["lines"].as_array().unwrap().len(), &page["next"]), (1, &3.into()));
    let path = format!("/runs/{run}/logs?follow=true");
    let mut reader = Reader::open(&server, &path, None).await;
    for number in ["1", "2"] {
        assert_eq!(reader.next().await.unwrap().0, number);
    }
    write_line(&server, run, "three").await;
    let (id, _, line) = reader.next().await.unwrap();
    assert_eq!((id.as_str(), &line["number"], &line["text"]), ("3", &3.into(), &"three".into()));
    drop(reader);
    write_line(&server, run, "four").await;
    server.app.logs().finish(run).await.unwrap();
    let mut reader = Reader::open(&server, &path, Some("3")).await;
    assert_eq!(reader.next().await.unwrap().2["text"], "four");
    assert_eq!(reader.next().await.unwrap().1, "end");
    assert_eq!(reader.next().await, None);
    server.stop().await;
}

#[tokio::test]
async fn one_stream_carries_events_and_the_lines_of_a_run() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    write_line(&server, run, "one").await;
    let path = format!("/stream?run={run}");
    let mut reader = Reader::open(&server, &path, None).await;
    let (id, _, line) = reader.next_of("log").await;
    assert_eq!(line["text"], "one");
    write_line(&server, run, "two").await;
    drop(reader);
    let mut reader = Reader::open(&server, &path, Some(&id)).await;
    assert_eq!(reader.next_of("log").await.2["text"], "two");
    server.given_instance("alpha").await;
    reader.next_of("appended").await;
    server.stop().await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let server = ApiServer::start().await;
    let mut reader = Reader::open(&server, "/stream", None).await;
    reader.next_of("caught_up").await;
    let stopping = tokio::time::timeout(DEADLINE, server.stop());
    let (ended, stopped) = tokio::join!(reader.next(), stopping);
    assert_eq!(ended, None);
    stopped.unwrap();
}
