//! The demo from its command line to an empty computer, however it ends; and starts that can't be.
//! With the real program, PostgreSQL, Ansible, sshd and HAProxy.

use crate::support::ocim::{Ground, PATIENCE, await_exit};
use crate::support::processes::{
    find_living, find_playbooks, find_processes, list_machine_processes, signal_process,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A demo under way, whose temporary files all lie on its ground.
struct Demo<'a> {
    ground: &'a Ground,
    child: Child,
    name: &'static str,
}

impl<'a> Demo<'a> {
    fn start(ground: &'a Ground, name: &'static str) -> Self {
        let file =
            |end: &str| fs::File::create(ground.logs().join(format!("{name}.{end}"))).unwrap();
        let mut command = ground.command(&["demo", "--once", "--json"]);
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { ground, child, name }
    }

    fn read(&self, end: &str) -> String {
        fs::read_to_string(self.ground.logs().join(format!("{}.{end}", self.name))).unwrap()
    }

    /// Waits until it tells of something.
    async fn await_words(&mut self, words: &str) {
        let ground = self.ground;
        ground
            .wait_for(&format!("`{words}`"), async || {
                assert!(self.child.try_wait().unwrap().is_none(), "{}", self.read("err"));
                self.read("err").contains(words).then_some(())
            })
            .await;
    }

    /// Where its data is.
    fn data(&self) -> PathBuf {
        self.ground.temporary().join(format!("ocim-demo-{}", self.child.id()))
    }

    /// Waits until it has a machine that boots; the first processes of all its machines.
    async fn await_machines(&mut self) -> Vec<(i32, u64)> {
        let cloud = self.data().join("cloud/local");
        let ground = self.ground;
        ground
            .wait_for("a machine of the demo", async || {
                let found = list_machine_processes(&cloud);
                (found.len() >= 2).then_some(found)
            })
            .await
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        // The ground removes what is left of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing of a demo is left: no file, no process of its or its machines', hence no port of theirs,
/// and no mount.
fn assert_nothing_is_left(ground: &Ground, data: &std::path::Path, machines: &[(i32, u64)]) {
    let name = data.display().to_string();
    assert!(!data.exists(), "{name} is still there");
    assert_eq!(find_processes(&name), Vec::<String>::new());
    assert_eq!(find_living(machines), []);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&ground.root().display().to_string()), "{mounts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_removes_itself_after_ctrl_c_after_a_kill_and_after_all_went_well() {
    let ground = Ground::prepare().await;

    // Killed while it makes Python's environment: that program lives on, too.
    let mut killed = Demo::start(&ground, "killed");
    let its_machines = killed.await_machines().await;
    let environments = killed.data().join("playbooks/environments").display().to_string();
    let is_making = async || (!find_processes(&environments).is_empty()).then_some(());
    ground.wait_for("the making of an environment", is_making).await;
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(killed.data().exists() && !find_living(&its_machines).is_empty(), "a kill leaves all");

    let mut stopped = Demo::start(&ground, "stopped");
    stopped.await_words("removing what an earlier demo left").await;
    let machines = stopped.await_machines().await;
    assert_nothing_is_left(&ground, &killed.data(), &its_machines);
    let data = stopped.data();
    let is_playing = async || (!find_playbooks(&data).is_empty()).then_some(());
    ground.wait_for("a play of the demo", is_playing).await;
    signal_process(stopped.child.id(), Signal::SIGINT);
    let status = await_exit(&mut stopped.child, PATIENCE).await;
    assert_eq!(status.code(), Some(1), "{}", stopped.read("err"));
    assert!(stopped.read("err").ends_with("ocim: stopped before all was shown\n"));
    assert_nothing_is_left(&ground, &stopped.data(), &machines);

    let mut whole = Demo::start(&ground, "whole");
    whole.await_words("visitors arrive").await;
    let machines = whole.await_machines().await;
    let status = await_exit(&mut whole.child, PATIENCE).await;
    assert_eq!(status.code(), Some(0), "{}", whole.read("err"));
    assert_report(&whole.read("out"));
    assert_nothing_is_left(&ground, &whole.data(), &machines);
    assert_eq!(fs::read_dir(ground.temporary()).unwrap().count(), 0, "no other file is left");
}

/// One JSON object, and what it says.
fn assert_report(printed: &str) {
    let report: Value = serde_json::from_str(printed).unwrap();
    let fields: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["instance", "appservers", "url", "http_status", "requests", "failed_requests"];
    assert_eq!(fields, [&expected[..], &["seconds", "events", "runs"]].concat());
    assert!(report["instance"].as_str().unwrap().starts_with("inst_"), "{report}");
    let appservers = report["appservers"].as_array().unwrap();
    assert!(appservers.iter().all(|id| id.as_str().unwrap().starts_with("apps_")), "{report}");
    assert_eq!((appservers.len(), &report["http_status"]), (2, &200.into()), "{report}");
    assert_eq!(report["failed_requests"], 0, "{report}");
    assert!(report["requests"].as_u64().unwrap() >= 1000, "{report}");
    // The balancer's run, four launches, four activations, the end of the first appserver, the bulk
    // operation; the maintenance and its end; archiving, un-archiving and deleting the site.
    assert_eq!(report["runs"], 16, "{report}");
    assert!(report["url"].as_str().unwrap().starts_with("http://demo.localhost:"), "{report}");
}

/// Runs a program that ends by itself.
async fn run(mut command: Command) -> Output {
    command.env("OCIM_LOG", "warn").stdout(Stdio::piped()).stderr(Stdio::piped());
    let command = tokio::process::Command::from(command).kill_on_drop(true).output();
    tokio::time::timeout(Duration::from_secs(60), command).await.expect("it ends").unwrap()
}

/// It ends with this status after one line, which is returned.
fn assert_one_line(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!((said.lines().count(), output.stdout.len()), (1, 0), "{said}");
    assert!(said.starts_with("ocim: "), "{said}");
    said
}

/// It says all that in one line, and has nothing left that runs.
fn assert_refused(ground: &Ground, output: &Output, code: i32, parts: &[&str]) {
    let said = assert_one_line(output, code);
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let data = ground.data();
    assert_eq!(find_processes(&data.display().to_string()), Vec::<String>::new());
    assert!(!data.join("server.json").exists());
    assert!(!data.join("postgres/cluster/postmaster.pid").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_says_why_in_one_line_and_leaves_nothing() {
    let mut ground = Ground::prepare().await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = ground.command(&["serve"]);
    command.env("OCIM_HTTP_PORT", &port);
    assert_refused(&ground, &run(command).await, 1, &[&port, "in use"]);

    let mut command = ground.command(&["serve"]);
    command.env("PATH", ground.root().join("empty"));
    assert_refused(&ground, &run(command).await, 1, &["ssh-keygen", "openssh-client"]);

    let mut command = ground.command(&["serve"]);
    command.env("OCIM_CLOUDS", "{}");
    assert_refused(&ground, &run(command).await, 2, &["OCIM_CLOUDS must name at least one region"]);

    ground.start().await;
    let second = run(ground.command(&["serve"])).await;
    let said = assert_one_line(&second, 1);
    assert!(said.contains(&format!("is in use by process {}\n", ground.pid())), "{said}");
    ground.get("/ready").await;
}
