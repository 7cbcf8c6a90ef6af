//! Databases and accounts on a real MariaDB.

use super::{assert_away, assert_refused, names, remove};
use crate::support::peers::{ADMIN, MariaDb, PASSWORD};
use mysql_async::prelude::Queryable;
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::ids::MysqlServerId;
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::{Item, Provisioned};
use ocim_domain::shared_server::{Mysql, MysqlUse};
use std::collections::BTreeSet;
use uuid::Uuid;

fn items(user: &str, database: &str) -> Vec<Item> {
    let password = Protected::new("test", "0123456789abcdefghijklmnopqrstuv");
    let used = MysqlUse { server: MysqlServerId(Uuid::nil()), user: user.to_owned(), password };
    Mysql::items(&used, &names(database)).unwrap()
}

/// Name and password of one of the accounts.
fn account(items: &[Item], suffix: &str) -> (String, String) {
    let found = items.iter().find_map(|item| match item {
        Item::MysqlAccount { user, password, .. } if user.ends_with(suffix) => {
            Some((user.clone(), password.clone()))
        }
        _ => None,
    });
    found.unwrap()
}

/// Whether the account may do that.
async fn may(peer: &MariaDb, (user, password): &(String, String), sql: &str) -> bool {
    let mut connection = peer.log_in(user, password).await.unwrap();
    let outcome = connection.query_drop(sql).await;
    connection.disconnect().await.unwrap();
    outcome.is_ok()
}

#[tokio::test]
async fn a_site_gets_its_databases_and_nobody_elses_and_all_of_it_goes_again() {
    let (peer, servers) = (MariaDb::start(), SharedServers::default());
    let service = peer.service();
    servers.check(&service).await.unwrap();
    let (first, second) = (items("abcdef", "a_b"), items("ghijkl", "axb"));
    for _ in 0..2 {
        servers.ensure(&service, &first).await.unwrap();
    }
    servers.ensure(&service, &second).await.unwrap();
    for item in first.iter().chain(&second) {
        assert!(servers.find(&service, &item.id()).await.unwrap(), "{item:?}");
    }
    let ids: Vec<_> = first.iter().chain(&second).map(Item::id).collect();
    assert_eq!(servers.find_among(&service, &ids).await.unwrap(), ids);
    let charsets = "SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA \
                    WHERE SCHEMA_NAME LIKE 'a_b%'";
    let charsets: BTreeSet<_> = peer.list(charsets).await.into_iter().collect();
    assert_eq!(charsets, BTreeSet::from(["utf8mb3".to_owned()]));

    let owner = account(&first, "_edxapp");
    assert!(may(&peer, &owner, "CREATE TABLE a_b_edxapp.t (a INT)").await);
    assert!(may(&peer, &owner, "CREATE TABLE a_b_edxapp_csmh.t (a INT)").await);
    // `a_b_edxapp` would fit it if the underscore stood for any letter.
    assert!(!may(&peer, &owner, "CREATE TABLE axb_edxapp.t (a INT)").await);
    assert!(!may(&peer, &owner, "CREATE TABLE a_b_xqueue.t (a INT)").await);
    let reader = account(&first, "_read_only");
    assert!(may(&peer, &reader, "SELECT * FROM a_b_edxapp.t").await);
    for sql in
        ["INSERT INTO a_b_edxapp.t VALUES (1)", "DROP TABLE a_b_edxapp.t", "CREATE DATABASE c"]
    {
        assert!(!may(&peer, &reader, sql).await, "{sql}");
    }
    assert!(may(&peer, &account(&first, "_migrate"), "DROP TABLE a_b_edxapp.t").await);
    peer.execute("CREATE TABLE a_b_edx_notes_api.n (a INT)").await;
    let notes = account(&first, "_notes");
    assert!(may(&peer, &notes, "INSERT INTO a_b_edx_notes_api.n VALUES (1)").await);
    assert!(!may(&peer, &notes, "DROP TABLE a_b_edx_notes_api.n").await);
    peer.execute("CREATE TABLE a_b_reports.r (a INT)").await;
    assert!(may(&peer, &account(&first, "_api"), "SELECT * FROM a_b_reports.r").await);
    assert!(may(&peer, &account(&first, "_admin"), "CREATE USER 'abcdef_more'@'%'").await);

    remove(&servers, &service, &first).await;
    let left: Vec<_> = second.iter().map(Item::id).collect();
    assert_eq!(servers.find_among(&service, &ids).await.unwrap(), left);
    let left = peer.list("SELECT User FROM mysql.user WHERE User LIKE 'ghijkl%'").await;
    assert_eq!(left.len(), 13, "{left:?}");
    let databases = peer.list("SHOW DATABASES LIKE 'a%b\\_%'").await;
    assert_eq!(databases.len(), 11, "{databases:?}");
    assert!(databases.iter().all(|name| name.starts_with("axb_")), "{databases:?}");
}

