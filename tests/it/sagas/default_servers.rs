//! The servers of the settings are registered once, and nothing that people say of them is undone.

use super::stage::{Stage, somebody};
use ocim::app::{App, Caller};
use ocim::config::Config;
use ocim::default_servers::{SettingDiffers, register_default_servers};
use ocim_domain::shared_server::{Address, Mongodb, Mysql, Present, Rabbitmq, Registration};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn vectors() -> Value {
    let text = include_str!("../../vectors/default_servers_and_misc.json");
    serde_json::from_str(text).unwrap()
}

/// The settings of an object whose other members are not settings; what is null is not set.
fn load(settings: &Value) -> Result<Config, Vec<String>> {
    let mut variables = BTreeMap::from([("HOME".to_owned(), "/home/someone".to_owned())]);
    let given = settings.as_object().unwrap().iter();
    let given = given.filter(|(name, _)| name.starts_with("DEFAULT_"));
    variables
        .extend(given.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))));
    let told = |errors: Vec<_>| {
        errors.iter().map(|it: &ocim::config::ConfigError| it.to_string()).collect()
    };
    Config::load_for(&variables, false).map_err(told)
}

async fn register(app: &App, settings: &Value) -> Vec<SettingDiffers> {
    register_default_servers(app, &load(settings).unwrap().default_servers).await.unwrap()
}

async fn only<A: Address>(app: &App) -> (A::Id, Present<A>) {
    let mut known = app.list_shared_servers::<A>().await.unwrap();
    assert_eq!(known.len(), 1, "{known:?}");
    known.remove(0)
}

/// A registration with the original's names of its columns.
fn row<A: Address>(known: &Registration<A>, port: u16, hostname: &str) -> Value {
    let password = known.password.open().unwrap();
    json!({
        "accepts_new_clients": known.accepts_new_clients, "hostname": hostname, "port": port,
        "name": known.name, "description": known.description, "username": known.username,
        "password": password, "url": known.address.url(&known.username, password),
    })
}

#[tokio::test(start_paused = true)]
async fn mysql_servers_come_out_as_the_originals() {
    let vectors = vectors();
    let recorded = vectors["mysql"].as_array().unwrap();
    assert_eq!(recorded.len(), 3);
    for vector in recorded {
        let stage = Stage::without_instance(|_| {}).await;
        if vector["error"]["type"] == "ImproperlyConfigured" {
            let errors = load(vector).unwrap_err();
            assert!(errors[0].starts_with("DEFAULT_INSTANCE_MYSQL_URL must "), "{errors:?}");
            continue;
        }
        register(stage.app(), vector).await;
        if vector["row"].is_null() {
            assert_eq!(stage.app().list_shared_servers::<Mysql>().await.unwrap(), []);
            continue;
        }
        let known = only::<Mysql>(stage.app()).await.1.registration;
        assert_eq!(row(&known, known.address.port, &known.address.host), vector["row"]);
    }
}

