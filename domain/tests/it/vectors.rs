//! What the original computed for given inputs, as recorded in `tests/vectors` (see its README).

use crate::sample;
use ocim_domain::configuration::services::{
    MongodbService, MysqlService, RabbitmqService, Services,
};
use ocim_domain::configuration::{CronTime, Filebeat, LayerContext, SiteWideSettings, SmtpRelay};
use ocim_domain::protected::Protected;
use ocim_domain::resources::ResourceNames;
use ocim_domain::settings::InstanceSettings;
use serde_json::{Value, json};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// One file of vectors.
pub(crate) fn read(name: &str) -> Value {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// One recorded instance.
pub(crate) struct Recorded {
    pub(crate) file: String,
    pub(crate) inputs: Value,
    pub(crate) outputs: Value,
}

/// Every recorded instance.
pub(crate) fn instances() -> Vec<Recorded> {
    let mut files: Vec<_> = std::fs::read_dir(folder().join("instances"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files.len(), 8, "eight instances were recorded");
    files
        .into_iter()
        .map(|file| {
            let mut vector = read(&format!("instances/{file}"));
            Recorded { file, inputs: vector["inputs"].take(), outputs: vector["outputs"].take() }
        })
        .collect()
}

impl Recorded {
    /// The stored fields of the original that our settings have too, as they were when its first
    /// Appserver was made. Those that it kept elsewhere: SSH users came from the manager's users, LMS
    /// users too, the theme from the application, the bucket's keys from what made the bucket.
    pub(crate) fn settings(&self) -> InstanceSettings {
        let shape = serde_json::to_value(sample::settings()).unwrap();
        let theirs = |field: &str| -> Value {
            let application = &self.inputs["registration_application"];
            let of_theme = |name: &str| match &application[name] {
                Value::Null => Value::from(""),
                value => value.clone(),
            };
            match field {
                "name" => self.inputs["name"].clone(),
                "purpose" => self.inputs["factory"].clone(),
                "ssh_users" => self.ssh_admins().into(),
                "lms_users" => self.lms_users(),
                _ if field.starts_with("s3_") => {
                    self.outputs["s3_fields_after_provision"][field].clone()
                }
                _ => match field.strip_prefix("theme_") {
                    Some(name) => of_theme(name),
                    None => self.inputs["instance_fields"][field].clone(),
                },
            }
        };
        let fields = shape.as_object().unwrap().iter();
        let fields =
            fields.map(|(field, ours)| (field.clone(), protect_like(ours, &theirs(field))));
        serde_json::from_value(Value::Object(fields.collect())).unwrap()
    }

    /// What the layers took from elsewhere.
    pub(crate) fn context(&self) -> LayerContext {
        let config = &self.inputs["settings"];
        let text = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
        let random = |name: &str| {
            let value = self.inputs["random"][format!("EDXAPP_CLEARSESSIONS_CRON_{name}")].as_u64();
            u8::try_from(value.unwrap()).unwrap()
        };
        let smtp_relay = (!text("INSTANCE_SMTP_RELAY_HOST").is_empty()).then(|| SmtpRelay {
            host: text("INSTANCE_SMTP_RELAY_HOST"),
            port: port(&config["INSTANCE_SMTP_RELAY_PORT"]),
            username: text("INSTANCE_SMTP_RELAY_USERNAME"),
            password: text("INSTANCE_SMTP_RELAY_PASSWORD"),
            sender_domain: text("INSTANCE_SMTP_RELAY_SENDER_DOMAIN"),
        });
        let names = &self.outputs["names"];
        let name = |field: &str| names[field].as_str().unwrap().to_owned();
        LayerContext {
            instance: sample::instance_id(),
            appserver_number: 1,
            clearsessions_cron: CronTime { hour: random("HOURS"), minute: random("MINUTES") },
            resources: ResourceNames {
                database: name("database_name"),
                forum_database: name("forum_database_name"),
                container: name("database_name"),
                bucket: name("s3_bucket_name_computed"),
                iam_user: name("iam_username"),
            },
            services: self.services(),
            successfully_provisioned: self.inputs["instance_fields"]["successfully_provisioned"]
                .as_bool()
                .unwrap(),
            site_wide: SiteWideSettings {
                newrelic_license_key: text("NEWRELIC_LICENSE_KEY"),
                smtp_relay,
                enable_celery_heartbeats: config["EDX_WORKERS_ENABLE_CELERY_HEARTBEATS"]
                    .as_bool()
                    .unwrap(),
                node_exporter_password: config["NODE_EXPORTER_PASSWORD"]
                    .as_str()
                    .map(str::to_owned),
                consul_encrypt: text("CONSUL_ENCRYPT"),
                consul_servers: texts(&config["CONSUL_SERVERS"]),
                filebeat: Filebeat {
                    logstash_hosts: texts(&config["FILEBEAT_LOGSTASH_HOSTS"]),
                    ca_cert: text("FILEBEAT_CA_CERT"),
                    cert: text("FILEBEAT_CERT"),
                    key: text("FILEBEAT_KEY"),
                    common_fields: config["FILEBEAT_COMMON_PROSPECTOR_FIELDS"]
                        .as_object()
                        .unwrap()
                        .clone(),
                },
                theme_repository: text("SIMPLE_THEME_SKELETON_THEME_REPO"),
                theme_version: text("SIMPLE_THEME_SKELETON_THEME_VERSION"),
            },
        }
    }

    /// The shared servers that it was given.
    fn services(&self) -> Services {
        let fields = &self.inputs["instance_fields"];
        let text = |name: &str| fields[name].as_str().unwrap().to_owned();
        let of = |server: &Value, member: &str| server[member].as_str().unwrap().to_owned();
        let given = |name: &str| Some(&fields[name]).filter(|server| !server.is_null());
        let mysql = given("mysql_server").map(|server| MysqlService {
            host: of(server, "hostname"),
            port: port(&server["port"]),
            user: text("mysql_user"),
            password: text("mysql_pass"),
        });
        let (user, password) = (text("mongo_user"), text("mongo_pass"));
        let mongodb =
            mongodb(&fields["mongodb_server"], &fields["mongodb_replica_set"], user, password);
        let rabbitmq = given("rabbitmq_server").map(|server| RabbitmqService {
            host: of(server, "instance_host"),
            port: port(&server["instance_port"]),
            vhost: text("rabbitmq_vhost"),
            user: of(&fields["rabbitmq_provider_user"], "username"),
            password: of(&fields["rabbitmq_provider_user"], "password"),
        });
        Services { mysql, mongodb, rabbitmq }
    }

    /// Its LMS users, as the playbook got them.
    fn lms_users(&self) -> Value {
        let users =
            self.outputs["appserver"]["lms_user_settings"]["parsed"]["django_users"].clone();
        let protect = |text: &Value| Protected::new("vector", text.as_str().unwrap());
        let user = |user: &Value| {
            json!({
                "username": user["username"],
                "email": protect(&user["email"]),
                "password_hash": protect(&user["initial_password_hash"]),
            })
        };
        users.as_array().unwrap().iter().map(user).collect()
    }

    /// Active superusers and active members of the owner's organization that have a GitHub name.
    fn ssh_admins(&self) -> Vec<String> {
        let owner = &self.inputs["owner_organization"];
        let users = self.inputs["users"].as_array().unwrap().iter();
        users
            .filter(|user| user["is_active"] == true)
            .filter(|user| {
                user["is_superuser"] == true || (!owner.is_null() && user["organization"] == *owner)
            })
            .filter_map(|user| user["github_username"].as_str())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

fn port(value: &Value) -> u16 {
    value.as_u64().unwrap().try_into().unwrap()
}

/// A server, or a replica set that goes before it; none where both are null.
pub(crate) fn mongodb(
    server: &Value,
    replica_set: &Value,
    user: String,
    password: String,
) -> Option<MongodbService> {
    let host = |server: &Value| server["hostname"].as_str().unwrap().to_owned();
    let members = replica_set["members"].as_array().cloned().unwrap_or_default();
    let primary = members.iter().find(|member| member["primary"] == true);
    let primary = primary.or(Some(server).filter(|server| !server.is_null()))?;
    let hosts =
        if members.is_empty() { vec![host(primary)] } else { members.iter().map(host).collect() };
    Some(MongodbService {
        hosts,
        primary: host(primary),
        port: port(&primary["port"]),
        replica_set: replica_set["name"].as_str().map(str::to_owned),
        user,
        password,
    })
}

/// A text in the same wrapping as ours; lists item by item.
fn protect_like(ours: &Value, theirs: &Value) -> Value {
    let protect = |text: &Value| {
        serde_json::to_value(Protected::new("vector", text.as_str().unwrap_or_default())).unwrap()
    };
    match (ours, theirs) {
        (Value::Object(object), _) if object.contains_key("$protected") => protect(theirs),
        (Value::Array(items), Value::Array(texts))
            if items.first().is_some_and(|item| item.get("$protected").is_some()) =>
        {
            texts.iter().map(protect).collect()
        }
        _ => theirs.clone(),
    }
}

/// The texts of a JSON list.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
