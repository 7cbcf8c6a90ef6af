//! The variables of an Appserver as the original composed them.

use crate::{sample, vectors};
use ocim_domain::configuration::secret_values::{Hidden, list_secret_values};
use ocim_domain::configuration::secrets::{HttpAuth, derive_key};
use ocim_domain::configuration::{
    BaseContext, ConfigurationError, CronTime, OcimFacts, SiteWideSettings, SmtpRelay, Variables,
    base, compose_variables, merge, ocim_layer, yaml,
};
use ocim_domain::protected::Protected;
use ocim_domain::settings::InstanceSettings;
use serde_json::{Value, json};

fn context() -> BaseContext {
    BaseContext {
        appserver_number: 1,
        clearsessions_cron: CronTime { hour: 3, minute: 33 },
        ssh_admins: vec![],
        site_wide: SiteWideSettings::default(),
    }
}

fn object(value: &Value) -> Variables {
    value.as_object().unwrap().clone()
}

/// Compares name by name, so that a difference can be read.
#[track_caller]
fn assert_same(ours: &Variables, theirs: &Variables, what: &str) {
    let names = |variables: &Variables| {
        let mut names: Vec<_> = variables.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(ours), names(theirs), "{what}");
    for (name, value) in ours {
        assert_eq!(*value, theirs[name], "{what} {name}");
    }
}

#[test]
fn the_base_layer_is_the_originals() {
    for recorded in vectors::instances() {
        let ours = base::base_layer(&recorded.settings(), &recorded.context()).unwrap();
        let theirs = object(&recorded.outputs["appserver"]["base_configuration_variables"]);
        assert!(theirs.len() > 130);
        assert_same(&ours, &theirs, &recorded.file);
    }
}

#[test]
fn extra_settings_go_on_top_of_the_base_layer() {
    let mut with_extra = 0;
    for recorded in vectors::instances() {
        let appserver = &recorded.outputs["appserver"];
        let extra = &appserver["configuration_extra_settings"]["parsed"];
        let settings = recorded.settings();
        // The original's whole numbers have no end; JSON's do, and ours are refused beyond it.
        let text = settings.configuration_extra_settings.open().unwrap();
        let text = text.replace("BIG: 123456789012345678901234567890\n", "");
        let settings = InstanceSettings {
            configuration_extra_settings: Protected::new("vector", text),
            ..settings
        };
        let mut theirs = object(&appserver["base_configuration_variables"]);
        if let Value::Object(extra) = extra {
            with_extra += 1;
            let mut extra = extra.clone();
            extra.remove("BIG");
            theirs = merge(theirs, extra);
        }
        let ours = compose_variables(&settings, &recorded.context()).unwrap();
        assert_same(&ours, &theirs, &recorded.file);
        assert!(ours.keys().is_sorted(), "{}", recorded.file);
    }
    assert!(with_extra >= 3);
}

#[test]
fn extra_settings_replace_all_but_mappings() {
    let samples = vectors::read("settings_merge.json");
    let samples = &samples["extra_settings_over_a_small_base"];
    let base = object(&samples["base"]);
    for sample in samples["samples"].as_array().unwrap() {
        let text = sample["configuration_extra_settings"].as_str().unwrap();
        let ours = yaml::parse_mapping(text).map(|extra| merge(base.clone(), extra));
        match (&sample["error"], text) {
            // An empty document says nothing, so it changes nothing.
            (Value::Object(_), "---") => assert_same(&ours.unwrap(), &base, text),
            (Value::Object(_), _) => assert!(ours.is_err(), "{text:?}"),
            _ => assert_same(&ours.unwrap(), &object(&sample["result"]), text),
        }
    }
}

/// What logs hide everywhere must not be a part of what is no secret: nobody could read them.
#[test]
fn the_secrets_of_a_site_are_its_keys_and_not_its_names() {
    for recorded in vectors::instances() {
        let settings = recorded.settings();
        let variables = base::base_layer(&settings, &recorded.context()).unwrap();
        let secrets = list_secret_values(&variables).into_iter();
        let hidden: Vec<_> = secrets.filter(|it| !matches!(it.hidden, Hidden::Behind(_))).collect();
        let auth = HttpAuth::derive(settings.secret_key_b64encoded.open().unwrap()).unwrap();
        for secret in [&auth.user, &auth.password] {
            assert!(hidden.iter().any(|it| it.text == *secret), "{}", recorded.file);
        }
        let names = [
            &settings.internal_lms_domain,
            &settings.internal_studio_domain,
            &settings.openedx_release,
            &settings.name,
            &settings.email.open().unwrap().to_owned(),
        ];
        for name in names {
            let told = hidden.iter().find(|it| name.contains(&it.text)).map(|it| it.text.clone());
            assert_eq!(told, None, "{name} of {}", recorded.file);
        }
    }
}

