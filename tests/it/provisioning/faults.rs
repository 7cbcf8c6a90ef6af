//! The program while its peers are restarted, paused and killed; and that no credential comes out meanwhile.

use crate::support::credentials::CredentialWatch;
use crate::support::http_double::HttpDouble;
use crate::support::machines::{hold_play, kill_sshd, machine_of};
use crate::support::ocim::{Ground, text};
use crate::support::peers::{MariaDb, MongoDb, PASSWORD, RabbitMq};
use crate::support::tcp_proxy::{Act, Proxy};
use mongodb::bson::doc;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Who administers each server here, each by a password of its own.
const MYSQL_PASSWORD: &str = "mysql_admins_own_8c1f";
const MONGODB_PASSWORD: &str = "mongodb-admins-own-52aa";
const RABBITMQ_PASSWORD: &str = "rabbitmq-admins-own-93de";
const SWIFT_PASSWORD: &str = "swift-users-own-e07b";
const BOSS: &str = "boss";
/// Where a launch stands before its play.
const BEFORE_PLAY: &str = "launch_appserver.run_main_playbook.before_intent";

/// All that sites share, and what Ocim is told of it.
struct Peers {
    mysql: MariaDb,
    mongodb: MongoDb,
    rabbitmq: RabbitMq,
    swift: HttpDouble,
    /// Before MySQL.
    proxy: Proxy,
}

