//! Ocim is killed, stopped, and left without its database in the middle of its work, and takes all
//! of it up again: with the real program, PostgreSQL, Ansible, sshd and HAProxy.
//!
//! As root the machines are fully isolated ones, else those that ordinary users get.

use crate::support::log_check::Expected;
use crate::support::machines::{
    count_marks, hold_play, list_machines, list_machines_of, machine_of, release_play,
};
use crate::support::ocim::{Ground, text};
use crate::support::processes::{end_processes, find_playbooks};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::time::Duration;

/// What the log shows while the play waits.
const PLAY_WAITS: &str = "Wait while a test holds the play";
const BEFORE_PLAY: &str = "launch_appserver.run_main_playbook.before_intent";
/// Where a run can be stopped around each step.
const FORWARD: [&str; 4] = ["before_intent", "after_intent", "after_effect", "after_result"];
const BACK: [&str; 2] = ["before_undo", "after_undo"];

/// What the log tells while PostgreSQL is away.
const DATABASE_AWAY: [Expected; 18] = [
    ("PostgreSQL ended; starting it again", "it was killed"),
    ("could not start PostgreSQL again", "its files are somewhere else for a moment"),
    ("the wake-up connection is opened again", "the event store hears of nothing"),
    ("the append connection was lost", "the event store had one open"),
    ("a batch of appends is tried again", "somebody appends meanwhile"),
    ("appends failed", "somebody appends meanwhile"),
    ("a subscription can't read and tries again", "somebody follows the log"),
    ("the projections can't be looked through", "they are looked through all the time"),
    ("the projection waits", "a projection reads or writes meanwhile"),
    ("the database did not answer a request", "this test asks until it is told so"),
    ("a run waits for the event store", "a launch is under way"),
    ("a lease was not released: it ends by itself", "so is its lease"),
    ("the leases could not be renewed", "they are renewed every ten seconds"),
    ("output is not logged yet", "a play prints meanwhile"),
    // Whoever else looks at that very moment, and says why it found nothing.
    ("the event store can't be reached", "it is away"),
    ("error connecting to server", "the database is away"),
    ("connection closed", "it went away in the middle of something"),
    ("terminating connection", "it says so itself"),
];

/// These points of a step, e.g. `launch_appserver.create_server`.
fn points_of(step: &str, points: &[&str]) -> Vec<String> {
    points.iter().map(|point| format!("{step}.{point}")).collect()
}

/// Kills the server at each of these points, as runs come to them.
async fn crash_at_each(ground: &mut Ground, points: &[String]) {
    for point in points {
        ground.crash_at(point).await;
    }
}

/// Brings a launch to the middle of its play, where it stays.
async fn come_to_the_held_play(ground: &Ground, appserver: &str, run: &str) {
    ground.await_hold(BEFORE_PLAY).await;
    hold_play(ground, &machine_of(ground, appserver).await).await;
    ground.release(BEFORE_PLAY);
    ground.await_line(run, PLAY_WAITS).await;
    assert!(!find_playbooks(&ground.data()).is_empty(), "Ansible runs");
}