#[test]
fn two_texts_merge_as_the_originals_do() {
    let samples = vectors::read("settings_merge.json");
    for sample in samples["yaml_merge"].as_array().unwrap() {
        let parse = |field: &str| yaml::parse_mapping(sample[field].as_str().unwrap());
        match (parse("first"), parse("second")) {
            (Ok(first), Ok(second)) => {
                let what = sample["first"].as_str().unwrap();
                assert_same(&merge(first, second), &object(&sample["merged"]), what);
            }
            // The original takes any empty value for an empty mapping; we take mappings only.
            (first, second) => {
                let is_list = first.is_err() && sample["error"].is_object();
                let is_empty_value =
                    second.is_err() && matches!(sample["second"].as_str(), Some("[]" | "false"));
                assert!(is_list || is_empty_value, "{sample}");
            }
        }
    }
}

#[test]
fn keys_are_derived_as_the_originals_are() {
    for sample in vectors::read("secrets.json")["derived_keys"].as_array().unwrap() {
        let master = sample["secret_key_b64encoded"].as_str().unwrap();
        for (variable, key) in sample["keys"].as_object().unwrap() {
            assert_eq!(derive_key(master, variable).unwrap(), *key, "{variable}");
        }
        let auth = HttpAuth::derive(master).unwrap();
        assert_eq!(auth.user, sample["http_auth_user"]);
        assert_eq!(auth.password, sample["http_auth_pass"]);
        assert_eq!(auth.token(), sample["http_auth_token"]);
    }
    for recorded in vectors::instances() {
        let settings = recorded.settings();
        let master = settings.secret_key_b64encoded.open().unwrap();
        let names = &recorded.outputs["names"];
        assert_eq!(HttpAuth::derive(master).unwrap().token(), names["http_auth_token"]);
        for (variable, key) in names["derived_secrets"].as_object().unwrap() {
            assert_eq!(derive_key(master, variable).unwrap(), *key, "{}", recorded.file);
        }
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let compose = |settings: &InstanceSettings| compose_variables(settings, &context());
    let blank =
        InstanceSettings { secret_key_b64encoded: Protected::new("x", ""), ..sample::settings() };
    assert_eq!(compose(&blank), Err(ConfigurationError::SecretKey));
    let odd = InstanceSettings {
        secret_key_b64encoded: Protected::new("x", "not base64!"),
        ..sample::settings()
    };
    assert_eq!(compose(&odd), Err(ConfigurationError::SecretKey));
    let shredded: Protected =
        serde_json::from_value(json!({ "$protected": { "subject": "x" } })).unwrap();
    let gone = InstanceSettings { email: shredded, ..sample::settings() };
    assert_eq!(compose(&gone), Err(ConfigurationError::Unreadable { field: "email" }));
    let broken = InstanceSettings {
        configuration_extra_settings: Protected::new("x", "PASSWORD: secret\nB: [1"),
        ..sample::settings()
    };
    let error = compose(&broken).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("line 2"), "{source}");
    assert!(!format!("{error:?} {source}").contains("secret\""), "{error:?}");
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let site_wide = SiteWideSettings {
        newrelic_license_key: "nr-secret".to_owned(),
        smtp_relay: Some(SmtpRelay {
            host: "smtp.example.com".to_owned(),
            port: 587,
            username: "relay-user".to_owned(),
            password: "relay-secret".to_owned(),
            sender_domain: "example.com".to_owned(),
        }),
        enable_celery_heartbeats: false,
    };
    let shown = format!("{:?}", BaseContext { site_wide, ..context() });
    assert!(shown.contains("smtp.example.com"));
    assert!(!shown.contains("secret"), "{shown}");
    let auth = HttpAuth::derive(sample::MASTER).unwrap();
    assert!(!format!("{auth:?}").contains(&auth.password));
    let shown = format!("{:?}", sample::settings());
    assert!(!shown.contains(sample::MASTER) && !shown.contains("ops@example.com"), "{shown}");
}

#[test]
fn what_only_a_launch_knows_goes_on_top_of_everything() {
    let facts = OcimFacts {
        instance: sample::instance_id(),
        appserver: sample::appserver_id(1),
        number: 1,
        http_address: [127, 0, 0, 9].into(),
        http_port: 8080,
    };
    let people: Variables = object(&json!({ "OCIM_HTTP_PORT": 1, "OTHER": 2 }));
    let merged = merge(people, ocim_layer(&facts));
    let expected = json!({
        "OCIM_APPSERVER_ID": sample::appserver_id(1).to_string(),
        "OCIM_APPSERVER_NUMBER": 1,
        "OCIM_HTTP_ADDRESS": "127.0.0.9",
        "OCIM_HTTP_PORT": 8080,
        "OCIM_INSTANCE_ID": sample::instance_id().to_string(),
        "OTHER": 2,
    });
    assert_same(&merged, &object(&expected), "ocim");
}