impl Peers {
    async fn start() -> Self {
        let (mysql, mongodb) = (MariaDb::start(), MongoDb::start().await);
        let (rabbitmq, swift) =
            (RabbitMq::start().await, HttpDouble::start("swift", SWIFT_PASSWORD, None).await);
        let sql = format!(
            "GRANT ALL ON *.* TO '{BOSS}'@'%' IDENTIFIED BY '{MYSQL_PASSWORD}' WITH GRANT OPTION"
        );
        mysql.execute(&sql).await;
        let create = doc! {
            "createUser": BOSS, "pwd": MONGODB_PASSWORD,
            "roles": [{ "role": "root", "db": "admin" }],
        };
        let admin = mongodb.client(Some(("admin", crate::support::peers::ADMIN, PASSWORD)));
        admin.database("admin").run_command(create).await.unwrap();
        let user = json!({ "password": RABBITMQ_PASSWORD, "tags": "administrator" });
        let asked = rabbitmq.ask(reqwest::Method::PUT, &format!("users/{BOSS}")).json(&user);
        assert!(asked.send().await.unwrap().status().is_success());
        let proxy = Proxy::start(mysql.port).await;
        Self { mysql, mongodb, rabbitmq, swift, proxy }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let Self { mongodb, rabbitmq, proxy, .. } = self;
        let at = |scheme: &str, password: &str, port: u16| {
            format!("{scheme}://{BOSS}:{password}@127.0.0.1:{port}")
        };
        vec![
            ("OCIM_CLOUDS", r#"{"local": {"kind": "local"}}"#.to_owned()),
            ("DEFAULT_INSTANCE_MYSQL_URL", at("mysql", MYSQL_PASSWORD, proxy.port)),
            ("DEFAULT_INSTANCE_MONGO_URL", at("mongodb", MONGODB_PASSWORD, mongodb.port)),
            ("DEFAULT_RABBITMQ_API_URL", at("http", RABBITMQ_PASSWORD, rabbitmq.api_port)),
            ("DEFAULT_INSTANCE_RABBITMQ_URL", format!("amqps://127.0.0.1:{}", rabbitmq.amqp_port)),
        ]
    }

    /// A site that keeps its uploads in Swift.
    async fn create_instance(&self, ground: &Ground) -> String {
        let body = json!({
            "sub_domain": "alpha",
            "name": "Site alpha",
            "configuration_extra_settings": "OCIM_DEMO_HOLD_FILE: ~/play-held\n",
            "storage_type": "swift",
            "swift_openstack_auth_url": format!("http://127.0.0.1:{}/v3", self.swift.port),
            "swift_openstack_user": "user",
            "swift_openstack_password": SWIFT_PASSWORD,
            "swift_openstack_tenant": "tenant",
            "swift_openstack_region": "RegionOne",
        });
        text(&ground.post("/instances", body).await, "id")
    }

    /// Kind and name of all that the servers have of the site; MongoDB's databases come with their documents.
    async fn held(&mut self) -> BTreeSet<(String, String)> {
        let mut held = BTreeSet::new();
        let mut hold = |kind: &str, names: Vec<String>| {
            held.extend(names.into_iter().map(|name| (kind.to_owned(), name)));
        };
        hold("mysql_database", self.mysql.list("SHOW DATABASES LIKE 'alpha%'").await);
        let accounts = "SELECT User FROM mysql.user WHERE Host = '%' AND User LIKE '______\\_%' \
                        AND User <> 'ocim_admin'";
        hold("mysql_account", self.mysql.list(accounts).await);
        let admin = self.mongodb.client(Some(("admin", BOSS, MONGODB_PASSWORD)));
        for database in ["alpha_localhost", "alpha_localhost_forum"] {
            let users = admin.database(database).run_command(doc! { "usersInfo": 1 }).await;
            let users = users.unwrap();
            let users = users.get_array("users").unwrap().iter();
            let names = users.map(|it| it.as_document().unwrap().get_str("user").unwrap());
            hold("mongodb_account", names.map(|name| format!("{database}.{name}")).collect());
        }
        let names = |listed: Value| -> Vec<String> {
            listed.as_array().unwrap().iter().map(|it| text(it, "name")).collect()
        };
        let not = |names: Vec<String>, others: &[&str]| -> Vec<String> {
            names.into_iter().filter(|name| !others.contains(&name.as_str())).collect()
        };
        hold("rabbitmq_vhost", not(names(self.rabbitmq.get("vhosts").await), &["/"]));
        let others = [BOSS, crate::support::peers::ADMIN];
        hold("rabbitmq_user", not(names(self.rabbitmq.get("users").await), &others));
        let containers = self.swift.order("containers").await;
        hold("swift_container", containers.as_object().unwrap().keys().cloned().collect());
        held
    }

    /// The ledger says the same.
    async fn assert_ledger_is_true(&mut self, ground: &Ground, instance: &str) {
        let listed = ground.get(&format!("/api/v1/resources?instance={instance}&limit=200")).await;
        let of_servers = |it: &&Value| {
            let kind = text(it, "kind");
            ["mysql_", "mongodb_account", "rabbitmq_", "swift_"]
                .iter()
                .any(|it| kind.starts_with(it))
        };
        let known = listed["items"].as_array().unwrap().iter().filter(of_servers);
        let known: BTreeSet<_> = known
            .map(|it| {
                assert_eq!(it["state"], "present", "{it}");
                (text(it, "kind"), text(it, "name"))
            })
            .collect();
        assert_eq!(known, self.held().await);
    }
}

/// What a run shows of itself.
async fn show(ground: &Ground, run: &str) -> String {
    ground.get(&format!("/api/v1/runs/{run}")).await.to_string()
}

/// The variables of the play that is held now, which are all that the site may know.
fn read_variables(folder: &Path) -> Value {
    let runs = std::fs::read_dir(folder.join("playbooks/runs")).unwrap().flatten();
    let files = runs.map(|run| run.path().join("variables.json"));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let all = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
    all.into_iter().find(|it| it["EDXAPP_MYSQL_PASSWORD"].is_string()).expect("its variables")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_restarted_paused_or_killed_a_launch_ends_well_and_no_credential_comes_out() {
    let mut peers = Peers::start().await;
    let watch = CredentialWatch::start(&[
        ("MySQL's password", MYSQL_PASSWORD),
        ("MongoDB's password", MONGODB_PASSWORD),
        ("RabbitMQ's password", RABBITMQ_PASSWORD),
        ("Swift's password", SWIFT_PASSWORD),
    ]);
    let variables = peers.variables();
    let variables: Vec<_> = variables.iter().map(|(name, it)| (*name, it.as_str())).collect();
    let mut ground = Ground::serve_with(&variables).await;
    watch.add("the token", ground.access().1);
    ground.await_balancer().await;
    let instance = peers.create_instance(&ground).await;

    // MariaDB is restarted while it makes an account, and RabbitMQ stands still.
    peers.proxy.spoil("_notes'@'%' IDENTIFIED", Act::Withhold);
    ground.hold(BEFORE_PLAY);
    peers.rabbitmq.freeze(true);
    let (appserver, run) = ground.launch(&instance).await;
    ground
        .wait_for("the middle of the work at MariaDB", async || {
            peers.proxy.has_struck().then_some(())
        })
        .await;
    peers.mysql.go_away();
    peers.mysql.come_back(&[]);
    let mut told = vec![];
    let waits = "the launch to wait for RabbitMQ";
    let shown = ground
        .wait_for(waits, async || {
            let shown = show(&ground, &run).await;
            shown.contains("RabbitMQ server").then_some(shown)
        })
        .await;
    told.push(shown);
    peers.rabbitmq.freeze(false);

    // The machine's sshd is killed with the play.
    ground.await_hold(BEFORE_PLAY).await;
    peers.assert_ledger_is_true(&ground, &instance).await;
    let machine = machine_of(&ground, &appserver).await;
    hold_play(&ground, &machine).await;
    ground.release(BEFORE_PLAY);
    ground.await_line(&run, "Wait while a test holds the play").await;
    let variables = read_variables(&ground.data());
    for name in [
        "EDXAPP_MYSQL_PASSWORD",
        "COMMON_MYSQL_ADMIN_PASS",
        "EDXAPP_MONGO_PASSWORD",
        "XQUEUE_RABBITMQ_PASS",
        "EDXAPP_CELERY_PASSWORD",
        "EDXAPP_EDX_API_KEY",
        "COMMON_HTPASSWD_PASS",
    ] {
        watch.add(name, &text(&variables, name));
    }
    kill_sshd(&machine);
    assert_eq!(ground.await_run(&run).await, "unwound");
    ground.await_appserver(&appserver, "failed", false).await;
    let shown = show(&ground, &run).await;
    assert!(shown.contains("run_main_playbook"), "{shown}");
    peers.assert_ledger_is_true(&ground, &instance).await;
    told.push(shown);

    // Errors of the API tell of settings and of servers.
    let wrong = json!({ "swift_openstack_password": [SWIFT_PASSWORD], "name": 7 });
    let (status, refused) = ground.try_post("/instances", wrong).await;
    assert_eq!(status, 422, "{refused}");
    told.push(refused.to_string());
    let sql = format!("ALTER USER '{BOSS}'@'%' ACCOUNT LOCK");
    peers.mysql.execute(&sql).await;
    let server = ground.get("/api/v1/mysql_servers").await["items"][0]["id"].clone();
    let server = format!("/api/v1/mysql_servers/{}", server.as_str().unwrap());
    let tested = ground.get(&format!("{server}/test")).await;
    assert!(text(&tested, "problem").contains("MySQL server 127.0.0.1"), "{tested}");
    told.push(tested.to_string());
    peers.mysql.execute(&format!("ALTER USER '{BOSS}'@'%' ACCOUNT UNLOCK")).await;

    let delete = json!({ "reason": "a test", "confirm": "alpha.localhost" });
    let asked = ground.post(&format!("/instances/{instance}/delete"), delete).await;
    assert_eq!(ground.await_run(&text(&asked, "run")).await, "completed");
    assert_eq!(peers.held().await, BTreeSet::new());
    peers.assert_ledger_is_true(&ground, &instance).await;
    watch.assert_nowhere(&ground, &told).await;
    ground.terminate().await;
}
