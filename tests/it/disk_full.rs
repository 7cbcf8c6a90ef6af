//! A disk without room: commands are refused with the reason, and nothing is lost or half-done.
//!
//! The test runs itself again where temporary files go to a small disk that only that run sees.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use crate::support::log_check::Expected;
use crate::support::ocim::{Ground, text};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const NAME: &str = "disk_full::a_full_disk_refuses_commands_and_loses_nothing";
/// Marks the small disk for the run that lives there.
const MARK: &str = "small-disk";
/// The log of the server lies on the same disk: only the beginnings of its lines are sure.
const EXPECTED: [Expected; 5] = [
    ("appends failed", "the database has no room for events"),
    ("a batch of appends is tried again", "the database has no room for events"),
    ("did not answer a request", "whose request is refused for that is told so in the log, too"),
    ("the projection waits", "the database has no room for read models"),
    ("the log's end is not kept", "the data folder is on the same disk"),
];
/// Instances that are asked for until one is refused; each takes some kilobytes.
const COMMANDS_MAX: u32 = 3000;

#[tokio::test]
async fn a_full_disk_refuses_commands_and_loses_nothing() {
    if !std::env::temp_dir().join(MARK).exists() {
        return run_on_small_disk();
    }
    let mut ground = Ground::serve().await;
    ground.expected.add(&EXPECTED);
    // Until it is there, its run writes to the disk.
    ground.await_balancer().await;
    let filler = ground.root().join("filler");
    fill(&filler);

    let mut made = Vec::new();
    let mut refused = None;
    for number in 0..COMMANDS_MAX {
        let name = format!("site-{number}");
        let (status, body) = ground.try_post("/instances", site(&name)).await;
        if status == 201 {
            made.push(text(&body, "id"));
        } else {
            refused = Some((name, status, body));
            break;
        }
    }
    let (name, status, problem) = refused.expect("a refusal, since nothing can be written");
    assert_eq!(status, 503, "{problem}");
    let detail = text(&problem, "detail");
    assert!(detail.contains("no room left on its disk"), "{problem}");
    assert_eq!(list_instances(&ground).await, made, "reading goes on");

    std::fs::remove_file(&filler).unwrap();
    let again = ground.wait_for("a command to be taken again", async || {
        let (status, body) = ground.try_post("/instances", site(&name)).await;
        (status == 201).then(|| text(&body, "id"))
    });
    made.push(again.await);
    ground.terminate().await;
    ground.start().await;
    let all = ground.wait_for("the last instance to be listed", async || {
        let all = list_instances(&ground).await;
        (all.len() >= made.len()).then_some(all)
    });
    assert_eq!(all.await, made, "what was acknowledged is there, and nothing else");
    let verified = ground.command(&["events", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// Runs the test again with a file system of its own for temporary files, in a mount namespace.
fn run_on_small_disk() {
    let folder = TempDir::new().unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    // An ordinary user may mount things only as the root of a user namespace, and goes back to
    // being himself in another one inside.
    let script = r#"set -e
        mount -t tmpfs -o size=400m,mode=1777 small "$1" && touch "$1/$2" && export TMPDIR="$1"
        [ "$5" = 0 ] || set -- "$@" unshare --user --map-user="$5" --map-group="$6" --
        test=$3 name=$4 && shift 6 && exec "$@" "$test" --exact "$name" --nocapture"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let output = command
        .args(["bash", "-c", script, "on-small-disk"])
        .arg(folder.path())
        .arg(MARK)
        .arg(std::env::current_exe().unwrap())
        .args([NAME, &user.to_string(), &group.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "on a small disk:\n{text}");
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for block in [vec![1; 1 << 20], vec![1; 4096], vec![1; 1]] {
        while file.write_all(&block).is_ok() {}
    }
}

fn site(name: &str) -> serde_json::Value {
    json!({ "sub_domain": name, "name": format!("Site {name}") })
}

/// Ids of all instances, oldest first.
async fn list_instances(ground: &Ground) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = "/api/v1/instances?limit=200".to_owned();
    loop {
        let page = ground.get(&path).await;
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| text(item, "id")));
        let Some(cursor) = page["next"].as_str() else { break };
        path = format!("/api/v1/instances?limit=200&after={cursor}");
    }
    ids.sort();
    ids
}