/// The site is there once, its play ran once, and its log is whole.
async fn assert_runs(ground: &Ground, appserver: &str, run: &str) {
    assert_eq!(ground.await_run(run).await, "completed", "{:#?}", ground.read_log(run).await);
    ground.await_appserver(appserver, "running", false).await;
    let machine = machine_of(ground, appserver).await;
    assert_eq!(count_marks(ground, &machine).await, 1, "the play ran once");
    let log = ground.read_log(run).await;
    let tasks = log.iter().filter(|line| line.contains("Leave a mark")).count();
    assert_eq!(tasks, 1, "the play's output is in the log once: {log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_point_a_site_comes_up_moves_and_goes_all_the_same() {
    let mut ground = Ground::serve().await;
    let instance = ground.create_instance("crash").await;
    let first = survive_kills_during_launch(&mut ground, &instance).await;
    survive_kills_of_a_cancelled_activation(&mut ground, &first).await;
    survive_kills_around_reloads(&mut ground, &first).await;
    survive_kills_of_a_cancelled_launch(&mut ground, &instance).await;
    let second = unwind_when_ansible_is_killed_too(&mut ground, &instance).await;
    assert!(ground.visit("crash.localhost").await.unwrap().contains("AppServer 1"));
    survive_kill_during_terminate(&mut ground, &first).await;
    // The balancer's, and the failed one that is kept for debugging.
    assert_eq!(list_machines(&ground).await.len(), 2);
    machine_of(&ground, &second).await;
}

/// Around the create, during boot, around the play, and in the middle of it.
async fn survive_kills_during_launch(ground: &mut Ground, instance: &str) -> String {
    let create = points_of("launch_appserver.create_server", &FORWARD);
    let booting = "launch_appserver.await_ssh.after_intent";
    let play = points_of("launch_appserver.run_main_playbook", &FORWARD);
    for point in create.iter().chain(&play) {
        ground.hold(point);
    }
    ground.hold(booting);
    let (appserver, run) = ground.launch(instance).await;
    ground.await_hold(&create[0]).await;
    // It boots still when Ocim is back, however long that takes.
    let control = ground.cloud().join("control");
    fs::create_dir_all(&control).unwrap();
    fs::write(control.join("hold_boot"), "").unwrap();
    crash_at_each(ground, &create).await;
    ground.await_hold(booting).await;
    assert_eq!(machine_of(ground, &appserver).await.host_keys, Vec::<String>::new(), "it boots");
    fs::remove_dir_all(&control).unwrap();
    ground.crash_at(booting).await;
    ground.await_hold(&play[0]).await;
    let machine = machine_of(ground, &appserver).await;
    hold_play(ground, &machine).await;
    crash_at_each(ground, &play[..2]).await;
    ground.await_line(&run, PLAY_WAITS).await;
    ground.kill();
    assert!(!find_playbooks(&ground.data()).is_empty(), "Ansible outlives Ocim");
    release_play(ground, &machine).await;
    ground.start().await;
    crash_at_each(ground, &play[2..]).await;
    assert_runs(ground, &appserver, &run).await;
    appserver
}

/// It is cancelled before the traffic moves: the probe is taken back, and nothing is served.
async fn survive_kills_of_a_cancelled_activation(ground: &mut Ground, appserver: &str) {
    let before = "activate_appserver.switch_traffic.before_intent";
    let undo = points_of("activate_appserver.publish_probe", &BACK);
    for point in &undo {
        ground.hold(point);
    }
    ground.hold(before);
    let run = ground.activate(appserver).await;
    ground.await_hold(before).await;
    cancel(ground, &run).await;
    ground.release(before);
    crash_at_each(ground, &undo).await;
    assert_eq!(ground.await_run(&run).await, "unwound");
    ground.await_appserver(appserver, "running", false).await;
    assert!(ground.visit("crash.localhost").await.is_err(), "nothing of it is live");
}

/// Around every change of the balancer.
async fn survive_kills_around_reloads(ground: &mut Ground, appserver: &str) {
    let mut points = points_of("activate_appserver.publish_probe", &FORWARD);
    points.extend(points_of("activate_appserver.switch_traffic", &FORWARD));
    for point in &points {
        ground.hold(point);
    }
    let run = ground.activate(appserver).await;
    crash_at_each(ground, &points).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    ground.read_log(&run).await;
    ground.await_appserver(appserver, "running", true).await;
    assert!(ground.visit("crash.localhost").await.unwrap().contains("AppServer 1"));
}

/// It is cancelled in the middle of its play: the play ends, the machine goes, both by force.
async fn survive_kills_of_a_cancelled_launch(ground: &mut Ground, instance: &str) {
    let mut undo = points_of("launch_appserver.run_main_playbook", &BACK);
    undo.extend(points_of("launch_appserver.create_server", &BACK));
    for point in &undo {
        ground.hold(point);
    }
    ground.hold(BEFORE_PLAY);
    let (appserver, run) = ground.launch(instance).await;
    come_to_the_held_play(ground, &appserver, &run).await;
    cancel(ground, &run).await;
    crash_at_each(ground, &undo).await;
    assert_eq!(ground.await_run(&run).await, "unwound");
    ground.read_log(&run).await;
    ground.await_appserver(&appserver, "cancelled", false).await;
    assert_eq!(list_machines_of(ground, &appserver).await, []);
    assert_eq!(find_playbooks(&ground.data()), Vec::<i32>::new());
}

async fn cancel(ground: &Ground, run: &str) {
    let reason = json!({"reason": "the test wants so"});
    ground.post(&format!("/runs/{run}/cancel"), reason).await;
}

/// Nobody knows how far a killed play came: it is not run again, and its machine is kept.
async fn unwind_when_ansible_is_killed_too(ground: &mut Ground, instance: &str) -> String {
    ground.hold(BEFORE_PLAY);
    let (appserver, run) = ground.launch(instance).await;
    come_to_the_held_play(ground, &appserver, &run).await;
    ground.kill();
    end_processes(&find_playbooks(&ground.data()));
    ground.start().await;
    assert_eq!(ground.await_run(&run).await, "unwound");
    ground.await_appserver(&appserver, "failed", false).await;
    let log = ground.read_log(&run).await;
    assert!(log.iter().any(|line| line.contains("was killed before it ended")), "{log:#?}");
    let machine = machine_of(ground, &appserver).await;
    assert_eq!(count_marks(ground, &machine).await, 0, "the play was not run again");
    assert_eq!(find_playbooks(&ground.data()), Vec::<i32>::new());
    look_at_what_is_left(ground, &appserver);
    appserver
}

/// Whoever wants to know why it failed logs in, without knowing user, port or key.
fn look_at_what_is_left(ground: &Ground, appserver: &str) {
    let script = r#"printf '%s|' "$@"; exit 7"#;
    let exec = ["appserver", "exec", appserver, "sh", "-c", script, "sh", "a b", "it's"];
    let output = ground.command(&exec).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a b|it's|", "{output:?}");
}

/// The cloud has not been told yet.
async fn survive_kill_during_terminate(ground: &mut Ground, appserver: &str) {
    let point = "terminate_appserver.delete_server.after_intent";
    ground.hold(point);
    let ask = json!({"force": true, "reason": "the test ends"});
    let run = text(&ground.post(&format!("/appservers/{appserver}/terminate"), ask).await, "run");
    ground.crash_at(point).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    ground.read_log(&run).await;
    ground.await_appserver(appserver, "terminated", false).await;
    assert_eq!(list_machines_of(ground, appserver).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_goes_on_after_sigterm_and_after_its_database_was_killed() {
    let mut ground = Ground::serve().await;
    let instance = ground.create_instance("outage").await;
    ground.hold(BEFORE_PLAY);
    let (appserver, run) = ground.launch(&instance).await;
    come_to_the_held_play(&ground, &appserver, &run).await;

    let ansible = find_playbooks(&ground.data());
    let (status, took) = ground.terminate().await;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "it took {took:?} to stop");
    let left = find_playbooks(&ground.data());
    assert!(ansible.iter().all(|pid| left.contains(pid)), "Ansible goes on: {ansible:?} {left:?}");
    assert!(!ground.data().join("postgres/cluster/postmaster.pid").exists(), "PostgreSQL stopped");
    ground.start().await;

    kill_database(&ground).await;
    let machine = machine_of(&ground, &appserver).await;
    release_play(&ground, &machine).await;
    assert_runs(&ground, &appserver, &run).await;
}

/// While it is away the log says so, and the API, which tells when to come back; then it answers again.
async fn kill_database(ground: &Ground) {
    ground.expected.add(&DATABASE_AWAY);
    let cluster = ground.data().join("postgres/cluster");
    let away = cluster.with_extension("away");
    let file = cluster.join("postmaster.pid");
    let postmaster = || fs::read_to_string(&file).ok()?.lines().next()?.parse::<i32>().ok();
    let killed = postmaster().unwrap();
    // Without its files it can't come back before the API was asked.
    fs::rename(&cluster, &away).unwrap();
    let signal = Signal::SIGKILL;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(killed), signal).unwrap();
    ground
        .wait_for("a 503 without the database", async || {
            let (status, headers, body) = ground.try_get("/api/v1/instances").await?;
            if status == 200 {
                return None;
            }
            assert_eq!(status, 503, "{body}");
            let seconds = headers.get("Retry-After").expect("it says when to come back");
            assert!(seconds.to_str().unwrap().parse::<u64>().unwrap() > 0);
            Some(())
        })
        .await;
    fs::rename(&away, &cluster).unwrap();
    ground.get("/ready").await;
    let again = postmaster().expect("a new PostgreSQL");
    assert_ne!(again, killed);
    // However often it is tried meanwhile.
    assert_eq!(ground.count_log_lines("the wake-up connection is opened again"), 1);
}
