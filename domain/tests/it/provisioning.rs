//! What a site has on shared servers, beside what the original made there (`tests/vectors`).

use crate::shared_server::{mongodb, mysql, rabbitmq};
use crate::vectors::{self, Recorded};
use md5::{Digest, Md5};
use ocim_domain::configuration::mysql_account::Privileges;
use ocim_domain::ids::{MongodbServerId, MysqlServerId, RabbitmqServerId};
use ocim_domain::ledger::{Kind, Leaves};
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::{
    Grant, Item, Provisioned, Server, Service, SwiftAccount, swift_account, swift_items,
    swift_place, why_no_storage,
};
use ocim_domain::resources::ResourceNames;
use ocim_domain::settings::InstanceSettings;
use ocim_domain::shared_server::{
    Mongodb, MongodbUse, Mysql, MysqlUse, QueueUser, Rabbitmq, RabbitmqUse, Registration,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

fn protect(text: &Value) -> Protected {
    Protected::new("vector", text.as_str().unwrap())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn mysql_items(user: &Value, password: &Value, names: &ResourceNames) -> Vec<Item> {
    let server = MysqlServerId(Uuid::nil());
    let used = MysqlUse { server, user: text(user), password: protect(password) };
    Mysql::items(&used, names).unwrap()
}

/// What a statement of the original is about, in words; nothing of what only asks.
fn read_statement(sql: &str) -> Option<String> {
    let quoted = |quote: char| sql.split(quote).skip(1).step_by(2).collect::<Vec<_>>();
    let (names, texts) = (quoted('`'), quoted('\''));
    if sql.starts_with("CREATE DATABASE IF NOT EXISTS") {
        assert!(sql.ends_with(" DEFAULT CHARACTER SET utf8"), "{sql}");
        return Some(format!("database {}", names[0]));
    }
    if sql.starts_with("CREATE USER") {
        return Some(format!("account {} {}", texts[0], texts[1]));
    }
    let (rights, _) = sql.strip_prefix("GRANT ")?.split_once(" ON ").unwrap();
    let database = names.first().copied().unwrap_or("*");
    Some(format!(
        "grant {} on {database} to {}",
        rights.replace(',', ", ").replace("  ", " "),
        texts[0]
    ))
}

/// The same of what we make.
fn tell(items: &[Item]) -> Vec<String> {
    let mut told = vec![];
    for item in items {
        match item {
            Item::MysqlDatabase(name) => told.push(format!("database {name}")),
            Item::MysqlAccount { user, password, grants } => {
                told.push(format!("account {user} {password}"));
                told.extend(grants.iter().map(|grant| match grant {
                    Grant::CreateUsers => format!("grant CREATE USER on * to {user}"),
                    Grant::InDatabase(database, privileges) => {
                        let rights = match privileges {
                            Privileges::All => "ALL",
                            Privileges::Rows => "SELECT, INSERT, UPDATE, DELETE",
                            Privileges::Read => "SELECT",
                        };
                        format!("grant {rights} on {database} to {user}")
                    }
                }));
            }
            other => panic!("{other:?}"),
        }
    }
    told
}

/// One account can only read here, whatever it could there.
fn as_here(told: String) -> String {
    let is_readers = told.starts_with("grant ALL ") && told.ends_with("_read_only");
    if is_readers { told.replacen("ALL", "SELECT", 1) } else { told }
}

/// The rest is in the order of the original; grants are with their account, and not with their database.
fn compare_mysql(items: &[Item], statements: &Value, file: &str) {
    let statements = statements.as_array().unwrap().iter();
    let statements = statements.filter_map(|it| it.as_str().or_else(|| it["rendered"].as_str()));
    let theirs: Vec<_> = statements.filter_map(read_statement).map(as_here).collect();
    let ours = tell(items);
    let split = |all: &[String]| -> (Vec<String>, BTreeSet<String>) {
        let (grants, made): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|told| told.starts_with("grant"));
        (made, grants.into_iter().collect())
    };
    let ((ours, our_grants), (theirs, their_grants)) = (split(&ours), split(&theirs));
    assert_eq!(our_grants, their_grants, "{file}");
    let of = |what: &str, all: &[String]| -> Vec<String> {
        all.iter().filter(|told| told.starts_with(what)).cloned().collect()
    };
    for what in ["database", "account"] {
        assert_eq!(of(what, &ours), of(what, &theirs), "{file}");
    }
}

#[test]
fn databases_and_accounts_in_mysql_are_the_originals_but_one_only_reads() {
    for recorded in vectors::instances() {
        let (fields, names) = (&recorded.inputs["instance_fields"], recorded.context().resources);
        let items = mysql_items(&fields["mysql_user"], &fields["mysql_pass"], &names);
        let made = &recorded.outputs["mysql_provision"]["statements"];
        compare_mysql(&items, made, &recorded.file);
    }
    let fresh = &vectors::read("mysql.json")["provisioning"][0];
    let (inputs, outputs) = (&fresh["inputs"], &fresh["outputs"]);
    let recorded = &vectors::instances()[0];
    let names =
        ResourceNames { database: text(&outputs["database_name"]), ..recorded.context().resources };
    let items = mysql_items(&inputs["mysql_user"], &inputs["mysql_pass"], &names);
    compare_mysql(&items, &outputs["provision"], "mysql.json");
    // All that was made there goes, and nothing else.
    let dropped = outputs["deprovision"].as_array().unwrap().iter();
    let dropped = dropped.filter_map(|it| it["sql"].as_str().map(|_| text(&it["rendered"])));
    let dropped: BTreeSet<_> = dropped
        .filter(|sql| sql.starts_with("DROP"))
        .map(|sql| sql.split(['`', '\'']).nth(1).unwrap().to_owned())
        .collect();
    let made: BTreeSet<_> = items.iter().map(|item| item.id().name).collect();
    assert_eq!(made, dropped);
}

#[test]
fn accounts_in_mongodb_are_the_originals() {
    for Recorded { file, inputs, outputs } in vectors::instances() {
        let (fields, names) = (&inputs["instance_fields"], &outputs["names"]);
        let used = MongodbUse {
            server: MongodbServerId(Uuid::nil()),
            user: text(&fields["mongo_user"]),
            password: protect(&fields["mongo_pass"]),
        };
        let resources = ResourceNames {
            database: text(&names["database_name"]),
            forum_database: text(&names["forum_database_name"]),
            container: String::new(),
            bucket: String::new(),
            iam_user: String::new(),
        };
        let items = Mongodb::items(&used, &resources).unwrap();
        let made = items.iter().filter_map(|item| match item {
            Item::MongodbAccount { database, user, password } => {
                let digest = Md5::digest(format!("{user}:mongo:{password}"));
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                Some(json!({
                    "kind": "mongo", "command": "createUser", "digest_password": false,
                    "db": database, "user": user, "pwd_digest": digest, "roles": ["dbOwner"],
                }))
            }
            _ => None,
        });
        let made: Vec<_> = made.collect();
        assert_eq!(made, outputs["mongo_provision"].as_array().unwrap()[1..], "{file}");
        let databases: Vec<_> = items
            .iter()
            .filter(|item| item.id().kind == Kind::MongodbDatabase)
            .map(|item| item.id().name)
            .collect();
        let dropped = outputs["deprovision"]["mongo"].as_array().unwrap().iter();
        assert_eq!(databases, dropped.map(|it| text(&it["db"])).collect::<Vec<_>>(), "{file}");
    }
}

#[test]
fn virtual_hosts_and_users_in_rabbitmq_are_the_originals_but_for_their_tags() {
    for Recorded { file, inputs, outputs } in vectors::instances() {
        let fields = &inputs["instance_fields"];
        let user = |of: &str| QueueUser {
            user: text(&fields[of]["username"]),
            password: protect(&fields[of]["password"]),
        };
        let used = RabbitmqUse {
            server: RabbitmqServerId(Uuid::nil()),
            vhost: text(&fields["rabbitmq_vhost"]),
            provider: user("rabbitmq_provider_user"),
            consumer: user("rabbitmq_consumer_user"),
        };
        let items = Rabbitmq::items(&used, &vectors::instances()[0].context().resources).unwrap();
        let mut ours = vec![];
        for item in items {
            match item {
                Item::RabbitmqVhost(name) => ours.push((format!("vhosts/{name}"), Value::Null)),
                Item::RabbitmqUser { user, password, vhost } => {
                    let login = json!({ "password": password, "tags": user });
                    ours.push((format!("users/{user}"), login));
                    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
                    ours.push((format!("permissions/{vhost}/{user}"), all));
                }
                other => panic!("{other:?}"),
            }
        }
        let called = outputs["rabbitmq_provision"].as_array().unwrap().iter();
        let theirs: Vec<_> = called
            .map(|call| {
                let url = text(&call["url"]).replace("%2F", "/");
                (url.split_once("/api/").unwrap().1.to_owned(), call["body"].clone())
            })
            .collect();
        assert_eq!(ours, theirs, "{file}");
    }
}

#[test]
fn a_container_in_swift_is_the_originals_and_others_have_none() {
    for recorded in vectors::instances() {
        let settings = recorded.settings();
        let made = recorded.outputs["swift_provision"].as_array().unwrap();
        assert_eq!(why_no_storage(&settings).is_none(), !made.is_empty(), "{}", recorded.file);
        let Some(made) = made.first() else { continue };
        let names = recorded.context().resources;
        let expected = [Item::SwiftContainer(text(&made["container"]))];
        assert_eq!(swift_items(&names), expected, "{}", recorded.file);
        let account = swift_account(&settings).unwrap();
        let ours = json!({
            "auth_version": "2",
            "os_auth_url": account.auth_url,
            "os_password": account.password,
            "os_region_name": account.region,
            "os_tenant_name": account.tenant,
            "os_username": account.user,
        });
        assert_eq!(ours, made["auth"], "{}", recorded.file);
        let place = swift_place(&account);
        assert!(!place.contains(&account.password) && place.contains("test-tenant"), "{place}");
    }
}

#[test]
fn where_nothing_is_made_for_uploads_it_is_told_why() {
    let why = |storage_type: &str, auth_url: &str| {
        why_no_storage(&InstanceSettings {
            storage_type: storage_type.to_owned(),
            swift_openstack_auth_url: auth_url.to_owned(),
            ..crate::sample::settings()
        })
    };
    let url = "https://keystone.example.com:5000/v3";
    assert_eq!(why("swift", url), None);
    for (storage_type, auth_url, word) in
        [("swift", "", "no account"), ("s3", url, "by hand"), ("filesystem", url, "own machine")]
    {
        assert!(why(storage_type, auth_url).is_some_and(|told| told.contains(word)));
    }
}

#[test]
fn what_has_a_sites_data_leaves_with_its_deletion_alone() {
    let leaving = Kind::ALL.iter().filter(|kind| kind.leaves() == Leaves::WithDeletion);
    let leaving: Vec<_> = leaving.map(|kind| kind.as_str()).collect();
    let accounts = ["mysql_account", "mongodb_account", "rabbitmq_user"];
    let data = ["mysql_database", "mongodb_database", "rabbitmq_vhost", "swift_container"];
    let position = |kind: &&str| leaving.iter().position(|known| known == kind).unwrap();
    for (account, data) in accounts.iter().zip(&data) {
        assert!(position(account) < position(data), "nobody writes what is about to go");
    }
    assert_eq!(leaving.len(), accounts.len() + data.len());
}

#[test]
fn a_service_is_who_logs_in_where_and_is_called_by_its_host() {
    fn registered<A: Provisioned>(address: A) -> Option<Service> {
        let password = Protected::new("server", "secret");
        let (name, description) = ("main".to_owned(), String::new());
        let (username, accepts_new_clients) = ("root".to_owned(), true);
        let registration =
            Registration { name, description, address, username, password, accepts_new_clients };
        A::service(registration)
    }
    let account = SwiftAccount {
        user: "site".to_owned(),
        password: "secret".to_owned(),
        tenant: "sites".to_owned(),
        auth_url: "https://keystone.example.com:5000/v3".to_owned(),
        region: "north".to_owned(),
    };
    for (service, host, shown) in [
        (registered(mysql()), "db.example.com", "MySQL server db.example.com"),
        (registered(mongodb()), "b.example.com", "MongoDB server b.example.com"),
        (registered(rabbitmq()), "mq.example.com", "RabbitMQ server https://mq.example.com:15671"),
        (
            Some(Service::Swift(account)),
            "keystone.example.com",
            "Swift at https://keystone.example.com:5000/v3",
        ),
    ] {
        let service = service.unwrap();
        assert_eq!((service.host().as_str(), service.to_string().as_str()), (host, shown));
        assert!(!format!("{service:?}").contains("secret"));
        let login = match service {
            Service::Mysql(Server { username, password, .. })
            | Service::Mongodb(Server { username, password, .. })
            | Service::Rabbitmq(Server { username, password, .. }) => (username, password),
            Service::Swift(_) => continue,
        };
        assert_eq!(login, ("root".to_owned(), "secret".to_owned()));
    }
}

#[test]
fn no_password_is_shown() {
    let recorded = &vectors::instances()[0];
    let (fields, names) = (&recorded.inputs["instance_fields"], recorded.context().resources);
    let items = mysql_items(&fields["mysql_user"], &fields["mysql_pass"], &names);
    let Some(Item::MysqlAccount { password, .. }) = items.first() else { panic!("{items:?}") };
    assert!(!format!("{items:?}").contains(password.as_str()));
}