#[tokio::test(start_paused = true)]
async fn replica_sets_come_out_as_the_originals() {
    let vectors = vectors();
    let recorded = vectors["mongo_replica_set"].as_array().unwrap();
    assert_eq!(recorded.len(), 3);
    for vector in recorded {
        let stage = Stage::without_instance(|_| {}).await;
        if vector["error"].is_object() {
            let errors = load(&vector["settings"]).unwrap_err();
            assert!(errors[0].starts_with("DEFAULT_MONGO_REPLICA_SET_HOSTS must "), "{errors:?}");
            continue;
        }
        register(stage.app(), &vector["settings"]).await;
        let known = only::<Mongodb>(stage.app()).await.1.registration;
        let address = &known.address;
        assert_eq!(vector["replica_set"], json!(address.replica_set));
        let members = vector["members"].as_array().unwrap();
        let hosts: Vec<_> = members.iter().map(|it| it["hostname"].as_str().unwrap()).collect();
        assert_eq!(address.hosts, hosts);
        for member in members {
            let hostname = member["hostname"].as_str().unwrap();
            assert_eq!(member["primary"], json!(hostname == address.primary));
            // As if the member were written to, and called by its host.
            let alone = Mongodb { primary: hostname.to_owned(), ..address.clone() };
            let name = hostname.to_owned();
            let alone = Registration { address: alone, name, ..known.clone() };
            let shown = row(&alone, address.port, hostname);
            for (field, value) in member.as_object().unwrap() {
                assert!(field == "primary" || shown[field] == *value, "{field}: {shown}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rabbitmq_servers_come_out_as_the_originals() {
    let vectors = vectors();
    let recorded = vectors["rabbitmq"].as_array().unwrap();
    assert_eq!(recorded.len(), 2);
    for vector in recorded {
        let stage = Stage::without_instance(|_| {}).await;
        register(stage.app(), vector).await;
        let known = only::<Rabbitmq>(stage.app()).await.1.registration;
        let shown = json!({
            "accepts_new_clients": known.accepts_new_clients, "name": known.name,
            "admin_username": known.username, "admin_password": known.password.open(),
            "api_url": known.address.api_url, "instance_host": known.address.instance_host,
            "instance_port": known.address.instance_port,
        });
        assert_eq!(shown, vector["row"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_people_say_of_a_server_stands_and_a_setting_that_differs_is_told_without_values() {
    let stage = Stage::without_instance(|_| {}).await;
    let (app, mysql) = (stage.app(), |url: &str| json!({ "DEFAULT_INSTANCE_MYSQL_URL": url }));
    assert_eq!(register(app, &mysql("mysql://root:one@db")).await, []);
    assert_eq!(register(app, &mysql("mysql://root:one@DB:3306")).await, []);
    let (id, _) = only::<Mysql>(app).await;
    let edit = |known: &mut Registration<Mysql>| {
        known.name = "main".to_owned();
        known.description = "kept".to_owned();
        known.accepts_new_clients = false;
    };
    app.edit_server::<Mysql>(&somebody(), id, edit).await.unwrap();
    assert_eq!(register(app, &mysql("mysql://root:one@db")).await, [], "that is theirs to say");
    let known = only::<Mysql>(app).await.1.registration;
    assert!(!known.accepts_new_clients && known.description == "kept", "nothing lets it in again");

    let differs = |fields: &[&str]| SettingDiffers {
        setting: "DEFAULT_INSTANCE_MYSQL_URL",
        server: id.to_string(),
        fields: fields.iter().map(|it| (*it).to_owned()).collect(),
    };
    let told = register(app, &mysql("mysql://admin:two@db:3307")).await;
    assert_eq!(told, [differs(&["username", "password", "port"])]);
    assert_eq!(only::<Mysql>(app).await.1.registration, known, "nothing is overwritten");
    let by = Caller { reason: Some("old".to_owned()), ..somebody() };
    app.retire_server::<Mysql>(&by, id).await.unwrap();
    assert_eq!(register(app, &mysql("mysql://root:one@db")).await, [differs(&[])]);
    assert!(only::<Mysql>(app).await.1.is_retired, "nothing brings it back");
    let told = stage.events(&["mysql_server.registered"]).await;
    assert_eq!(told.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_host_counts_before_a_replica_set_and_a_set_is_known_by_any_of_its_hosts() {
    let stage = Stage::without_instance(|_| {}).await;
    let mut settings = Map::new();
    for (name, text) in [
        ("NAME", "rs0"),
        ("PRIMARY", "B.example.com"),
        ("HOSTS", "b.example.com,c.example.com"),
        ("USER", "u"),
        ("PASSWORD", "p"),
    ] {
        settings.insert(format!("DEFAULT_MONGO_REPLICA_SET_{name}"), json!(text));
    }
    assert_eq!(register(stage.app(), &json!(settings)).await, []);
    settings
        .insert("DEFAULT_MONGO_REPLICA_SET_HOSTS".to_owned(), json!("a.example.com,b.example.com"));
    let told = register(stage.app(), &json!(settings)).await;
    assert_eq!(told[0].fields, ["hosts"], "it is the same set: {told:?}");
    assert_eq!(only::<Mongodb>(stage.app()).await.1.registration.name, "rs0");

    settings.insert("DEFAULT_INSTANCE_MONGO_URL".to_owned(), json!("mongodb://u:p@alone:27018"));
    settings.remove("DEFAULT_MONGO_REPLICA_SET_HOSTS");
    let alone = load(&json!(settings)).unwrap().default_servers.mongodb.unwrap();
    assert_eq!((alone.address.primary.as_str(), alone.address.port), ("alone", 27018));
    assert_eq!(alone.address.replica_set, None);
}

#[test]
fn a_wrong_setting_is_named_and_its_password_is_not_told() {
    let api = "https://admin:hunter2@mq.example.com:15671";
    let set = |name: &str, text: &str| (format!("DEFAULT_MONGO_REPLICA_SET_{name}"), json!(text));
    let whole = [
        ("NAME", "rs"),
        ("PRIMARY", "a"),
        ("HOSTS", "a,b"),
        ("USER", "u"),
        ("PASSWORD", "hunter2"),
    ];
    let whole: Map<_, _> = whole.iter().map(|(name, text)| set(name, text)).collect();
    let with = |name: &str, text: &str| {
        let mut settings = whole.clone();
        settings.extend([set(name, text)]);
        json!(settings)
    };
    let without = |name: &str| {
        let mut settings = whole.clone();
        settings.remove(&set(name, "").0);
        json!(settings)
    };
    let both = |api: &str, sites: &str| json!({ "DEFAULT_RABBITMQ_API_URL": api, "DEFAULT_INSTANCE_RABBITMQ_URL": sites });
    let cases = [
        (with("PRIMARY", "c"), "DEFAULT_MONGO_REPLICA_SET_PRIMARY"),
        (with("PORT", "0"), "DEFAULT_MONGO_REPLICA_SET_PORT"),
        (with("PORT", "many"), "DEFAULT_MONGO_REPLICA_SET_PORT"),
        (with("HOSTS", "a,b c"), "DEFAULT_MONGO_REPLICA_SET_HOSTS"),
        (without("NAME"), "DEFAULT_MONGO_REPLICA_SET_NAME"),
        (without("USER"), "DEFAULT_MONGO_REPLICA_SET_USER"),
        (without("PASSWORD"), "DEFAULT_MONGO_REPLICA_SET_PASSWORD"),
        (both("https://admin@mq", "amqps://mq:5671"), "DEFAULT_RABBITMQ_API_URL"),
        (both("mq:hunter2", "amqps://mq:5671"), "DEFAULT_RABBITMQ_API_URL"),
        (both(api, "amqps://mq"), "DEFAULT_INSTANCE_RABBITMQ_URL"),
        (json!({ "DEFAULT_RABBITMQ_API_URL": api }), "DEFAULT_INSTANCE_RABBITMQ_URL"),
        (json!({ "DEFAULT_INSTANCE_RABBITMQ_URL": "amqps://mq:5671" }), "DEFAULT_RABBITMQ_API_URL"),
        (
            json!({ "DEFAULT_INSTANCE_MONGO_URL": "mongodb://:hunter2@" }),
            "DEFAULT_INSTANCE_MONGO_URL",
        ),
    ];
    for (settings, named) in cases {
        let errors = load(&settings).expect_err(named);
        assert!(errors.len() == 1 && errors[0].starts_with(&format!("{named} ")), "{errors:?}");
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
    assert!(load(&json!(whole)).is_ok() && load(&both(api, "amqps://mq:5671")).is_ok());
    let shown = format!("{:?}", load(&both(api, "amqps://mq:5671")).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
