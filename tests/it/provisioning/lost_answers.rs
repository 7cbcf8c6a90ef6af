//! Answers of real servers that come late, do not come, or are garbled on their way: what is done then is done once.

use super::names;
use crate::support::http_double::HttpDouble;
use crate::support::peers::{ADMIN, MariaDb, MongoDb, PASSWORD, RabbitMq};
use crate::support::tcp_proxy::{Act, Proxy};
use mongodb::bson::doc;
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::ids::{MongodbServerId, MysqlServerId, RabbitmqServerId};
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::{Item, Provisioned, Service, SwiftAccount};
use ocim_domain::shared_server::{
    Mongodb, MongodbUse, Mysql, MysqlUse, QueueUser, Rabbitmq, RabbitmqUse,
};
use std::time::Duration;
use uuid::Uuid;

const SITES_PASSWORD: &str = "0123456789abcdefghijklmnopqrstuv";
const DELAY: Act = Act::Delay(Duration::from_millis(300));

/// One server behind a proxy, and what a site has there.
struct Ground {
    proxy: Proxy,
    servers: SharedServers,
    service: Service,
    items: Vec<Item>,
    /// Of which the server is asked whether it is there.
    sought: Item,
}

impl Ground {
    fn new(proxy: Proxy, service: Service, items: Vec<Item>, sought: Item) -> Self {
        Self { proxy, servers: SharedServers::default(), service, items, sought }
    }

    /// Makes all, removes one thing and asks for it, and has the answers to these spoilt in each way: an order
    /// whose answer is none leaves doubt, a question is asked again, and the next try ends well.
    async fn check(&self, make: &str, find: &str, remove: &str, is_made: impl AsyncFn() -> bool) {
        let Self { servers, service, items, .. } = self;
        let id = self.sought.id();
        for act in [Act::Cut, Act::Garble, DELAY] {
            self.proxy.spoil(make, act);
            self.assert_lost(servers.ensure(service, items).await, act, &Class::Ambiguous);
            servers.ensure(service, items).await.unwrap();
            assert!(is_made().await, "{act:?}");
            self.proxy.spoil(find, act);
            self.assert_lost(servers.find(service, &id).await, act, &Class::Transient);
            assert!(servers.find(service, &id).await.unwrap(), "{act:?}");
            self.proxy.spoil(remove, act);
            self.assert_lost(servers.remove(service, &id).await, act, &Class::Ambiguous);
            assert!(
                !servers.find(service, &id).await.unwrap(),
                "{act:?}: its answer was lost alone"
            );
            servers.remove(service, &id).await.unwrap();
        }
    }

