//! Twenty whole sites, each from what people say of it to the variables of its three playbooks.
//!
//! What is expected was not computed by this program: see `tests/sites/README.md`.

use crate::configuration::{assert_same, comparable, object};
use crate::vectors::texts;
use ocim_domain::configuration::playbook_variables::{common_variables, users_variables};
use ocim_domain::configuration::services::{
    MongodbService, MysqlService, RabbitmqService, Services,
};
use ocim_domain::configuration::signing_key;
use ocim_domain::configuration::{
    CronTime, Filebeat, LayerContext, SiteWideSettings, SmtpRelay, compose_variables,
};
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::settings::{Defaults, InstanceSettings, NewSecrets, create_settings};
use serde_json::Value;
use std::path::PathBuf;

/// A site as its file tells.
struct Site {
    file: String,
    told: Value,
}

fn sites() -> Vec<Site> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sites");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let told = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        Site { file: path.file_name().unwrap().to_string_lossy().into_owned(), told }
    };
    files.into_iter().map(read).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(value.as_u64().unwrap()).ok().unwrap()
}

fn list(value: &Value) -> Vec<String> {
    if value.is_null() { vec![] } else { texts(value) }
}

impl Site {
    fn settings(&self) -> InstanceSettings {
        let input = serde_json::from_value(self.told["settings"].clone()).unwrap();
        let secrets =
            NewSecrets { master: String::new(), signing_key: signing_key::EXAMPLE.to_owned() };
        create_settings(input, &Defaults::new("example.com", "local"), "inst", &secrets)
            .unwrap_or_else(|why| panic!("{}: {why:?}", self.file))
    }

    fn context(&self, settings: &InstanceSettings) -> LayerContext {
        let (ocim, appserver) = (&self.told["ocim"], &self.told["appserver"]);
        let instance = format!("inst_{}", text(&self.told["instance"])).parse().unwrap();
        let domain = &settings.internal_lms_domain;
        let usual = SiteWideSettings::default();
        let or = |name: &str, usual: String| match &ocim[name] {
            Value::Null => usual,
            value => text(value),
        };
        LayerContext {
            instance,
            appserver_number: number(&appserver["number"]),
            clearsessions_cron: CronTime {
                hour: number(&appserver["clearsessions"][0]),
                minute: number(&appserver["clearsessions"][1]),
            },
            resources: ResourceNames::propose(domain, &ResourcePrefixes::default(), instance, 0),
            services: self.services(),
            successfully_provisioned: appserver["successfully_provisioned"].as_bool().unwrap(),
            site_wide: SiteWideSettings {
                newrelic_license_key: text(&ocim["NEWRELIC_LICENSE_KEY"]),
                smtp_relay: ocim["INSTANCE_SMTP_RELAY_HOST"].as_str().map(|host| SmtpRelay {
                    host: host.to_owned(),
                    port: number(&ocim["INSTANCE_SMTP_RELAY_PORT"]),
                    username: text(&ocim["INSTANCE_SMTP_RELAY_USERNAME"]),
                    password: text(&ocim["INSTANCE_SMTP_RELAY_PASSWORD"]),
                    sender_domain: text(&ocim["INSTANCE_SMTP_RELAY_SENDER_DOMAIN"]),
                }),
                enable_celery_heartbeats: ocim["EDX_WORKERS_ENABLE_CELERY_HEARTBEATS"] == true,
                node_exporter_password: ocim["NODE_EXPORTER_PASSWORD"].as_str().map(str::to_owned),
                consul_encrypt: text(&ocim["CONSUL_ENCRYPT"]),
                consul_servers: list(&ocim["CONSUL_SERVERS"]),
                filebeat: Filebeat {
                    logstash_hosts: list(&ocim["FILEBEAT_LOGSTASH_HOSTS"]),
                    ca_cert: text(&ocim["FILEBEAT_CA_CERT"]),
                    cert: text(&ocim["FILEBEAT_CERT"]),
                    key: text(&ocim["FILEBEAT_KEY"]),
                    common_fields: ocim["FILEBEAT_COMMON_PROSPECTOR_FIELDS"]
                        .as_object()
                        .cloned()
                        .unwrap_or_default(),
                },
                theme_repository: or("SIMPLE_THEME_SKELETON_THEME_REPO", usual.theme_repository),
                theme_version: or("SIMPLE_THEME_SKELETON_THEME_VERSION", usual.theme_version),
            },
        }
    }

    fn services(&self) -> Services {
        let given = |kind: &str| Some(&self.told["servers"][kind]).filter(|it| it.is_object());
        Services {
            mysql: given("mysql").map(|it| MysqlService {
                host: text(&it["host"]),
                port: number(&it["port"]),
                user: text(&it["user"]),
                password: text(&it["password"]),
            }),
            mongodb: given("mongodb").map(|it| MongodbService {
                hosts: texts(&it["hosts"]),
                primary: text(&it["primary"]),
                port: number(&it["port"]),
                replica_set: it["replica_set"].as_str().map(str::to_owned),
                user: text(&it["user"]),
                password: text(&it["password"]),
            }),
            rabbitmq: given("rabbitmq").map(|it| RabbitmqService {
                host: text(&it["host"]),
                port: number(&it["port"]),
                vhost: text(&it["vhost"]),
                user: text(&it["user"]),
                password: text(&it["password"]),
            }),
        }
    }
}

#[test]
fn each_of_twenty_sites_gets_the_variables_that_were_read_out_of_the_description() {
    let sites = sites();
    assert_eq!(sites.len(), 20);
    let mut compared = 0;
    for site in sites {
        let settings = site.settings();
        let context = site.context(&settings);
        assert_eq!(
            settings.configuration_playbook_name,
            text(&site.told["playbook"]),
            "{}",
            site.file
        );
        let composed = compose_variables(&settings, &context).unwrap().variables;
        let expected = object(&site.told["variables"]);
        assert_same(&comparable(composed), &expected, &site.file);
        let users = users_variables(&settings, &context).unwrap();
        assert_same(&users, &object(&site.told["users"]), &site.file);
        assert_same(
            &common_variables(&settings, &context),
            &object(&site.told["common"]),
            &site.file,
        );
        compared += expected.len();
    }
    assert!(compared > 20 * 190, "{compared}");
}
