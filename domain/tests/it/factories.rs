//! Instances as the original's factories made them, and instances that are made after others.

use crate::sample::{self, defaults, secrets, settings};
use crate::vectors::{self, Recorded};
use ocim_domain::configuration::yaml::parse_mapping;
use ocim_domain::protected::Protected;
use ocim_domain::settings::{
    Defaults, InstanceSettings, NewSecrets, Purpose, SETTINGS, SettingsInput, StableDefaults,
    SwiftAccount, clone_settings, create_settings, purpose, restore_settings,
};
use serde_json::{Map, Value, json};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn input(value: Value) -> SettingsInput {
    serde_json::from_value(value).unwrap()
}

/// What the original went by where a factory was told nothing.
fn defaults_of(recorded: &Recorded) -> Defaults {
    let config = &recorded.inputs["settings"];
    let text = |name: &str| config[name].as_str().unwrap().to_owned();
    Defaults {
        openedx_release: text("DEFAULT_OPENEDX_RELEASE"),
        configuration_source_repo_url: text("DEFAULT_CONFIGURATION_REPO_URL"),
        configuration_version: text("DEFAULT_CONFIGURATION_VERSION"),
        edx_platform_repository_url: text("DEFAULT_EDX_PLATFORM_REPO_URL"),
        openstack_server_flavor: config["OPENSTACK_SANDBOX_FLAVOR"].clone(),
        openstack_server_base_image: config["OPENSTACK_SANDBOX_BASE_IMAGE"].clone(),
        openstack_server_ssh_keyname: text("OPENSTACK_SANDBOX_SSH_KEYNAME"),
        storage_type: text("INSTANCE_STORAGE_TYPE"),
        swift: SwiftAccount {
            user: text("SWIFT_OPENSTACK_USER"),
            password: text("SWIFT_OPENSTACK_PASSWORD"),
            tenant: text("SWIFT_OPENSTACK_TENANT"),
            auth_url: text("SWIFT_OPENSTACK_AUTH_URL"),
            region: text("SWIFT_OPENSTACK_REGION"),
        },
        s3_region: text("AWS_S3_DEFAULT_REGION"),
        stable: StableDefaults {
            openedx_release: text("OPENEDX_RELEASE_STABLE_REF"),
            edx_platform_repository_url: text("STABLE_EDX_PLATFORM_REPO_URL"),
            edx_platform_commit: text("STABLE_EDX_PLATFORM_COMMIT"),
            configuration_source_repo_url: text("STABLE_CONFIGURATION_REPO_URL"),
            configuration_version: text("STABLE_CONFIGURATION_VERSION"),
            openstack_server_flavor: config["OPENSTACK_PRODUCTION_INSTANCE_FLAVOR"].clone(),
        },
        ..Defaults::new(text("DEFAULT_INSTANCE_BASE_DOMAIN"), text("OPENSTACK_REGION"))
    }
}

/// A setting as it is recorded, with its texts open.
fn opened(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(opened).collect(),
        _ => value.get("$protected").map_or(value, |protected| &protected["open"]).clone(),
    }
}

#[test]
fn both_factories_make_what_the_originals_made() {
    let mut compared = 0;
    for recorded in vectors::instances() {
        let fields = &recorded.inputs["instance_fields"];
        let mut said = object(recorded.inputs["factory_arguments"].clone());
        // It says nothing of settings.
        said.remove("successfully_provisioned");
        said.insert("purpose".to_owned(), recorded.inputs["factory"].clone());
        let big = "123456789012345678901234567890";
        if let Some(Value::String(extra)) = said.get_mut("configuration_extra_settings") {
            *extra = extra.replace(&format!("BIG: {big}\n"), "");
        }
        let secrets = NewSecrets {
            master: fields["secret_key_b64encoded"].as_str().unwrap().to_owned(),
            signing_key: fields["secret_key_rsa_private"].as_str().unwrap().to_owned(),
        };
        let ours =
            create_settings(input(Value::Object(said)), &defaults_of(&recorded), "inst", &secrets)
                .unwrap_or_else(|told| panic!("{}: {told:?}", recorded.file));
        let written = serde_json::to_value(&ours).unwrap();
        for setting in SETTINGS {
            let theirs = match (setting.name, fields.get(setting.name)) {
                ("name", _) => &recorded.inputs["name"],
                (_, Some(theirs)) => theirs,
                (_, None) => continue,
            };
            let ours = &opened(&written[setting.name]);
            if setting.name == "configuration_extra_settings" {
                let parse = |text: &Value| {
                    let text = text.as_str().unwrap().replace(&format!("BIG: {big}\n"), "");
                    let mut parsed = parse_mapping(&text).unwrap();
                    parsed.sort_keys();
                    parsed
                };
                assert_eq!(parse(ours), parse(theirs), "{}", recorded.file);
            } else {
                assert_eq!(ours, theirs, "{} of {}", setting.name, recorded.file);
            }
            compared += 1;
        }
    }
    assert!(compared > 8 * 35, "{compared}");
}

