//! The main job with no stand-in but the playbook repository, the hypervisor below Nova and the server that speaks as
//! MongoDB does: several sites at once, each from its launch to its end, after which nobody holds anything of them.

use crate::openstack::launch;
use crate::readme;
use crate::support::bind::Bind;
use crate::support::ocim::{Ground, text};
use crate::support::peers::{ADMIN, MariaDb, MongoDb, PASSWORD, RabbitMq};
use crate::support::private_openstack::{Shared, use_stack};
use mongodb::bson::doc;
use ocim::demo::visitors::{Visitors, tally};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Sites at once, where `FULL_LAUNCH_SITES` does not say how many.
const SITES: u32 = 3;
/// Whose servers these are at OpenStack.
const OWNER: &str = "full-launch";
const ZONE: &str = "sites.example.test";
/// The site that the README's commands launch.
const OF_README: &str = "gamma";
/// Requests of visitors before and after each switch.
const VISITS: usize = 100;

/// All that sites share.
struct Peers {
    stack: Shared,
    mysql: MariaDb,
    mongodb: MongoDb,
    rabbitmq: RabbitMq,
    bind: Bind,
}

impl Peers {
    async fn start() -> Self {
        let (mongodb, rabbitmq) = tokio::join!(MongoDb::start(), RabbitMq::start());
        let (mysql, bind) = (MariaDb::start(), Bind::start());
        Self { stack: use_stack().await, mysql, mongodb, rabbitmq, bind }
    }

