//! Databases and accounts on a real server that speaks as MongoDB does.

use super::{assert_away, assert_refused, names, remove};
use crate::support::peers::{ADMIN, MongoDb, PASSWORD};
use mongodb::bson::{Document, doc};
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::ids::MongodbServerId;
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::{Item, Provisioned};
use ocim_domain::shared_server::{Mongodb, MongodbUse};
use uuid::Uuid;

const SITES_PASSWORD: &str = "0123456789abcdefghijklmnopqrstuv";

fn items(user: &str, database: &str) -> Vec<Item> {
    let password = Protected::new("test", SITES_PASSWORD);
    let used = MongodbUse { server: MongodbServerId(Uuid::nil()), user: user.to_owned(), password };
    Mongodb::items(&used, &names(database)).unwrap()
}

/// Whether the site's account may write there.
async fn may_write(peer: &MongoDb, source: &str, user: &str, database: &str) -> bool {
    let client = peer.client(Some((source, user, SITES_PASSWORD)));
    let things = client.database(database).collection::<Document>("things");
    things.insert_one(doc! { "a": 1 }).await.is_ok()
}

#[tokio::test]
async fn a_site_gets_its_databases_and_nobody_elses_and_all_of_it_goes_again() {
    let (peer, servers) = (MongoDb::start().await, SharedServers::default());
    let service = peer.service();
    servers.check(&service).await.unwrap();
    let (first, second) = (items("firstfirstfirst", "first"), items("secondsecond", "second"));
    for _ in 0..2 {
        servers.ensure(&service, &first).await.unwrap();
    }
    servers.ensure(&service, &second).await.unwrap();
    let is_there = async |item: &Item| servers.find(&service, &item.id()).await.unwrap();
    // A database comes with its first document.
    let expected = [false, true, false, true];
    for (item, expected) in first.iter().zip(expected) {
        assert_eq!(is_there(item).await, expected, "{item:?}");
    }
    for database in ["first", "first_forum"] {
        assert!(may_write(&peer, database, "firstfirstfirst", database).await);
    }
    assert!(!may_write(&peer, "first", "firstfirstfirst", "second").await);
    for item in &first {
        assert!(is_there(item).await, "{item:?}");
    }
    // The second site has written nothing.
    let ids: Vec<_> = first.iter().chain(&second).map(Item::id).collect();
    let expected: Vec<_> = [0, 1, 2, 3, 5, 7].map(|index: usize| ids[index].clone()).to_vec();
    assert_eq!(servers.find_among(&service, &ids).await.unwrap(), expected);
    remove(&servers, &service, &first).await;
    assert!(is_there(&second[1]).await);
    assert!(!may_write(&peer, "first", "firstfirstfirst", "first").await);
    remove(&servers, &service, &second).await;
}

#[tokio::test]
async fn a_password_that_drifted_is_brought_in_line() {
    let (peer, servers) = (MongoDb::start().await, SharedServers::default());
    let (service, items) = (peer.service(), items("user", "first"));
    let admin = peer.client(Some(("admin", ADMIN, PASSWORD)));
    let other = doc! {
        "createUser": "user", "pwd": "another",
        "roles": [{ "role": "read", "db": "first" }],
    };
    admin.database("first").run_command(other).await.unwrap();
    assert!(!may_write(&peer, "first", "user", "first").await);
    servers.ensure(&service, &items).await.unwrap();
    assert!(may_write(&peer, "first", "user", "first").await);
}

#[tokio::test]
async fn a_server_that_is_away_comes_back_and_one_that_refuses_says_why() {
    let (mut peer, servers) = (MongoDb::start().await, SharedServers::default());
    let (service, items) = (peer.service(), items("user", "first"));
    peer.go_away();
    let secrets = [PASSWORD, SITES_PASSWORD];
    assert_away(servers.ensure(&service, &items).await, &["MongoDB server 127.0.0.1"], &secrets);
    peer.come_back(&["--auth"]);
    servers.ensure(&service, &items).await.unwrap();

    let wrong = peer.service_as(ADMIN, "wrong-password");
    let words = ["MongoDB server 127.0.0.1 refuses"];
    for outcome in [servers.check(&wrong).await, servers.ensure(&wrong, &items).await] {
        assert_refused(outcome, &words, &["wrong-password"]);
    }
    assert_refused(servers.check(&peer.service_as("", "")).await, &words, &[]);
    let weak = doc! {
        "createUser": "weak", "pwd": PASSWORD, "roles": [{ "role": "read", "db": "admin" }],
    };
    let admin = peer.client(Some(("admin", ADMIN, PASSWORD)));
    admin.database("admin").run_command(weak).await.unwrap();
    assert_refused(servers.check(&peer.service_as("weak", PASSWORD)).await, &words, &[PASSWORD]);
}