    /// Only what comes late is an answer; the error names the server and no secret.
    fn assert_lost<T: std::fmt::Debug>(
        &self,
        outcome: Result<T, PortError>,
        act: Act,
        expected: &Class,
    ) {
        assert!(self.proxy.has_struck(), "{act:?}: nobody asked for it");
        if act == DELAY {
            return drop(outcome.unwrap());
        }
        let error = outcome.unwrap_err();
        assert_eq!((&error.class, error.blame), (expected, Blame::Provider), "{act:?}: {error:?}");
        assert!(error.message.contains("127.0.0.1"), "{error:?}");
        for secret in [PASSWORD, SITES_PASSWORD] {
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }
}

fn password() -> Protected {
    Protected::new("test", SITES_PASSWORD)
}

/// The server as it is reached through the proxy.
fn through(proxy: &Proxy, service: Service) -> Service {
    match service {
        Service::Mysql(mut server) => {
            server.address.port = proxy.port;
            Service::Mysql(server)
        }
        Service::Mongodb(mut server) => {
            server.address.port = proxy.port;
            Service::Mongodb(server)
        }
        Service::Rabbitmq(mut server) => {
            server.address.api_url = format!("http://127.0.0.1:{}", proxy.port);
            Service::Rabbitmq(server)
        }
        Service::Swift(account) => {
            let auth_url = format!("http://127.0.0.1:{}/v3", proxy.port);
            Service::Swift(SwiftAccount { auth_url, ..account })
        }
    }
}

#[tokio::test]
async fn mysql_makes_and_removes_once_whatever_becomes_of_its_answers() {
    let peer = MariaDb::start();
    let proxy = Proxy::start(peer.port).await;
    let server = MysqlServerId(Uuid::nil());
    let used = MysqlUse { server, user: "abcdef".to_owned(), password: password() };
    let items = Mysql::items(&used, &names("a_b")).unwrap();
    let sought = items.iter().find(|item| matches!(item, Item::MysqlDatabase(_))).unwrap().clone();
    let Item::MysqlDatabase(name) = sought.clone() else { panic!() };
    let service = through(&proxy, peer.service());
    let ground = Ground::new(proxy, service, items, sought);
    let made = async || {
        let users = peer.list("SELECT User FROM mysql.user WHERE User LIKE 'abcdef%'").await;
        (users.len(), peer.list("SHOW DATABASES LIKE 'a\\_b\\_%'").await.len()) == (13, 11)
    };
    let (find, remove) = (format!("USE `{name}`"), format!("DROP DATABASE IF EXISTS `{name}`"));
    ground.check("CREATE USER IF NOT EXISTS", &find, &remove, made).await;
}

#[tokio::test]
async fn mongodb_makes_and_removes_once_whatever_becomes_of_its_answers() {
    let peer = MongoDb::start().await;
    let proxy = Proxy::start(peer.port).await;
    let server = MongodbServerId(Uuid::nil());
    let used = MongodbUse { server, user: "abcdef".to_owned(), password: password() };
    let items = Mongodb::items(&used, &names("a_b")).unwrap();
    let sought = items.iter().find(|it| matches!(it, Item::MongodbAccount { .. })).unwrap().clone();
    let service = through(&proxy, peer.service());
    let ground = Ground::new(proxy, service, items, sought);
    let admin = peer.client(Some(("admin", ADMIN, PASSWORD)));
    let made = async || {
        let asked = admin.database("a_b").run_command(doc! { "usersInfo": "abcdef" }).await;
        asked.unwrap().get_array("users").unwrap().len() == 1
    };
    ground.check("createUser", "usersInfo", "dropUser", made).await;
}

#[tokio::test]
async fn rabbitmq_makes_and_removes_once_whatever_becomes_of_its_answers() {
    let peer = RabbitMq::start().await;
    let proxy = Proxy::start(peer.api_port).await;
    let user = |role: &str| QueueUser { user: format!("abcdef{role}"), password: password() };
    let used = RabbitmqUse {
        server: RabbitmqServerId(Uuid::nil()),
        vhost: "/abcdef".to_owned(),
        provider: user("provider"),
        consumer: user("consumer"),
    };
    let items = Rabbitmq::items(&used, &names("a_b")).unwrap();
    let service = through(&proxy, peer.service());
    let ground = Ground::new(proxy, service, items.clone(), items[0].clone());
    let made = async || {
        let count = |listed: serde_json::Value| listed.as_array().unwrap().len();
        (count(peer.get("vhosts").await), count(peer.get("users").await)) == (2, 3)
    };
    let [make, find, remove] =
        ["PUT", "GET", "DELETE"].map(|verb| format!("{verb} /api/vhosts/%2Fabcdef"));
    ground.check(&make, &find, &remove, made).await;
}

#[tokio::test]
async fn swift_makes_and_removes_once_whatever_becomes_of_its_answers() {
    let mut swift = HttpDouble::start("swift", PASSWORD, None).await;
    let proxy = Proxy::start(swift.port).await;
    let account = SwiftAccount {
        user: "user".to_owned(),
        password: PASSWORD.to_owned(),
        tenant: "tenant".to_owned(),
        auth_url: String::new(),
        region: "RegionOne".to_owned(),
    };
    let service = through(&proxy, Service::Swift(account));
    let item = Item::SwiftContainer("a_b".to_owned());
    let ground = Ground::new(proxy, service, vec![item.clone()], item);
    let swift = tokio::sync::Mutex::new(&mut swift);
    let made = async || {
        let containers = swift.lock().await.order("containers").await;
        containers.as_object().is_some_and(|it| it.keys().eq(["a_b"]))
    };
    let [make, find, remove] = ["PUT", "HEAD", "DELETE"].map(|verb| format!("{verb} /"));
    ground.check(&make, &find, &remove, made).await;
    // Who can't log in has done nothing.
    ground.proxy.spoil("POST /v3/auth/tokens", Act::Cut);
    let outcome = ground.servers.ensure(&ground.service, &ground.items).await;
    ground.assert_lost(outcome, Act::Cut, &Class::Transient);
}
