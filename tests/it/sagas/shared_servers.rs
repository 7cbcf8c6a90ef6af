//! Launches give an instance its servers, of those that sites share: once, at random, and for good.

use super::stage::{Stage, create_instance, somebody};
use ocim::app::{App, AppError, Caller, LaunchAsk};
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{InstanceId, MysqlServerId, RunId};
use ocim_domain::instance::Instance;
use ocim_domain::saga::Phase;
use ocim_domain::shared_server::{Address, Mongodb, Mysql, NewServer, Rabbitmq, SharedServers};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn because() -> Caller {
    Caller { reason: Some("a test".to_owned()), ..somebody() }
}

async fn add<A: Address>(app: &App, address: A) -> A::Id {
    let server = NewServer {
        name: String::new(),
        description: String::new(),
        address,
        username: "root".to_owned(),
        password: "hunter2".to_owned(),
        accepts_new_clients: true,
    };
    app.add_server(&somebody(), server).await.unwrap().value
}

async fn add_mysql(app: &App, host: &str) -> MysqlServerId {
    add(app, Mysql { host: host.to_owned(), port: Mysql::PORT, tls: false }).await
}

/// A server of each kind.
pub(crate) async fn add_servers(app: &App) {
    add_mysql(app, "mysql.example.com").await;
    let host = "mongodb.example.com".to_owned();
    let (hosts, primary) = (vec![host.clone()], host);
    add(app, Mongodb { hosts, primary, port: Mongodb::PORT, replica_set: None, tls: false }).await;
    let api_url = "https://rabbitmq.example.com:15671".to_owned();
    let instance_host = "rabbitmq.example.com".to_owned();
    add(app, Rabbitmq { api_url, instance_host, instance_port: Rabbitmq::PORT }).await;
}

async fn servers_of(stage: &Stage, instance: InstanceId) -> SharedServers {
    let journal = stage.app().journal();
    let loaded = journal.load::<Instance>(&instance.stream()).await.unwrap();
    loaded.state.present().unwrap().servers.clone()
}

/// A world with one instance, whose site answers, and with no shared server.
async fn without_servers() -> Stage {
    let stage = Stage::without_instance(|_| {}).await;
    let instance = create_instance(stage.app(), "alpha").await;
    stage.answer_as(super::stage::SITE, None);
    Stage { instance, ..stage }
}

