//! SQL in a site's database before its upgrade, on a real MariaDB.

use super::{assert_away, assert_refused};
use crate::support::peers::{MariaDb, PASSWORD};
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::provisioning::{Ran, Script};
use std::time::{Duration, Instant};
use uuid::Uuid;

const DATABASE: &str = "a_b_edxapp";
/// What keeps whoever writes a row of `t` waiting.
const LOCK: &str = "SELECT GET_LOCK('gate', 0)";

fn script(key: u128, statements: &[&str]) -> Script {
    let statements = statements.iter().map(|it| (*it).to_owned()).collect();
    Script { key: Uuid::from_u128(key), database: DATABASE.to_owned(), statements }
}

/// A database with a table of one row.
async fn given_site() -> MariaDb {
    let peer = MariaDb::start();
    peer.execute("CREATE DATABASE a_b_edxapp").await;
    peer.execute("CREATE TABLE a_b_edxapp.t (a INT PRIMARY KEY, b VARCHAR(50)) ENGINE = InnoDB")
        .await;
    peer.execute("INSERT INTO a_b_edxapp.t VALUES (1, 'one')").await;
    peer
}

async fn rows(peer: &MariaDb) -> Vec<String> {
    peer.list("SELECT CONCAT(a, b) FROM a_b_edxapp.t ORDER BY a").await
}

/// The rows that tell how far scripts are: how much is done of each.
async fn marks(peer: &MariaDb) -> Vec<String> {
    let sql = "SELECT CONCAT(done, '/', statements, IF(ended IS NULL, '', ' over')) \
               FROM a_b_edxapp.ocim_scripts ORDER BY id";
    peer.list(sql).await
}

async fn run(peer: &MariaDb, script: &Script) -> Result<Ran, PortError> {
    SharedServers::default().run_script(&peer.service(), script).await
}

#[tokio::test]
async fn sql_runs_in_order_is_committed_and_runs_once() {
    let peer = given_site().await;
    let wanted = script(
        1,
        &[
            "INSERT INTO t VALUES (2, 'two'), (3, 'three')",
            "SELECT * FROM t",
            "UPDATE t SET b = CONCAT(b, '!') WHERE a > 1; DELETE FROM t WHERE a = 3",
            "CREATE TABLE made AS SELECT * FROM t",
            "INSERT INTO t VALUES (4, 'ü')",
        ],
    );
    assert_eq!(run(&peer, &wanted).await.unwrap(), Ran::Now);
    assert_eq!(rows(&peer).await, ["1one", "2two!", "4ü"]);
    assert_eq!(peer.list("SELECT b FROM a_b_edxapp.made ORDER BY a").await, ["one", "two!"]);
    assert_eq!(run(&peer, &wanted).await.unwrap(), Ran::Before);
    assert_eq!(rows(&peer).await, ["1one", "2two!", "4ü"], "nothing ran twice");
    // Of another operation it is another script.
    let other = script(2, &["UPDATE t SET b = 'x' WHERE a = 4"]);
    assert_eq!(run(&peer, &other).await.unwrap(), Ran::Now);
    assert_eq!(marks(&peer).await, ["5/5 over", "1/1 over"]);
}

#[tokio::test]
async fn a_statement_that_fails_is_named_in_the_servers_words_and_undoes_those_before_it() {
    let peer = given_site().await;
    let failing = |last| script(1, &["INSERT INTO t VALUES (2, 'two')", "DELETE FROM t", last]);
    for (statement, words) in [
        ("UPDATE nowhere SET b = 'hush-hush'", "Table 'a_b_edxapp.nowhere' doesn't exist"),
        ("INSERT INTO t VALUES (7, 'x'), (7, 'hush-hush')", "Duplicate entry '…' for key"),
        ("SELEC 'hush-hush'", "You have an error in your SQL syntax"),
        ("UPDATE t SET b = 'x' WHERE a = 'hush-hush' AND c = 1", "Unknown column"),
        ("DELETE FROM t; DELETE FROM nowhere", "Table 'a_b_edxapp.nowhere' doesn't exist"),
        ("/*! ROLLBACK */", "it undid what came before it"),
    ] {
        let words = ["statement 3 of 3", "MySQL server 127.0.0.1 refuses", words];
        let outcome = run(&peer, &failing(statement)).await;
        assert_refused(outcome, &words, &["hush-hush", PASSWORD]);
        assert_eq!(rows(&peer).await, ["1one"], "{statement}");
        assert_eq!(marks(&peer).await, Vec::<String>::new(), "{statement}");
    }
    let told = run(&peer, &failing("SELEC")).await.unwrap_err().message;
    assert!(told.ends_with("nothing of what came before it was kept"), "{told}");
    assert_eq!(run(&peer, &failing("SELECT 1")).await.unwrap(), Ran::Now);
    let nowhere = Script { database: "c_d_edxapp".to_owned(), ..failing("SELECT 1") };
    assert_refused(run(&peer, &nowhere).await, &["Unknown database", "1049"], &[PASSWORD]);
}