#[tokio::test]
async fn what_drifted_is_brought_in_line_as_is_what_the_original_granted() {
    let (peer, servers) = (MariaDb::start(), SharedServers::default());
    let (service, items) = (peer.service(), items("abcdef", "a_b"));
    let reader = account(&items, "_read_only");
    // As the original made it, with another password since.
    peer.execute("CREATE USER 'abcdef_read_only' IDENTIFIED BY 'another'").await;
    peer.execute("GRANT ALL ON `a_b_edxapp`.* TO 'abcdef_read_only'").await;
    peer.execute("CREATE USER 'abcdef_read_only'@'localhost' IDENTIFIED BY 'local'").await;
    peer.execute("GRANT SELECT ON `reporting`.* TO 'abcdef_read_only'").await;
    servers.ensure(&service, &items).await.unwrap();
    let patterns = "SELECT CONCAT(TABLE_SCHEMA, ' ', PRIVILEGE_TYPE) FROM \
                    information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = '''abcdef_read_only''@''%''' \
                    AND TABLE_SCHEMA LIKE '%edxapp'";
    assert_eq!(peer.list(patterns).await, ["a\\_b\\_edxapp SELECT"]);
    peer.execute("CREATE DATABASE axb_edxapp").await;
    peer.execute("CREATE TABLE a_b_edxapp.t (a INT)").await;
    peer.execute("DROP USER 'abcdef_read_only'@'localhost'").await;
    assert!(may(&peer, &reader, "SELECT * FROM a_b_edxapp.t").await);
    assert!(!may(&peer, &reader, "INSERT INTO a_b_edxapp.t VALUES (1)").await);
    assert!(!may(&peer, &reader, "CREATE TABLE axb_edxapp.t (a INT)").await);
    let others = "SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES \
                  WHERE TABLE_SCHEMA = 'reporting'";
    assert_eq!(peer.list(others).await, ["SELECT"], "what people granted elsewhere stays");
    remove(&servers, &service, &items).await;
}

#[tokio::test]
async fn a_server_that_is_away_comes_back_and_one_that_refuses_says_why() {
    let (mut peer, servers) = (MariaDb::start(), SharedServers::default());
    let (service, items) = (peer.service(), items("abcdef", "a_b"));
    let (half, rest) = items.split_at(items.len() / 2);
    servers.ensure(&service, half).await.unwrap();
    peer.go_away();
    let secrets = [PASSWORD, &account(&items, "_edxapp").1];
    assert_away(servers.ensure(&service, rest).await, &["MySQL server 127.0.0.1"], &secrets);
    assert_away(servers.find(&service, &items[0].id()).await, &["127.0.0.1"], &secrets);
    peer.come_back(&[]);
    servers.ensure(&service, &items).await.unwrap();

    let wrong = peer.service_as(ADMIN, "wrong-password", false);
    let words = ["MySQL server 127.0.0.1 refuses", "Access denied", "1045"];
    for outcome in [servers.check(&wrong).await, servers.ensure(&wrong, &items).await] {
        assert_refused(outcome, &words, &["wrong-password"]);
    }
    // Who may not see a database is not told that there is none.
    peer.execute("CREATE USER 'weak' IDENTIFIED BY 'weak-password'").await;
    peer.execute("GRANT SELECT ON mysql.* TO 'weak'").await;
    let weak = peer.service_as("weak", "weak-password", false);
    let found = servers.find(&weak, &Item::MysqlDatabase("a_b_edxapp".to_owned()).id()).await;
    assert_refused(found, &["1044"], &["weak-password"]);
    let told = ["`weak` may not do and grant everywhere", "CREATE USER", "WITH GRANT OPTION"];
    assert_refused(servers.check(&weak).await, &told, &["weak-password"]);
    // Without TLS no answer is believed by whoever asks for it.
    let private = peer.service_as(ADMIN, PASSWORD, true);
    assert_refused(servers.check(&private).await, &["it offers no TLS"], &[PASSWORD]);
    remove(&servers, &service, &items).await;
}

#[tokio::test]
async fn a_server_is_spoken_to_in_private_and_believed_by_its_authority_alone() {
    // As the program does at its start.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut peer = MariaDb::start();
    peer.go_away();
    let (key, certificate) = {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        (made.signing_key.serialize_pem(), made.cert.pem())
    };
    let path = |name: &str| peer.folder().join(name);
    std::fs::write(path("key.pem"), key).unwrap();
    std::fs::write(path("certificate.pem"), certificate).unwrap();
    let authority = path("certificate.pem");
    let arguments = [
        format!("--ssl-key={}", path("key.pem").display()),
        format!("--ssl-cert={}", authority.display()),
        "--require-secure-transport=ON".to_owned(),
    ];
    peer.come_back(&arguments.each_ref().map(String::as_str));
    let private = peer.service_as(ADMIN, PASSWORD, true);
    SharedServers::new(Some(authority)).check(&private).await.unwrap();
    let told = ["certificate"];
    assert_refused(SharedServers::default().check(&private).await, &told, &[PASSWORD]);
    let open = SharedServers::default().check(&peer.service()).await;
    assert_refused(open, &["refuses"], &[PASSWORD]);
}

/// One that answers nobody is given up in time: nothing of a launch waits for it for ever.
#[tokio::test]
async fn a_server_that_stands_still_is_waited_for_so_long_and_no_longer() {
    let (peer, servers) = (MariaDb::start(), SharedServers::default());
    peer.freeze(true);
    let began = std::time::Instant::now();
    let outcome = servers.check(&peer.service()).await;
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert_away(outcome, &["has not answered within 10 seconds"], &[PASSWORD]);
    peer.freeze(false);
    servers.check(&peer.service()).await.unwrap();
}
