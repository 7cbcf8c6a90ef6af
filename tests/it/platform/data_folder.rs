//! The data folder: its lock between processes, its secrets' modes, and what it refuses.

use ocim::config::Secret;
use ocim::data_folder::{DataFolder, DataFolderError};
use ocim_adapters::system::SystemIds;
use ocim_domain::error_chain::chain;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_second_server_is_told_who_has_the_folder() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("data");
    let folder = DataFolder::open(&root).expect("a new folder");
    let error = DataFolder::open(&root).expect_err("locked by us").to_string();
    assert!(error.ends_with(&format!("is in use by process {}", std::process::id())), "{error}");
    // Another process finds it locked too, and free once we are gone.
    let try_lock = || {
        let lock = root.join("lock");
        // A second's patience: a child of another test may hold the lock between fork and exec.
        Command::new("flock").args(["--wait", "1"]).arg(lock).arg("true").status().expect("flock")
    };
    assert!(!try_lock().success());
    drop(folder);
    assert!(try_lock().success());
}

#[test]
fn a_folder_locked_by_another_process_is_refused_until_it_ends() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("data");
    drop(DataFolder::open(&root).expect("a new folder"));
    let mut other = Command::new("flock")
        .arg(root.join("lock"))
        .args(["sh", "-c", "echo locked; read wait"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock");
    let mut said = [0; 6];
    std::io::Read::read_exact(other.stdout.as_mut().expect("its output"), &mut said)
        .expect("a word");
    let error = DataFolder::open(&root).expect_err("locked by the other");
    assert!(matches!(error, DataFolderError::Locked { .. }), "{error:?}");
    drop(other.stdin.take());
    other.wait().expect("its end");
    DataFolder::open(&root).expect("free again");
}

#[test]
fn the_running_server_is_found_and_a_dead_one_is_not() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("data");
    assert_eq!(DataFolder::find_server(&root).expect("no folder"), None);
    let folder = DataFolder::open(&root).expect("a new folder");
    assert_eq!(DataFolder::find_server(&root).expect("not yet serving"), None);
    folder.write_server("127.0.0.1:4711".parse().expect("an address")).expect("a record");
    let found = DataFolder::find_server(&root).expect("a record").expect("a server");
    assert_eq!((found.address.port(), found.pid), (4711, std::process::id()));
    assert_eq!(mode(&root.join("server.json")), 0o600);
    let record = fs::read(root.join("server.json")).expect("the record");
    drop(folder);
    assert!(!root.join("server.json").exists());
    fs::write(root.join("server.json"), record).expect("as a killed server leaves it");
    // A child of another test may hold the lock for an instant, between fork and exec.
    let nobody = || DataFolder::find_server(&root).expect("readable").is_none();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !nobody() {
        assert!(Instant::now() < deadline, "a dead server is found");
        std::thread::yield_now();
    }
}

#[test]
fn the_secret_key_is_made_once() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = DataFolder::open(&parent.path().join("data")).expect("a new folder");
    let given = Secret::new("given by the environment");
    assert_eq!(folder.secret_key(Some(&given), &SystemIds).expect("ours"), given);
    let path = folder.root().join("secret_key");
    assert!(!path.exists(), "a given key is not written down");
    let key = folder.secret_key(None, &SystemIds).expect("a new key");
    assert_eq!(key.expose().len(), 64);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(folder.secret_key(None, &SystemIds).expect("the same"), key);
    // With a database that was written with it, a lost key is not replaced in silence.
    fs::remove_file(&path).expect("the loss");
    fs::create_dir(folder.postgres()).expect("a database");
    let root = folder.root().to_owned();
    drop(folder);
    let folder = DataFolder::open(&root).expect("the next start");
    let error = folder.secret_key(None, &SystemIds).expect_err("no new key");
    assert!(error.to_string().ends_with("put it back, or set SECRET_KEY"), "{error}");
}

#[tokio::test]
async fn the_ssh_key_is_made_once() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = DataFolder::open(&parent.path().join("data")).expect("a new folder");
    let key = folder.ensure_ssh_key().await.expect("a key pair");
    assert!(key.public.starts_with("ssh-ed25519 AAAA") && !key.public.contains('\n'), "{key:?}");
    assert_eq!(mode(&key.private), 0o600);
    assert_eq!(folder.ensure_ssh_key().await.expect("the same"), key);
    assert_eq!(fs::read_dir(folder.root().join("ssh")).expect("its folder").count(), 2);
}

