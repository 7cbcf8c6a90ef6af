//! What lists print: for terminals, for scripts, for programs; and which items.

use super::{answer, ocim, refusal, run};
use crate::support::api_server::ApiServer;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::process::Command;

async fn given_sites(server: &ApiServer) -> Vec<String> {
    let mut sites = vec![];
    for name in ["alpha", "beta", "gamma"] {
        let long = format!("{name}, a site whose name is much longer than any terminal is wide");
        let body = json!({ "sub_domain": name, "name": long });
        let created = server.ask("POST", "/instances").json(&body).send().await.unwrap();
        sites.push(created.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned());
    }
    sites
}

#[tokio::test]
async fn a_list_has_the_form_and_the_items_that_are_asked_for() {
    let server = ApiServer::start().await;
    let mut sites = given_sites(&server).await;
    sites.reverse();
    let names = answer(&server, &["instance", "list", "-o", "name"]).await;
    assert_eq!(names.lines().collect::<Vec<_>>(), sites);
    let list: Value =
        serde_json::from_str(&answer(&server, &["instance", "list", "-o", "json"]).await).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 3);
    let wide = answer(&server, &["instance", "list", "-o", "wide"]).await;
    assert!(wide.contains("CREATED") && wide.contains("Z"), "{wide}");
    let two = answer(&server, &["instance", "list", "-o", "name", "--limit", "2"]).await;
    assert_eq!(two.lines().collect::<Vec<_>>(), sites[..2]);
    let filter = ["instance", "list", "-o", "name", "--filter", "domain=beta.example.com"];
    assert_eq!(answer(&server, &filter).await, sites[1]);
    let none = [&filter[..], &["--filter", "appserver_count=1"]].concat();
    assert_eq!(answer(&server, &none).await, "");
    let (code, line) = refusal(&server, &["instance", "list", "--filter", "domian=x"]).await;
    assert_eq!(code, 2);
    assert!(line.contains("`domian`") && line.contains("domain"), "{line}");
    for wrong in [&["--limit", "0"][..], &["--filter", "x"], &["-o", "yaml"]] {
        let output = run(&server, &[&["instance", "list"], wrong].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn on_a_terminal_no_line_is_longer_than_it_is_wide() {
    let server = ApiServer::start().await;
    given_sites(&server).await;
    server.catch_up().await;
    for width in [60, 80, 100] {
        let command = format!(
            "stty cols {width} rows 40; {} --data-dir {} instance list",
            env!("CARGO_BIN_EXE_ocim"),
            server.data_dir().display()
        );
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &command, "/dev/null"]).env("HOME", "/nonexistent");
        let output = terminal.stdin(Stdio::null()).output().await.unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && shown.lines().count() == 4, "{shown}");
        for line in shown.lines() {
            let length = line.trim_end().chars().count();
            assert!(length <= width, "{length} > {width}: {line}");
        }
        assert!(shown.contains('…'), "{shown}");
    }
    let piped = answer(&server, &["instance", "list"]).await;
    assert!(piped.contains("than any terminal is wide") && !piped.contains('…'), "{piped}");
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_goes_is_no_failure() {
    let server = ApiServer::start().await;
    given_sites(&server).await;
    server.catch_up().await;
    for command in [&["instance", "list"][..], &["instance", "list", "--json"], &["openapi"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command_line = ocim(server.data_dir(), command);
        command_line.stdout(Stdio::from(writer)).stderr(Stdio::piped());
        let output = command_line.spawn().unwrap().wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{command:?}: {output:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn errors_speak_of_options_not_of_the_api() {
    let server = ApiServer::start().await;
    let site = server.given_instance("alpha").await;
    let run_id = server.given_run().await.to_string();
    for (command, words) in [
        (&["run", "list", "--definition", "x", "--subject", "a\u{1}"][..], "the name"),
        (&["run", "logs", &run_id, "--from", "0"], "--from"),
        (&["instance", "set", &site, "name=B", "--if-version", "77"], "try again"),
    ] {
        let (_, line) = refusal(&server, command).await;
        assert!(line.contains(words), "{command:?}: {line}");
        for word in ["query", "parameter", "ETag", "header", "request"] {
            assert!(!line.contains(word), "{command:?}: {line}");
        }
    }
    server.stop().await;
}
