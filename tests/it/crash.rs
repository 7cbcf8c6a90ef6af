//! Ocim is killed, stopped, and left without its database in the middle of its work, and takes all
//! of it up again: with the real program, PostgreSQL, Ansible, sshd and HAProxy.
//!
//! As root the machines are fully isolated ones, else those that ordinary users get.

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
async fn killed_at_five_points_a_site_comes_up_moves_and_goes_all_the_same() {
    let mut ground = Ground::serve().await;
    let instance = ground.create_instance("crash").await;
    let first = survive_kills_during_launch(&mut ground, &instance).await;
    survive_kill_before_reload(&mut ground, &first).await;
    let second = unwind_when_ansible_is_killed_too(&mut ground, &instance).await;
    assert!(ground.visit("crash.localhost").await.unwrap().contains("AppServer 1"));
    survive_kill_during_terminate(&mut ground, &first).await;
    // The balancer's, and the failed one that is kept for debugging.
    assert_eq!(list_machines(&ground).await.len(), 2);
    machine_of(&ground, &second).await;
}

/// After the create was sent, during boot, and in the middle of the play.
async fn survive_kills_during_launch(ground: &mut Ground, instance: &str) -> String {
    let asked = "launch_appserver.create_server.after_intent";
    let created = "launch_appserver.create_server.after_effect";
    let booting = "launch_appserver.await_ssh.after_intent";
    for point in [asked, created, booting, BEFORE_PLAY] {
        ground.hold(point);
    }
    let (appserver, run) = ground.launch(instance).await;
    ground.await_hold(asked).await;
    // It boots still when Ocim is back, however long that takes.
    let control = ground.cloud().join("control");
    fs::create_dir_all(&control).unwrap();
    fs::write(control.join("hold_boot"), "").unwrap();
    ground.release(asked);
    ground.crash_at(created).await;
    ground.await_hold(booting).await;
    assert_eq!(machine_of(ground, &appserver).await.host_keys, Vec::<String>::new(), "it boots");
    fs::remove_dir_all(&control).unwrap();
    ground.crash_at(booting).await;
    come_to_the_held_play(ground, &appserver, &run).await;
    let machine = machine_of(ground, &appserver).await;
    ground.kill();
    assert!(!find_playbooks(&ground.data()).is_empty(), "Ansible outlives Ocim");
    release_play(ground, &machine).await;
    ground.start().await;
    assert_runs(ground, &appserver, &run).await;
    appserver
}

/// The balancer has not been told yet.
async fn survive_kill_before_reload(ground: &mut Ground, appserver: &str) {
    let point = "activate_appserver.switch_traffic.after_intent";
    ground.hold(point);
    let run = ground.activate(appserver).await;
    ground.crash_at(point).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    ground.read_log(&run).await;
    ground.await_appserver(appserver, "running", true).await;
    assert!(ground.visit("crash.localhost").await.unwrap().contains("AppServer 1"));
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
    appserver
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

/// While it is away the API says so and when to come back; then it answers again.
async fn kill_database(ground: &Ground) {
    let file = ground.data().join("postgres/cluster/postmaster.pid");
    let postmaster = || fs::read_to_string(&file).ok()?.lines().next()?.parse::<i32>().ok();
    let killed = postmaster().unwrap();
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
    ground.get("/ready").await;
    let again = postmaster().expect("a new PostgreSQL");
    assert_ne!(again, killed);
}