    /// The configuration of an Ocim whose sites are there.
    fn variables(&self) -> Vec<(String, String)> {
        let of = |name: &str| self.stack.user()[name].clone();
        let login = format!("{ADMIN}:{PASSWORD}@127.0.0.1");
        let own = [
            ("DEFAULT_INSTANCE_BASE_DOMAIN", ZONE.to_owned()),
            ("OCIM_DNS_SERVER", self.bind.address()),
            ("OCIM_DNS_ZONES", ZONE.to_owned()),
            ("OCIM_DNS_KEY_NAME", "ocim".to_owned()),
            ("OCIM_DNS_KEY_SECRET", crate::dns::SECRET.to_owned()),
            ("DEFAULT_INSTANCE_MYSQL_URL", format!("mysql://{login}:{}", self.mysql.port)),
            ("DEFAULT_INSTANCE_MONGO_URL", format!("mongodb://{login}:{}", self.mongodb.port)),
            ("DEFAULT_RABBITMQ_API_URL", format!("http://{login}:{}", self.rabbitmq.api_port)),
            (
                "DEFAULT_INSTANCE_RABBITMQ_URL",
                format!("amqps://127.0.0.1:{}", self.rabbitmq.amqp_port),
            ),
            ("SWIFT_OPENSTACK_USER", of("OS_USERNAME")),
            ("SWIFT_OPENSTACK_PASSWORD", of("OS_PASSWORD")),
            ("SWIFT_OPENSTACK_TENANT", of("OS_PROJECT_NAME")),
            ("SWIFT_OPENSTACK_AUTH_URL", of("OS_AUTH_URL")),
            ("SWIFT_OPENSTACK_REGION", "RegionOne".to_owned()),
            ("WORKERS", "20".to_owned()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        launch::variables(&self.stack, OWNER).into_iter().chain(own).collect()
    }

    /// All that each of them holds, by what it is asked for.
    async fn holdings(&self) -> BTreeMap<&'static str, Vec<String>> {
        let names = |listed: &Value, field: &str| {
            listed.as_array().unwrap().iter().map(|it| text(it, field)).collect::<Vec<_>>()
        };
        let mongodb = self.mongodb.client(Some(("admin", ADMIN, PASSWORD)));
        let admin = mongodb.database("admin");
        let users = admin.run_command(doc! { "usersInfo": { "forAllDBs": true } }).await.unwrap();
        let users = users.get_array("users").unwrap().iter();
        let of_ours = format!("if it.metadata.get('ocim_owner') == '{OWNER}'");
        let servers = format!("print(*[it.id for it in cloud.compute.servers() {of_ours}])");
        let containers = "print(*[it.name for it in cloud.object_store.containers()])";
        let ask = |script: &str| {
            let told = self.stack.client(&self.stack.user(), script);
            told.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let zone = self.bind.dig(ZONE, "AXFR").into_iter();
        let mut holdings = BTreeMap::from([
            ("servers", ask(&servers)),
            ("containers", ask(containers)),
            ("MySQL's databases", self.mysql.list("SHOW DATABASES").await),
            ("MySQL's accounts", self.mysql.list("SELECT User FROM mysql.user").await),
            ("MongoDB's databases", mongodb.list_database_names().await.unwrap()),
            ("MongoDB's accounts", users.map(ToString::to_string).collect()),
            ("virtual hosts", names(&self.rabbitmq.get("vhosts").await, "name")),
            ("RabbitMQ's users", names(&self.rabbitmq.get("users").await, "name")),
            ("names", zone.filter(|line| !line.contains(" SOA ")).collect()),
        ]);
        holdings.values_mut().for_each(|held| held.sort());
        holdings
    }
}

/// How many sites there are to be.
fn sites() -> u32 {
    let given = std::env::vars_os().find(|(name, _)| name == "FULL_LAUNCH_SITES");
    given.map_or(SITES, |(_, text)| text.to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn full_launch() {
    let begun = Instant::now();
    let peers = Peers::start().await;
    let before = peers.holdings().await;
    let variables = peers.variables();
    let mut ground = Ground::serve_with(&launch::borrow(&variables)).await;
    ground.be_patient(sites());
    ground.await_balancer().await;
    tell(begun, "the peers are up, and Ocim with a balancer");
    let others = (2..=sites()).map(|number| format!("site{number}"));
    let names: Vec<_> = std::iter::once(OF_README.to_owned()).chain(others).collect();
    let lives = names.iter().map(|name| Life::begin(&ground, &peers, name, begun));
    futures_util::future::join_all(lives.map(Life::live)).await;
    assert_eq!(peers.holdings().await, before, "what is held still");
    let left = ground.get("/api/v1/resources?limit=200").await;
    assert_eq!(left["items"], json!([]));
    tell(begun, "nobody holds anything of them any more");
    ground.terminate().await;
}

/// One site, from its launch to its end.
struct Life<'a> {
    ground: &'a Ground,
    peers: &'a Peers,
    name: &'a str,
    domain: String,
    begun: Instant,
}

impl<'a> Life<'a> {
    fn begin(ground: &'a Ground, peers: &'a Peers, name: &'a str, begun: Instant) -> Self {
        Self { ground, peers, name, domain: format!("{name}.{ZONE}"), begun }
    }

    async fn live(self) {
        let instance = match self.name {
            OF_README => self.do_as_readme_says().await,
            _ => self.bring_up().await,
        };
        self.see("1", "1").await;
        self.look_for_names();
        self.tell("the first serves, and reads its database and its storage");

        let (second, launched) = self.ground.launch(&instance).await;
        self.complete(&launched).await;
        self.switch(&second).await;
        self.see("2", "1, 2").await;
        self.tell("the second serves, and no request was lost");

        self.change(&instance, "archive", json!({})).await;
        let shown = self.ground.visit(&self.domain).await.unwrap_err();
        assert!(shown.contains("503") && !self.peers.bind.has(&self.domain), "{shown}");
        self.tell("it is archived, and its data are kept");
        self.change(&instance, "unarchive", json!({})).await;
        self.await_third(&instance).await;
        self.see("3", "1, 2, 3").await;
        self.look_for_names();
        self.tell("it is back, by a third");
        self.change(&instance, "delete", json!({ "confirm": self.domain })).await;
        self.tell("it is deleted");
    }

    /// Makes the instance, has its first appserver launched, and serve; gives its id.
    async fn bring_up(&self) -> String {
        let site = json!({ "sub_domain": self.name, "name": self.name });
        let instance = text(&self.ground.post("/instances", site).await, "id");
        let (first, launched) = self.ground.launch(&instance).await;
        self.complete(&launched).await;
        self.complete(&self.ground.activate(&first).await).await;
        instance
    }

    /// As above, by what people are told to type.
    async fn do_as_readme_says(&self) -> String {
        let heading = "### With a cloud and servers of yours\n";
        let mut shell = readme::shell(self.ground, readme::commands_below(readme::README, heading));
        let variables = self.peers.variables();
        let output = shell.envs(launch::borrow(&variables)).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{errors}");
        let told = ["takes the credentials", "of 100 instances", &self.domain, "swift container"];
        assert!(told.iter().all(|words| said.contains(words)), "{said}");
        let shown = self.ground.get("/api/v1/instances").await;
        let listed = shown["items"].as_array().unwrap().iter();
        let own = listed.filter(|it| text(it, "domain") == self.domain).collect::<Vec<_>>();
        text(own[0], "id")
    }

    fn tell(&self, what: &str) {
        tell(self.begun, &format!("{}: {what}", self.domain));
    }

    async fn complete(&self, run: &str) {
        let phase = self.ground.await_run(run).await;
        assert_eq!(phase, "completed", "{}: {:#?}", self.domain, self.ground.read_log(run).await);
    }

    /// Has the site archived, brought back or deleted.
    async fn change(&self, instance: &str, verb: &str, mut body: Value) {
        body["reason"] = json!("a full launch");
        let asked = self.ground.post(&format!("/instances/{instance}/{verb}"), body).await;
        self.complete(&text(&asked, "run")).await;
    }

    /// The page is that appserver's, which read what those have written.
    async fn see(&self, number: &str, written: &str) {
        let page = self.ground.visit(&self.domain).await.unwrap().to_lowercase();
        let lines = [
            format!("<h1>{}</h1>", self.name),
            format!("<p>AppServer {number}</p>"),
            format!("<p>Database: written by AppServer {written}</p>"),
            format!("<p>Storage: written by AppServer {written}</p>"),
        ];
        assert!(lines.iter().all(|line| page.contains(&line.to_lowercase())), "{page}");
    }

    fn look_for_names(&self) {
        for name in [self.domain.clone(), format!("studio.{}", self.domain)] {
            assert!(!self.peers.bind.dig(&name, "CNAME").is_empty(), "{name}");
        }
    }

    /// Moves the traffic to that appserver while visitors come.
    async fn switch(&self, second: &str) {
        let balancers = self.ground.get("/api/v1/load_balancers").await;
        let balancer = &balancers["items"][0];
        let address = format!("{}:{}", text(balancer, "public_ip"), balancer["http_port"]);
        let visitors = Visitors::arrive(address.parse::<SocketAddr>().unwrap(), &self.domain);
        visitors.wait_for(VISITS).await;
        self.complete(&self.ground.activate(second).await).await;
        visitors.wait_for_more(VISITS).await;
        let tally = tally(&visitors.stop().await, [1, 2]);
        let is_seen = tally.answered.iter().all(|answered| *answered > 0);
        assert!(is_seen && tally.failed + tally.out_of_order == 0, "{}: {tally:?}", self.domain);
    }

    /// An un-archiving has another appserver launched, and activated.
    async fn await_third(&self, instance: &str) {
        let what = format!("the third appserver of {} to serve", self.domain);
        let path = format!("/api/v1/instances/{instance}");
        let third = self.ground.wait_for(&what, async || {
            let shown = self.ground.get(&path).await;
            let newest = &shown["newest_appserver"];
            (newest["number"] == 3).then(|| text(newest, "id"))
        });
        self.ground.await_appserver(&third.await, "running", true).await;
    }
}

/// Whoever watches wants to know how far it is.
#[expect(clippy::print_stderr, reason = "it is shown with --nocapture alone")]
fn tell(begun: Instant, what: &str) {
    eprintln!("{:7.1} s  {what}", begun.elapsed().as_secs_f64());
}