#[test]
fn peoples_extra_settings_win_over_those_of_production() {
    let samples = vectors::read("settings_merge.json");
    let samples = samples["extra_settings_over_a_small_base"]["samples"].as_array().unwrap();
    for sample in samples {
        let given = sample["configuration_extra_settings"].as_str().unwrap();
        let said = json!({ "sub_domain": "a", "purpose": "production", "configuration_extra_settings": given });
        let made = create_settings(input(said), &defaults(), "inst", &secrets());
        let theirs = &sample["production_factory"]["configuration_extra_settings"];
        match (&made, theirs.as_str()) {
            (Ok(made), Some(theirs)) => {
                let sorted = |text: &str| {
                    let mut parsed = parse_mapping(text).unwrap();
                    parsed.sort_keys();
                    parsed
                };
                let ours = made.configuration_extra_settings.open().unwrap();
                assert_eq!(sorted(ours), sorted(theirs), "{given}");
                assert!(
                    given == "{}" || ours.contains(given),
                    "it stays as it was written: {ours}"
                );
            }
            // An empty document says nothing here.
            (Ok(_), None) => assert_eq!(given, "---"),
            (Err(_), _) => assert_eq!(theirs, &Value::Null, "{given}"),
        }
    }
    let own = "demo_test_users: [1] # ours\n";
    let said =
        json!({ "sub_domain": "a", "purpose": "production", "configuration_extra_settings": own });
    let made = create_settings(input(said), &defaults(), "inst", &secrets()).unwrap();
    let text = made.configuration_extra_settings.open().unwrap();
    assert_eq!(
        text,
        "DEMO_CREATE_STAFF_USER: false\nSANDBOX_ENABLE_CERTIFICATES: false\ndemo_test_users: [1] # ours\n"
    );
    assert_eq!((purpose(&made), purpose(&settings())), (Purpose::Production, Purpose::Sandbox));
}

#[test]
fn a_clone_has_all_but_what_is_the_others_own() {
    let mut source = InstanceSettings {
        email: Protected::new("inst_1", "staff@example.org"),
        external_lms_domain: "courses.example.org".to_owned(),
        openedx_release: "my-release".to_owned(),
        storage_type: "s3".to_owned(),
        s3_access_key: "AKIA".to_owned(),
        s3_secret_access_key: Protected::new("inst_1", "secret"),
        s3_bucket_name: "its-bucket".to_owned(),
        swift_openstack_password: Protected::new("inst_1", "swift"),
        ..settings()
    };
    let new = NewSecrets { master: "AAAA".to_owned(), ..secrets() };
    let clone = |source: &InstanceSettings, said: Value| {
        clone_settings(source, object(said), &defaults(), "inst_2", &new)
    };
    let made = clone(&source, json!({ "sub_domain": "beta", "name": "Beta" })).unwrap();
    assert_eq!(made.internal_lms_domain, "beta.example.com");
    assert_eq!(made.email.open(), Some("staff@example.org"));
    assert_eq!(made.internal_studio_domain, "studio.beta.example.com");
    assert_eq!((made.name.as_str(), made.openedx_release.as_str()), ("Beta", "my-release"));
    assert_eq!(made.storage_type, "s3");
    // Hidden texts go along, and belong to the new one.
    assert_eq!(made.swift_openstack_password.open(), Some("swift"));
    assert_eq!(made.swift_openstack_password.subject(), "inst_2");
    assert_eq!(made.secret_key_b64encoded.open(), Some("AAAA"));
    let own = [&made.external_lms_domain, &made.s3_access_key, &made.s3_bucket_name];
    assert!(own.iter().all(|text| text.is_empty()), "{own:?}");
    assert_eq!(made.s3_secret_access_key.open(), Some(""));
    let told = clone(&source, json!({ "name": "Beta" })).unwrap_err();
    assert_eq!(told[0].field, "internal_lms_domain", "it needs a name of its own");
    // What nobody can read any more is not guessed.
    let key_is_gone = json!({ "$protected": { "subject": "inst_1" } });
    let erased: Protected = serde_json::from_value(key_is_gone).unwrap();
    let shredded = InstanceSettings {
        email: erased.clone(),
        s3_secret_access_key: erased.clone(),
        additional_monitoring_emails: vec![erased],
        ..source.clone()
    };
    let told = clone(&shredded, json!({ "sub_domain": "beta", "email": "a@example.com" }));
    let told: Vec<_> = told.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["`additional_monitoring_emails` was erased with the instance that is cloned: give it"]
    );
    source.purpose = "production".to_owned();
    let made = clone(&source, json!({ "sub_domain": "beta", "openedx_release": "x" })).unwrap();
    assert_eq!((made.purpose.as_str(), made.openedx_release.as_str()), ("production", "x"));
}

