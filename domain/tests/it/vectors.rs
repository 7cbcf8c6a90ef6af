//! What the original computed for given inputs, as recorded in `tests/vectors` (see its README).

use crate::sample;
use ocim_domain::configuration::{BaseContext, CronTime, SiteWideSettings, SmtpRelay};
use ocim_domain::protected::Protected;
use ocim_domain::settings::InstanceSettings;
use serde_json::Value;
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
    /// The stored fields of the original that our settings have too.
    pub(crate) fn settings(&self) -> InstanceSettings {
        let shape = serde_json::to_value(sample::settings()).unwrap();
        let fields = shape.as_object().unwrap().iter().map(|(field, ours)| {
            let theirs = match field.as_str() {
                "name" => &self.inputs["name"],
                _ => &self.inputs["instance_fields"][field],
            };
            (field.clone(), protect_like(ours, theirs))
        });
        serde_json::from_value(Value::Object(fields.collect())).unwrap()
    }

    /// What the base layer took from elsewhere.
    pub(crate) fn context(&self) -> BaseContext {
        let config = &self.inputs["settings"];
        let text = |name: &str| config[name].as_str().unwrap_or_default().to_owned();
        let random = |name: &str| {
            let value = self.inputs["random"][format!("EDXAPP_CLEARSESSIONS_CRON_{name}")].as_u64();
            u8::try_from(value.unwrap()).unwrap()
        };
        let smtp_relay = (!text("INSTANCE_SMTP_RELAY_HOST").is_empty()).then(|| SmtpRelay {
            host: text("INSTANCE_SMTP_RELAY_HOST"),
            port: config["INSTANCE_SMTP_RELAY_PORT"].as_u64().unwrap().try_into().unwrap(),
            username: text("INSTANCE_SMTP_RELAY_USERNAME"),
            password: text("INSTANCE_SMTP_RELAY_PASSWORD"),
            sender_domain: text("INSTANCE_SMTP_RELAY_SENDER_DOMAIN"),
        });
        BaseContext {
            appserver_number: 1,
            clearsessions_cron: CronTime { hour: random("HOURS"), minute: random("MINUTES") },
            ssh_admins: self.ssh_admins(),
            site_wide: SiteWideSettings {
                newrelic_license_key: text("NEWRELIC_LICENSE_KEY"),
                smtp_relay,
                enable_celery_heartbeats: config["EDX_WORKERS_ENABLE_CELERY_HEARTBEATS"]
                    .as_bool()
                    .unwrap(),
            },
        }
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
