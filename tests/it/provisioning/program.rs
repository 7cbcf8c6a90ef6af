//! The program itself on real shared servers: a launch makes all, a deletion leaves nothing.

use crate::support::ocim::{Ground, text};
use crate::support::peers::{ADMIN, MariaDb, MongoDb, PASSWORD, RabbitMq};
use serde_json::{Value, json};

/// What a site has on all three: see `docs/SHARED_SERVERS.md`.
const THINGS: usize = 24 + 4 + 3;

/// What `ocim doctor` finds of them, by its codes: whether all is well, and what it says.
async fn examine(ground: &Ground, settings: &[(&str, &str)]) -> Vec<(String, bool, String)> {
    let mut command = tokio::process::Command::from(ground.command(&["doctor", "--json"]));
    let output = command.envs(settings.iter().copied()).output().await.unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of_servers = |it: &&Value| text(it, "code").ends_with("_server");
    let shown = findings.iter().filter(of_servers);
    shown.map(|it| (text(it, "code"), it["is_fine"] == true, text(it, "says"))).collect()
}

#[tokio::test]
async fn a_launch_makes_all_on_real_servers_and_a_deletion_leaves_nothing() {
    let (mysql, mongodb, rabbitmq) =
        (MariaDb::start(), MongoDb::start().await, RabbitMq::start().await);
    let urls = [
        format!("mysql://{ADMIN}:{PASSWORD}@127.0.0.1:{}", mysql.port),
        format!("mongodb://{ADMIN}:{PASSWORD}@127.0.0.1:{}", mongodb.port),
        format!("http://{ADMIN}:{PASSWORD}@127.0.0.1:{}", rabbitmq.api_port),
        format!("amqps://127.0.0.1:{}", rabbitmq.amqp_port),
    ];
    let settings = [
        ("OCIM_CLOUDS", r#"{"local": {"kind": "simulated", "speed": 100000}}"#),
        ("DEFAULT_INSTANCE_MYSQL_URL", urls[0].as_str()),
        ("DEFAULT_INSTANCE_MONGO_URL", urls[1].as_str()),
        ("DEFAULT_RABBITMQ_API_URL", urls[2].as_str()),
        ("DEFAULT_INSTANCE_RABBITMQ_URL", urls[3].as_str()),
    ];
    let mut ground = Ground::prepare().await;
    ground.start_with(&settings).await;
    let found = examine(&ground, &settings).await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|(_, is_fine, _)| *is_fine), "{found:?}");

    ground.await_balancer().await;
    let instance = ground.create_instance("alpha").await;
    let (_, run) = ground.launch(&instance).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let databases =
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'alpha%'";
    let accounts = "SELECT User FROM mysql.user WHERE Host = '%' AND User LIKE '______\\_%' \
                    AND User <> 'ocim_admin'";
    assert_eq!(mysql.list(databases).await.len(), 11);
    assert_eq!(mysql.list(accounts).await.len(), 13);
    assert_eq!(
        rabbitmq.get("vhosts").await.as_array().unwrap().len(),
        2,
        "its own, and the server's"
    );
    let listed = ground.get(&format!("/api/v1/resources?instance={instance}&limit=200")).await;
    let data = listed["items"].as_array().unwrap().iter();
    let data = data.filter(|it| it["place"].as_str().is_some_and(|place| place.len() == 41));
    assert_eq!(data.count(), THINGS, "{listed:#}");

    // Whoever administers it has another password: that is told, and keeps a deletion from its end.
    let path = ground.get("/api/v1/mysql_servers").await["items"][0]["id"].clone();
    let path = format!("/api/v1/mysql_servers/{}", path.as_str().unwrap());
    mysql.execute(&format!("CREATE USER other IDENTIFIED BY '{PASSWORD}'")).await;
    mysql.execute(&format!("ALTER USER '{ADMIN}' IDENTIFIED BY 'changed'")).await;
    let tested = ground.get(&format!("{path}/test")).await;
    assert!(text(&tested, "problem").contains("Access denied"), "{tested}");
    let found = examine(&ground, &settings).await;
    let (_, is_fine, says) = found.iter().find(|(code, ..)| code == "mysql_server").unwrap();
    assert!(!is_fine && says.contains("Access denied"), "{found:?}");
    let mut restored = mysql.log_in(ADMIN, "changed").await.unwrap();
    let sql = format!("ALTER USER '{ADMIN}' IDENTIFIED BY '{PASSWORD}'");
    mysql_async::prelude::Queryable::query_drop(&mut restored, sql).await.unwrap();

    let delete = json!({ "reason": "a test", "confirm": "alpha.localhost" });
    let asked = ground.post(&format!("/instances/{instance}/delete"), delete).await;
    assert_eq!(ground.await_run(&text(&asked, "run")).await, "completed");
    assert_eq!(mysql.list(databases).await.len(), 0);
    assert_eq!(mysql.list(accounts).await.len(), 0);
    assert_eq!(rabbitmq.get("vhosts").await.as_array().unwrap().len(), 1);
    assert_eq!(rabbitmq.get("users").await.as_array().unwrap().len(), 1, "who administers it");
    let admin = mongodb.client(Some(("admin", ADMIN, PASSWORD)));
    let left = admin.list_database_names().await.unwrap();
    assert!(!left.iter().any(|name| name.starts_with("alpha")), "{left:?}");
    let shown = ground.read_logs();
    assert!(!shown.contains(PASSWORD), "{shown}");
    ground.terminate().await;
}
