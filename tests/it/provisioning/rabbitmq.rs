//! Virtual hosts and users on a real RabbitMQ.

use super::{assert_away, assert_refused, names, remove};
use crate::support::peers::{ADMIN, PASSWORD, RabbitMq};
use crate::support::ports::take_port;
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::ids::RabbitmqServerId;
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::{Item, Provisioned, Server, Service};
use ocim_domain::shared_server::{QueueUser, Rabbitmq, RabbitmqUse};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

const SITES_PASSWORD: &str = "a-password-of-the-site";

fn items(name: &str) -> Vec<Item> {
    let user = |role: &str| QueueUser {
        user: format!("{name}{role}"),
        password: Protected::new("test", SITES_PASSWORD),
    };
    let used = RabbitmqUse {
        server: RabbitmqServerId(Uuid::nil()),
        vhost: format!("/{name}"),
        provider: user("provider"),
        consumer: user("consumer"),
    };
    Rabbitmq::items(&used, &names(name)).unwrap()
}

/// All that can be tried of one server in turn: it starts slowly.
#[tokio::test]
async fn a_site_gets_its_virtual_host_and_nobody_elses_and_all_of_it_goes_again() {
    let (peer, servers) = (RabbitMq::start().await, SharedServers::default());
    let service = peer.service();
    servers.check(&service).await.unwrap();
    let (first, second) = (items("first"), items("second"));
    for _ in 0..2 {
        servers.ensure(&service, &first).await.unwrap();
    }
    servers.ensure(&service, &second).await.unwrap();
    for item in first.iter().chain(&second) {
        assert!(servers.find(&service, &item.id()).await.unwrap(), "{item:?}");
    }
    let ids: Vec<_> = first.iter().chain(&second).map(Item::id).collect();
    assert_eq!(servers.find_among(&service, &ids).await.unwrap(), ids);
    let rights = peer.get("permissions/%2Ffirst/firstprovider").await;
    let expected = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    for right in ["configure", "write", "read"] {
        assert_eq!(rights[right], expected[right]);
    }
    let user = peer.get("users/firstconsumer").await;
    assert!(user["tags"] == json!([]) || user["tags"] == json!(""), "{user}");
    assert_eq!(peer.get("users/firstprovider/permissions").await.as_array().unwrap().len(), 1);
    // Nobody without a tag gets into the management API, so the hash of the password tells.
    let before = peer.get("users/firstprovider").await["password_hash"].clone();
    let other = json!({ "password": "another", "tags": "monitoring" });
    peer.ask(Method::PUT, "users/firstprovider").json(&other).send().await.unwrap();
    let asked = peer.ask_as(Method::GET, "whoami", "firstprovider", "another").send().await;
    assert_eq!(asked.unwrap().status(), 200);
    servers.ensure(&service, &first).await.unwrap();
    let asked = peer.ask_as(Method::GET, "whoami", "firstprovider", "another").send().await;
    assert_eq!(asked.unwrap().status(), 401);
    assert_ne!(peer.get("users/firstprovider").await["password_hash"], before, "it is salted");

    remove(&servers, &service, &first).await;
    assert!(servers.find(&service, &second[0].id()).await.unwrap());
    let left: Vec<_> = second.iter().map(Item::id).collect();
    assert_eq!(servers.find_among(&service, &ids).await.unwrap(), left);

    let wrong = peer.service_as(ADMIN, "wrong-password");
    let words = ["127.0.0.1 answers 401", "the account of the RabbitMQ server is refused"];
    for outcome in [servers.check(&wrong).await, servers.ensure(&wrong, &first).await] {
        assert_refused(outcome, &words, &["wrong-password"]);
    }
    peer.put_user("weak", "management").await;
    let weak = peer.service_as("weak", PASSWORD);
    let told = ["the user `weak` has not the tag `administrator`"];
    assert_refused(servers.check(&weak).await, &told, &[PASSWORD]);
    assert_refused(servers.ensure(&weak, &first).await, &["401"], &[PASSWORD, SITES_PASSWORD]);

    peer.freeze(true);
    let outcome = servers.find(&service, &second[0].id()).await;
    assert_away(outcome, &["127.0.0.1 does not answer"], &[PASSWORD]);
    peer.freeze(false);
    assert!(servers.find(&service, &second[0].id()).await.unwrap());
    remove(&servers, &service, &second).await;
}

#[tokio::test]
async fn nobody_else_is_taken_for_a_server() {
    let servers = SharedServers::default();
    let at = |port: u16| {
        let (api_url, instance_host) = (format!("http://127.0.0.1:{port}"), "localhost".to_owned());
        Service::Rabbitmq(Server {
            address: Rabbitmq { api_url, instance_host, instance_port: 5671 },
            username: ADMIN.to_owned(),
            password: PASSWORD.to_owned(),
        })
    };
    let id = Item::RabbitmqVhost("/first".to_owned()).id();
    let away = servers.find(&at(take_port()), &id).await;
    assert_away(away, &["127.0.0.1 does not answer"], &[PASSWORD]);
    // It knows no path.
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = stranger.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = stranger.accept().await {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut read = [0; 4096];
            let _ = connection.read(&mut read).await;
            let answer =
                "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    let found = servers.find(&at(port), &id).await;
    assert_away(found, &["is no RabbitMQ"], &[PASSWORD]);
}