#[tokio::test]
async fn what_commits_by_itself_is_never_run_twice_and_a_person_is_told_how_far_it_is() {
    let peer = given_site().await;
    let alter = "ALTER TABLE t ADD COLUMN c INT";
    let wanted = script(1, &["INSERT INTO t VALUES (2, 'two')", alter, "DELETE FROM t", "SELEC"]);
    let told = [
        "statement 4 of 4: the MySQL server 127.0.0.1 refuses",
        "statement 1 was carried out, statement 2 of 4 perhaps",
        "look at `a_b_edxapp`, whose row 00000000-0000-0000-0000-000000000001 in `ocim_scripts`",
    ];
    assert_refused(run(&peer, &wanted).await, &told, &[PASSWORD]);
    assert_eq!(
        (rows(&peer).await, marks(&peer).await),
        (vec!["1one".into(), "2two".into()], vec!["1/4".into()])
    );
    for _ in 0..2 {
        let told = ["an earlier try broke off: statement 1 was carried out"];
        assert_refused(run(&peer, &wanted).await, &told, &[PASSWORD]);
    }
    assert_eq!(rows(&peer).await, ["1one", "2two"]);
}

/// Has a try die while its second statement waits for what `gate` holds.
async fn break_off(peer: &MariaDb, script: &Script) {
    let mut gate = peer.log_in("root", "").await.unwrap();
    mysql_async::prelude::Queryable::query_drop(&mut gate, LOCK).await.unwrap();
    let (service, wanted) = (peer.service(), script.clone());
    let dying = tokio::spawn(async move {
        drop(SharedServers::default().run_script(&service, &wanted).await);
    });
    let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'";
    let begun = Instant::now();
    while peer.list(waiting).await != ["1"] {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never comes to the gate");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    dying.abort();
    drop(dying.await);
    gate.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_try_that_dies_in_the_middle_is_made_again_where_nothing_of_it_was_kept() {
    let peer = given_site().await;
    let wait = "DO GET_LOCK('gate', 60)";
    let wanted =
        script(1, &["INSERT INTO t VALUES (2, 'two')", wait, "UPDATE t SET b = CONCAT(b, '!')"]);
    break_off(&peer, &wanted).await;
    // The server may still be at work on it: that is waited for.
    assert_eq!(run(&peer, &wanted).await.unwrap(), Ran::Now);
    assert_eq!(rows(&peer).await, ["1one!", "2two!"], "once");

    let alter = "ALTER TABLE t ADD COLUMN c INT";
    let wanted = script(2, &[alter, wait, "UPDATE t SET b = CONCAT(b, '!')"]);
    break_off(&peer, &wanted).await;
    let told = ["an earlier try broke off: statement 1 of 3 perhaps, since it commits by itself"];
    assert_refused(run(&peer, &wanted).await, &told, &[PASSWORD]);
    assert_eq!(rows(&peer).await, ["1one!", "2two!"]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_a_server_that_is_away_is_said_to_be() {
    let mut peer = given_site().await;
    let patient = SharedServers::default().with_script_statement_max(Duration::from_millis(500));
    let slow = script(1, &["INSERT INTO t VALUES (2, 'two')", "SELECT SLEEP(100)"]);
    let outcome = patient.run_script(&peer.service(), &slow).await;
    let told =
        ["statement 2 of 2", "did not end within", "nothing of what came before it was kept"];
    assert_refused(outcome, &told, &[PASSWORD]);
    let running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(100)' AND ID <> CONNECTION_ID()";
    assert_eq!(peer.list(running).await, ["0"]);
    assert_eq!((rows(&peer).await, marks(&peer).await), (vec!["1one".to_owned()], vec![]));
    peer.go_away();
    assert_away(run(&peer, &slow).await, &["MySQL server 127.0.0.1"], &[PASSWORD]);
    peer.come_back(&[]);
    let error = run(&peer, &script(1, &["SIGNAL SQLSTATE '40001'"])).await.unwrap_err();
    assert_eq!(error.class, Class::Permanent, "{error:?}");
}