/// Why the run left a step out.
async fn skipped(stage: &Stage, run: RunId, step: &str) -> String {
    let skipped = stage.events(&["saga.step_skipped"]).await;
    let of_run = skipped.iter().filter(|event| event.stream == run.stream());
    let mut of_step = of_run.filter(|event| event.data["step"] == step);
    of_step.next().unwrap().data["reason"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_launch_gives_a_server_of_each_kind_and_later_ones_keep_them() {
    let stage = without_servers().await;
    let launched = stage.launch().await;
    assert_eq!(servers_of(&stage, stage.instance).await, SharedServers::default());
    let told = skipped(&stage, launched.run, "provision_mysql").await;
    assert_eq!(told, "no MySQL server is assigned to the site");

    let first = add_mysql(stage.app(), "mysql.example.com").await;
    stage.launch().await;
    let had = servers_of(&stage, stage.instance).await;
    let mysql = had.mysql.clone().expect("there is one now");
    assert_eq!((mysql.server, had.mongodb.is_none()), (first, true));
    // What came meanwhile fills the gaps, and takes nobody's place.
    stage.app().retire_server::<Mysql>(&because(), first).await.unwrap_err();
    add_mysql(stage.app(), "another.example.com").await;
    let host = "mongodb.example.com".to_owned();
    let (hosts, primary) = (vec![host.clone()], host);
    add(stage.app(), Mongodb { hosts, primary, port: 27017, replica_set: None, tls: false }).await;
    let run = stage.launch().await.run;
    let has = servers_of(&stage, stage.instance).await;
    assert_eq!(has.mysql, Some(mysql), "the first stays");
    assert!(has.mongodb.is_some() && has.rabbitmq.is_none());
    let told = skipped(&stage, run, "provision_rabbitmq").await;
    assert_eq!(told, "no RabbitMQ server is assigned to the site");
    let told = stage.events(&["instance.servers_assigned"]).await;
    assert_eq!(told.len(), 2, "a launch that finds nothing new tells nothing");
    let lines = stage.world.logs.read_lines(run, 1, usize::MAX).await.unwrap();
    let is_told = |text: &str| lines.iter().any(|line| line.line.text.contains(text));
    assert!(is_told("the site uses the MySQL server mysql.example.com"));
    assert!(!is_told("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn servers_are_drawn_of_those_that_accept_sites_and_accounts_are_nobody_elses() {
    let stage = without_servers().await;
    let app = stage.app();
    let mut open = BTreeSet::new();
    for host in ["one", "two", "three", "four"] {
        open.insert(add_mysql(app, &format!("{host}.example.com")).await);
    }
    let (retired, closed) = (open.pop_first().unwrap(), open.pop_first().unwrap());
    app.retire_server::<Mysql>(&because(), retired).await.unwrap();
    let close = |known: &mut ocim_domain::shared_server::Registration<Mysql>| {
        known.accepts_new_clients = false;
    };
    app.edit_server::<Mysql>(&somebody(), closed, close).await.unwrap();
    let (mut used, mut users) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..30 {
        let instance = create_instance(app, &format!("site-{number}")).await;
        let servers = app.assign_servers(&somebody().metadata(), instance).await.unwrap();
        let again = app.assign_servers(&somebody().metadata(), instance).await.unwrap();
        assert_eq!(servers, again, "asked twice, it is the same");
        let mysql = servers.mysql.unwrap();
        used.insert(mysql.server);
        users.insert(mysql.user);
    }
    assert_eq!(used, open, "each that accepts sites, and nobody else");
    assert_eq!(users.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn who_was_admitted_before_a_crash_comes_back_to_the_same_server_and_account() {
    let stage = without_servers().await;
    let app = stage.app();
    let first = add_mysql(app, "one.example.com").await;
    let command = ocim_domain::shared_server::Command::Admit {
        client: stage.instance,
        account: "before".to_owned(),
    };
    let stream = first.stream();
    let meta = somebody().metadata();
    type Server = ocim_domain::shared_server::SharedServer<Mysql>;
    app.journal().execute::<Server>(&stream, &meta, command).await.unwrap();
    for host in ["two", "three", "four", "five"] {
        add_mysql(app, &format!("{host}.example.com")).await;
    }
    let close = |known: &mut ocim_domain::shared_server::Registration<Mysql>| {
        known.accepts_new_clients = false;
    };
    app.edit_server::<Mysql>(&somebody(), first, close).await.unwrap();
    let used = app.assign_servers(&meta, stage.instance).await.unwrap().mysql.unwrap();
    assert_eq!((used.server, used.user.as_str()), (first, "before"));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_free_to_be_retired_once_its_instances_are_released() {
    let stage = Stage::new().await;
    let run = stage.begin_launch(LaunchAsk::default()).await.run;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let app = stage.app();
    let servers = servers_of(&stage, stage.instance).await;
    let (mysql, rabbitmq) =
        (servers.mysql.clone().unwrap().server, servers.rabbitmq.clone().unwrap().server);
    let refused = app.retire_server::<Rabbitmq>(&because(), rabbitmq).await.unwrap_err();
    let AppError::Rejected { detail, .. } = refused else { panic!("{refused:?}") };
    assert!(detail.contains(&stage.instance.to_string()), "{detail}");
    let meta = somebody().metadata();
    for _ in 0..2 {
        app.release_servers(&meta, stage.instance).await.unwrap();
    }
    app.retire_server::<Rabbitmq>(&because(), rabbitmq).await.unwrap();
    app.retire_server::<Mysql>(&because(), mysql).await.unwrap();
    let known = app.shared_server::<Mysql>(mysql).await.unwrap();
    assert!(known.is_retired && known.clients.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_appservers_machine_is_told_of_the_servers_and_of_the_sites_accounts_there() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    let servers = servers_of(&stage, stage.instance).await;
    let (mysql, mongodb) = (servers.mysql.unwrap(), servers.mongodb.unwrap());
    let rabbitmq = servers.rabbitmq.unwrap();
    let journal = stage.app().journal();
    let loaded = journal.load::<Appserver>(&launched.appserver.stream()).await.unwrap();
    let frozen = loaded.state.present().unwrap().launched.variables.open().unwrap().to_owned();
    let variables: Value = serde_json::from_str(&frozen).unwrap();
    let expected = json!({
        "EDXAPP_MYSQL_HOST": "mysql.example.com",
        "EDXAPP_MYSQL_USER": format!("{}_edxapp", mysql.user),
        "EDXAPP_MONGO_USER": mongodb.user,
        "EDXAPP_MONGO_PASSWORD": mongodb.password.open(),
        "FORUM_MONGO_HOSTS": ["mongodb.example.com"],
        "EDXAPP_RABBIT_HOSTNAME": "rabbitmq.example.com:5671",
        "EDXAPP_CELERY_BROKER_VHOST": rabbitmq.vhost,
        "EDXAPP_CELERY_USER": rabbitmq.provider.user,
        "EDXAPP_CELERY_PASSWORD": rabbitmq.provider.password.open(),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(variables[name], *value, "{name}");
    }
    assert!(!frozen.contains(rabbitmq.consumer.password.open().unwrap()));
    assert!(!frozen.contains(mysql.password.open().unwrap()), "others are derived from it");
}
