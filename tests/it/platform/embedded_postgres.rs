//! The embedded PostgreSQL: real servers that are started, killed, taken over and stopped.

use super::{eventually, reachable_folder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use ocim::data_folder::DataFolder;
use ocim::embedded_postgres::{EmbeddedPostgres, PostgresError};
use ocim_domain::error_chain::chain;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn open(root: &Path) -> DataFolder {
    DataFolder::open(root).expect("a data folder")
}

async fn connect(config: &tokio_postgres::Config) -> Option<tokio_postgres::Client> {
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn ask(config: &tokio_postgres::Config, query: &str) -> String {
    let client = connect(config).await.expect("a connection");
    client.query_one(query, &[]).await.expect("an answer").get(0)
}

/// Processes that work in the cluster's folder.
fn processes(folder: &Path) -> Vec<PathBuf> {
    let cluster = folder.join("postgres").canonicalize().expect("the cluster").join("cluster");
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let works_there =
        |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == cluster);
    entries.map(|entry| entry.path()).filter(works_there).collect()
}

fn kill_hard(postgres: &EmbeddedPostgres) -> i32 {
    let pid = postgres.pid().expect("a running server");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a kill");
    pid
}

#[tokio::test]
async fn a_server_starts_comes_back_when_killed_and_stops_wholly() {
    let parent = reachable_folder();
    let folder = open(&parent.path().join("data"));
    let postgres = EmbeddedPostgres::start(&folder).await.expect("a server");
    let config = postgres.config();
    assert_eq!(ask(&config, "SELECT current_setting('jit')").await, "off");
    assert_eq!(ask(&config, "SELECT current_setting('listen_addresses')").await, "");
    assert_eq!(ask(&config, "SELECT current_database() || current_user").await, "ocimocim");
    let client = connect(&config).await.expect("a connection");
    client.batch_execute("CREATE TABLE t AS SELECT 'kept'::text AS v").await.expect("a table");
    // It is no child of the terminal's group, so a Ctrl-C there does not reach it.
    let pid = Pid::from_raw(postgres.pid().expect("a process"));
    let group = nix::unistd::getpgid(Some(pid)).expect("its group");
    assert_ne!(group, nix::unistd::getpgrp());
    // As root the server has another user; otherwise it is ours.
    let owner = std::os::unix::fs::MetadataExt::uid(
        &fs::metadata(format!("/proc/{pid}")).expect("the process"),
    );
    assert_ne!(owner, 0, "a server of root's");
    assert_eq!(owner == Uid::effective().as_raw(), !Uid::effective().is_root());

    let killed = kill_hard(&postgres);
    eventually("the server is back", async || {
        postgres.pid().is_some_and(|pid| pid != killed) && connect(&config).await.is_some()
    })
    .await;
    assert_eq!(ask(&config, "SELECT v FROM t").await, "kept");

    let since = Instant::now();
    postgres.stop().await;
    assert!(since.elapsed().as_secs() < 10, "{:?}", since.elapsed());
    assert_eq!(processes(folder.root()), Vec::<PathBuf>::new());
    let root = folder.root().to_owned();
    folder.remove().expect("removed");
    assert!(!root.exists());
}

/// Starts a server, stores a word, and leaves the server as a killed Ocim would.
fn leave_running(root: &Path) -> i32 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let pid = runtime.block_on(async {
        let folder = open(root);
        let postgres = EmbeddedPostgres::start(&folder).await.expect("a server");
        let client = connect(&postgres.config()).await.expect("a connection");
        client.batch_execute("CREATE TABLE t AS SELECT 'kept'::text AS v").await.expect("a table");
        let pid = postgres.pid().expect("a process");
        std::mem::forget(postgres);
        pid
    });
    runtime.shutdown_background();
    pid
}

#[test]
fn a_server_that_a_killed_ocim_left_is_taken_over() {
    let parent = reachable_folder();
    let root = parent.path().join("data");
    let left = leave_running(&root);
    assert!(!processes(&root).is_empty(), "it lives on");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = open(&root);
        let postgres = EmbeddedPostgres::start(&folder).await.expect("a server in its place");
        assert_ne!(postgres.pid(), Some(left));
        assert_eq!(ask(&postgres.config(), "SELECT v FROM t").await, "kept");
        assert_eq!(EmbeddedPostgres::config_of(&root).expect("the way in"), postgres.config());
        // Now both are killed: a lock file stays, and its number goes to some other program.
        let killed = kill_hard(&postgres);
        std::mem::forget(postgres);
        let gone = async || !Path::new(&format!("/proc/{killed}/cwd")).exists();
        eventually("the server is dead", gone).await;
    });
    runtime.shutdown_background();
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().expect("a stranger");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = open(&root);
        EmbeddedPostgres::end_leftovers(&folder).await.expect("nothing left");
        assert_eq!(processes(&root), Vec::<PathBuf>::new());
        let lock = root.join("postgres/cluster/postmaster.pid");
        let text = fs::read_to_string(&lock).unwrap_or_default();
        let rest: String = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
        fs::write(&lock, format!("{}\n{rest}", stranger.id())).expect("a stale lock");
        let postgres = EmbeddedPostgres::start(&folder).await.expect("a server after all");
        assert_eq!(ask(&postgres.config(), "SELECT v FROM t").await, "kept");
        postgres.stop().await;
        assert_eq!(stranger.try_wait().expect("the stranger"), None, "strangers are left alone");
    });
    stranger.kill().expect("its end");
    stranger.wait().expect("its end");
}