#[tokio::test]
async fn an_ssh_key_that_machines_were_made_with_is_never_replaced() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("data");
    let folder = DataFolder::open(&root).expect("a new folder");
    let key = folder.ensure_ssh_key().await.expect("a key pair");
    folder.node_id(&SystemIds).expect("a node that works here");
    drop(folder);
    let private = root.join("ssh/id_ed25519");
    let public = root.join("ssh/id_ed25519.pub");
    let kept = fs::read(&private).expect("the key");
    let start = async || {
        let folder = DataFolder::open(&root).expect("the next start");
        folder.ensure_ssh_key().await.map_err(|error| error.to_string())
    };
    type Lose = fn(&std::path::Path);
    let lost: [(&str, Lose); 3] = [
        ("the file is gone", |path| fs::remove_file(path).expect("the loss")),
        ("the file is empty", |path| fs::write(path, "").expect("the loss")),
        ("the folder is gone", |path| {
            fs::remove_dir_all(path.parent().expect("its folder")).expect("the loss");
        }),
    ];
    for (what, lose) in lost {
        lose(&private);
        let error = start().await.expect_err(what);
        assert!(error.starts_with(&format!("{} is gone", private.display())), "{what}: {error}");
        assert!(error.contains("put it back from a backup"), "{what}: {error}");
        // As the sentence says: with the key back, all is as before.
        let mut file = OpenOptions::new();
        file.write(true).create(true).truncate(true).mode(0o600);
        file.open(&private).and_then(|mut file| file.write_all(&kept)).expect("put back");
        assert_eq!(start().await, Ok(key.clone()), "{what}");
        assert_eq!(fs::read_to_string(&public).expect("the public half").trim(), key.public);
    }
    fs::write(&private, "rubbish").expect("damage");
    let error = start().await.expect_err("no key");
    assert!(error.contains("is damaged: put the right key back"), "{error}");
    // Another pair's private half beside our public one.
    fs::remove_file(&private).expect("the loss");
    let mut made = Command::new("ssh-keygen");
    made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(parent.path().join("other"));
    assert!(made.status().expect("ssh-keygen").success());
    fs::copy(parent.path().join("other"), &private).expect("another key");
    let error = start().await.expect_err("another key");
    assert!(error.contains("it is not the key of id_ed25519.pub"), "{error}");
    fs::remove_file(&public).expect("on purpose");
    assert_ne!(start().await.expect("the other key").public, key.public);
}

#[test]
fn a_folder_of_an_earlier_layout_is_refused_and_left_alone() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("data");
    drop(DataFolder::open(&root).expect("a new folder"));
    drop(DataFolder::open(&root).expect("the same folder"));
    let entries = || fs::read_dir(&root).expect("the folder").count();
    let before = entries();
    fs::write(root.join("layout"), "7\n").expect("a layout");
    let error = DataFolder::open(&root).expect_err("of a later Ocim").to_string();
    assert!(error.contains("is of layout 7, this Ocim understands layout 1 alone"), "{error}");
    fs::remove_file(root.join("layout")).expect("as before there were layouts");
    let error = DataFolder::open(&root).expect_err("of an earlier Ocim").to_string();
    assert!(error.contains("is of an earlier layout"), "{error}");
    assert!(error.contains("name a new data folder"), "{error}");
    assert_eq!(entries(), before - 1);
    // A kill in the middle of the very first start is no earlier layout.
    fs::remove_dir_all(&root).expect("removed");
    fs::create_dir(&root).expect("a folder");
    for name in ["lock", "layout.draft"] {
        fs::write(root.join(name), "").expect("half a start");
    }
    drop(DataFolder::open(&root).expect("a new folder"));
}

#[test]
fn folders_that_are_not_ours_are_refused_and_left_alone() {
    let parent = tempfile::tempdir().expect("a folder");
    let used = parent.path().join("home");
    fs::create_dir(&used).expect("a folder");
    fs::write(used.join("letter.txt"), "dear").expect("a file");
    fs::set_permissions(&used, fs::Permissions::from_mode(0o750)).expect("a mode");
    let error = DataFolder::open(&used).expect_err("somebody's home").to_string();
    assert!(error.contains("is not empty and no data folder of Ocim"), "{error}");
    assert_eq!(mode(&used), 0o750);
    // A file in the way; as root nothing else is forbidden.
    let error = DataFolder::open(&used.join("letter.txt/data")).expect_err("below a file");
    assert!(chain(&error).contains("File exists"), "{}", chain(&error));
}

#[test]
fn folders_are_closed_to_others() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = DataFolder::open(&parent.path().join("data")).expect("a new folder");
    // Root's PostgreSQL has a user of its own, which must pass through, but may not look around.
    let expected = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
    assert_eq!(mode(folder.root()), expected);
    for path in [folder.cloud(), folder.playbooks(), folder.root().join("ssh")] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    let root = folder.root().to_owned();
    folder.remove().expect("removed");
    assert!(!root.exists());
}

#[test]
fn a_node_keeps_its_id() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("data");
    let folder = DataFolder::open(&root).expect("a new folder");
    let node = folder.node_id(&SystemIds).expect("an id");
    assert_eq!(mode(&root.join("node_id")), 0o600);
    drop(folder);
    let folder = DataFolder::open(&root).expect("the folder");
    assert_eq!(folder.node_id(&SystemIds).expect("the id"), node);
    fs::write(root.join("node_id"), "nobody").expect("written");
    let error = chain(&folder.node_id(&SystemIds).expect_err("damaged"));
    assert!(error.contains("remove it"), "{error}");
}