#[test]
fn what_is_restored_is_as_it_was_but_for_what_is_fixed() {
    let former = settings();
    let current = InstanceSettings {
        name: "Now".to_owned(),
        email: Protected::new("x", "now@example.com"),
        internal_lms_domain: "now.example.com".to_owned(),
        secret_key_b64encoded: Protected::new("x", "AAAA"),
        ..sample::settings()
    };
    let restored = restore_settings(&current, &former, true).unwrap();
    assert_eq!(
        restored.difference(&former).fields(),
        ["internal_lms_domain", "secret_key_b64encoded"]
    );
    assert_eq!(restored.internal_lms_domain, "now.example.com");
    assert_eq!(restore_settings(&current, &former, false).unwrap(), former);
    let broken = InstanceSettings { openedx_release: "two words".to_owned(), ..former };
    for was_launched in [true, false] {
        let told = restore_settings(&current, &broken, was_launched).unwrap_err();
        assert_eq!(told[0].field, "openedx_release");
    }
}

#[test]
fn a_production_instance_starts_from_the_defaults_of_such() {
    let text = |text: &str| text.to_owned();
    let stable = StableDefaults {
        openedx_release: text("stable-release"),
        edx_platform_repository_url: text("https://example.com/stable-platform.git"),
        edx_platform_commit: text("stable-commit"),
        configuration_source_repo_url: text("https://example.com/stable-configuration.git"),
        configuration_version: text("stable-version"),
        openstack_server_flavor: json!({ "name": "stable-size" }),
    };
    let made = |purpose: &str| {
        let said = input(json!({ "sub_domain": "a", "purpose": purpose }));
        let defaults = Defaults { stable: stable.clone(), ..defaults() };
        create_settings(said, &defaults, "inst", &secrets()).unwrap()
    };
    let from = |it: &InstanceSettings| StableDefaults {
        openedx_release: it.openedx_release.clone(),
        edx_platform_repository_url: it.edx_platform_repository_url.clone(),
        edx_platform_commit: it.edx_platform_commit.clone(),
        configuration_source_repo_url: it.configuration_source_repo_url.clone(),
        configuration_version: it.configuration_version.clone(),
        openstack_server_flavor: it.openstack_server_flavor.clone(),
    };
    assert_eq!(from(&made("production")), stable);
    let usual =
        create_settings(input(json!({ "sub_domain": "a" })), &defaults(), "inst", &secrets());
    assert_eq!(from(&made("sandbox")), from(&usual.unwrap()));
}

#[test]
fn a_blank_domain_is_as_one_that_is_not_given() {
    let made = |more: &[&str]| {
        let blank = more.iter().map(|name| ((*name).to_owned(), json!("")));
        let said = blank.chain([("sub_domain".to_owned(), json!("alpha"))]).collect();
        create_settings(input(Value::Object(said)), &defaults(), "inst", &secrets()).unwrap()
    };
    let blank = made(&["internal_studio_domain", "internal_ecommerce_domain"]);
    assert_eq!(blank, made(&[]));
    assert_eq!(blank.internal_studio_domain, "studio.alpha.example.com");
}
