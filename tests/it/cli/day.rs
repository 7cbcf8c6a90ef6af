//! A day of an operator, with the real server and a simulated region.

use crate::support::ocim::{Ground, PATIENCE, await_exit};
use crate::support::processes::signal_process;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Output, Stdio};

/// Machines that take no time.
const CLOUDS: &str = r#"{"sim": {"kind": "simulated", "speed": 100000}}"#;

/// `ocim serve`, started by hand.
pub(crate) struct Served<'a> {
    ground: &'a Ground,
    child: Child,
    /// What it said on standard output.
    greeting: Vec<String>,
}

impl<'a> Served<'a> {
    pub(crate) fn start(ground: &'a Ground) -> Self {
        let log = fs::File::create(ground.logs().join("serve.log")).unwrap();
        let mut command = ground.command(&["serve"]);
        command.env("OCIM_CLOUDS", CLOUDS).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = vec![];
        while greeting.last().is_none_or(|line: &String| !line.contains("Ctrl-C")) {
            greeting.push(lines.next().expect("it says what to do next").unwrap());
        }
        Self { ground, child, greeting }
    }

    pub(crate) fn ocim(&self, arguments: &[&str]) -> Output {
        self.ground.command(arguments).output().unwrap()
    }

    /// What a command that must succeed says.
    pub(crate) fn tell(&self, arguments: &[&str]) -> String {
        let output = self.ocim(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.ground.logs().join("serve.log")).unwrap()
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_made_looked_at_and_left_by_its_name_alone() {
    let ground = Ground::prepare().await;
    let mut served = Served::start(&ground);
    let greeting = served.greeting.join("\n");
    for word in ["Ocim answers at http://127.0.0.1:", "cli_token", "ocim instance create"] {
        assert!(greeting.contains(word), "{greeting}");
    }
    served.tell(&["instance", "create", "--sub-domain", "alpha", "--name", "Alpha"]);
    let ended = served.tell(&["appserver", "launch", "alpha", "--activate", "--wait"]);
    assert!(ended.contains("activate_appserver run_"), "it waits for the traffic: {ended}");
    let shown: Value =
        serde_json::from_str(&served.tell(&["instance", "show", "alpha", "--json"])).unwrap();
    assert_eq!(shown["active_appservers"].as_array().unwrap().len(), 1, "{shown}");
    let site = &shown["site"];
    assert!(site["lms_url"].as_str().unwrap().starts_with("http://alpha.localhost"), "{site}");
    let login =
        format!("{} {}", site["user"].as_str().unwrap(), site["password"].as_str().unwrap());
    assert!(ended.contains(site["lms_url"].as_str().unwrap()), "{ended}");
    assert!(ended.contains(&login), "{ended}");
    assert!(served.tell(&["instance", "open", "alpha"]).contains(&login));
    let told = served.tell(&["appserver", "explain", "alpha/1", "EDXAPP_CONTACT_EMAIL"]);
    assert!(told.starts_with("EDXAPP_CONTACT_EMAIL = \""), "{told}");
    assert!(told.contains("base: what every site starts from"), "{told}");
    assert!(told.contains("from the instance's setting `email` (version 1, by "), "{told}");
    let second = served.tell(&["appserver", "launch", "alpha", "--wait"]);
    assert!(second.contains("it gets no traffic yet") && second.contains(&login), "{second}");
    assert!(second.contains("machine: http://[100::"), "{second}");
    let moved = served.tell(&["appserver", "activate", "alpha/2", "--deactivate-others", "--wait"]);
    assert!(moved.contains("site:") && moved.contains(&login), "{moved}");

    let refused = served.ocim(&["appserver", "ssh", "alpha/2"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("simulated"), "{refused:?}");
    served.tell(&["appserver", "terminate", "alpha/1", "--wait", "--reason", "the old one"]);
    assert_eq!(served.tell(&["status"]), "nothing needs you\nnothing runs\n");
    let runs = served.tell(&["run", "list", "-o", "wide", "--filter", "phase=completed"]);
    assert!(runs.contains("alpha.localhost/2") && runs.contains("completed"), "{runs}");

    signal_process(served.child.id(), Signal::SIGTERM);
    assert!(await_exit(&mut served.child, PATIENCE).await.success());
    assert!(!served.log().contains('\u{1b}'), "no colours in a file: {}", served.log());
}