/// Both lock files (the cluster's and the socket's) are PostgreSQL's word for "somebody runs here".
#[tokio::test]
async fn whatever_lock_files_a_kill_left_the_first_start_works() {
    let parent = reachable_folder();
    let root = parent.path().join("data");
    let folder = open(&root);
    EmbeddedPostgres::start(&folder).await.expect("a server").stop().await;
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().expect("a stranger");
    // It ends at once, and stays a zombie until it is waited for.
    let mut zombie = std::process::Command::new("true").spawn().expect("a zombie");
    let status = format!("/proc/{}/status", zombie.id());
    let is_zombie = async || fs::read_to_string(&status).is_ok_and(|it| it.contains("State:\tZ"));
    eventually("the zombie is one", is_zombie).await;
    let home = root.join("postgres");
    let stale = [
        ("a stranger's number", format!("{}\n", stranger.id())),
        ("a zombie's number", format!("{}\n", zombie.id())),
        ("a zombie's number, of a server at work alone", format!("-{}\n", zombie.id())),
        ("nothing, after a power cut", String::new()),
        ("half a number that is no number", "12x".to_owned()),
    ];
    for (what, text) in stale {
        for lock in ["cluster/postmaster.pid", "socket/.s.PGSQL.5432.lock"] {
            fs::write(home.join(lock), &text).expect("a stale lock");
        }
        let postgres = EmbeddedPostgres::start(&folder).await;
        let postgres = postgres.unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        assert_eq!(ask(&postgres.config(), "SELECT 'hello'").await, "hello");
        postgres.stop().await;
    }
    assert_eq!(stranger.try_wait().expect("the stranger"), None, "strangers are left alone");
    stranger.kill().expect("its end");
    stranger.wait().expect("its end");
    zombie.wait().expect("its end");
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_with_advice() {
    let parent = reachable_folder();
    let folder = open(&parent.path().join("data"));
    let cluster = folder.postgres().join("cluster");
    fs::create_dir_all(&cluster).expect("a cluster");
    fs::write(cluster.join("PG_VERSION"), "9.6\n").expect("an old version");
    let error = EmbeddedPostgres::start(&folder).await.expect_err("too old");
    assert!(matches!(error, PostgresError::OtherMajor { made_by: 9, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("was made by PostgreSQL 9") && text.contains("postgresql-9"), "{text}");
    assert_eq!(fs::read_dir(&cluster).expect("the cluster").count(), 1, "nothing was touched");
}

#[tokio::test]
async fn a_folder_far_away_works_too() {
    // Too long for a socket, and behind a folder that only we may enter.
    let parent = tempfile::tempdir().expect("a folder");
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).expect("its mode");
    let folder = open(&parent.path().join("long-".repeat(20)).join("data"));
    let postgres = EmbeddedPostgres::start(&folder).await.expect("a server");
    assert_eq!(ask(&postgres.config(), "SELECT 'hello'").await, "hello");
    let home = folder.postgres().canonicalize().expect("the cluster's home");
    // As root this takes the way around; an ordinary user's server is in the folder itself.
    assert_eq!(home.starts_with(folder.root()), !Uid::effective().is_root(), "{home:?}");
    let sockets =
        ask(&postgres.config(), "SELECT current_setting('unix_socket_directories')").await;
    postgres.stop().await;
    folder.remove().expect("removed");
    assert!(!home.exists() && !Path::new(&sockets).exists(), "{sockets}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let parent = reachable_folder();
    let folder = open(&parent.path().join("data"));
    EmbeddedPostgres::start(&folder).await.expect("a server").stop().await;
    let settings = folder.postgres().join("cluster/postgresql.auto.conf");
    fs::write(&settings, "shared_buffers = 'a lot'\n").expect("a wrong setting");
    let error = EmbeddedPostgres::start(&folder).await.expect_err("a wrong setting");
    assert!(error.to_string().contains("shared_buffers"), "{error}");
    assert_eq!(processes(folder.root()), Vec::<PathBuf>::new());
}
