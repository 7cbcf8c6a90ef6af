//! The variables of an Appserver as the original composed them.

use crate::{sample, vectors};
use ocim_domain::configuration::color::contrast_color;
use ocim_domain::configuration::layer::Source;
use ocim_domain::configuration::mysql_account::{
    MYSQL_DATABASES, Privileges, mysql_database, mysql_password, mysql_user,
};
use ocim_domain::configuration::playbook_variables::{
    common_variables, consul_service_name, users_variables,
};
use ocim_domain::configuration::provenance::{LayerName, Provenance};
use ocim_domain::configuration::secret_keys::SHARED_KEYS;
use ocim_domain::configuration::secret_values::{Hidden, list_secret_values};
use ocim_domain::configuration::secrets::{HttpAuth, derive_key};
use ocim_domain::configuration::services::Services;
use ocim_domain::configuration::signing_key::SigningKey;
use ocim_domain::configuration::{
    Composition, ConfigurationError, Filebeat, LayerContext, OcimFacts, SiteWideSettings,
    SmtpRelay, Variables, compose_layers, compose_variables, layer, merge, ocim_layer, yaml,
};
use ocim_domain::protected::Protected;
use ocim_domain::settings::InstanceSettings;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn context() -> LayerContext {
    LayerContext { site_wide: SiteWideSettings::default(), ..vectors::instances()[0].context() }
}

/// One layer of a site.
fn compose_layer(
    settings: &InstanceSettings,
    context: &LayerContext,
    name: LayerName,
) -> Variables {
    let layers = compose_layers(settings, context).unwrap();
    layers.into_iter().find(|(it, _)| *it == name).map(|(_, layer)| layer::values(&layer)).unwrap()
}

pub(crate) fn object(value: &Value) -> Variables {
    value.as_object().unwrap().clone()
}

/// Compares name by name, so that a difference can be read.
#[track_caller]
pub(crate) fn assert_same(ours: &Variables, theirs: &Variables, what: &str) {
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

/// The JSON texts of keys, whose members stand in any order, as JSON; a text of Sass without its
/// indentation.
pub(crate) fn comparable(mut variables: Variables) -> Variables {
    for name in ["COMMON_JWT_PUBLIC_SIGNING_JWK_SET", "EDXAPP_JWT_PRIVATE_SIGNING_JWK"] {
        if let Some(Value::String(text)) = variables.get(name) {
            let parsed = serde_json::from_str(text).unwrap();
            variables.insert(name.to_owned(), parsed);
        }
    }
    if let Some(Value::String(text)) = variables.get("SIMPLETHEME_EXTRA_SASS") {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(Value::from).collect();
        variables.insert("SIMPLETHEME_EXTRA_SASS".to_owned(), lines.into());
    }
    variables
}

/// What the original's whole numbers have no end for, JSON's do, and ours are refused beyond it.
fn without_big_number(settings: InstanceSettings) -> InstanceSettings {
    let text = settings.configuration_extra_settings.open().unwrap();
    let text = text.replace("BIG: 123456789012345678901234567890\n", "");
    let configuration_extra_settings = Protected::new("vector", text);
    InstanceSettings { configuration_extra_settings, ..settings }
}

#[test]
fn each_layer_is_the_originals() {
    let layers = [
        (LayerName::Base, "base_configuration_variables", 130),
        (LayerName::Database, "configuration_database_settings", 70),
        (LayerName::Storage, "configuration_storage_settings", 0),
        (LayerName::Theme, "configuration_theme_settings", 0),
        (LayerName::SecretKeys, "configuration_secret_keys", 28),
        (LayerName::ExtraSettings, "configuration_extra_settings", 0),
    ];
    let mut compared = 0;
    for recorded in vectors::instances() {
        let (settings, context) = (without_big_number(recorded.settings()), recorded.context());
        for (name, field, at_least) in layers {
            let theirs = &recorded.outputs["appserver"][field];
            let theirs = theirs.get("parsed").unwrap_or(theirs);
            let mut theirs = theirs.as_object().cloned().unwrap_or_default();
            theirs.remove("BIG");
            assert!(theirs.len() >= at_least, "{field} of {}", recorded.file);
            compared += theirs.len();
            let ours = comparable(compose_layer(&settings, &context, name));
            assert_same(&ours, &comparable(theirs), &format!("{name:?} of {}", recorded.file));
        }
    }
    assert!(compared > 2_000, "{compared}");
}

#[test]
fn the_layers_on_top_of_each_other_are_the_originals() {
    for recorded in vectors::instances() {
        let settings = without_big_number(recorded.settings());
        let ours = compose_variables(&settings, &recorded.context()).unwrap().variables;
        assert!(ours.keys().is_sorted(), "{}", recorded.file);
        let mut theirs = object(&recorded.outputs["appserver"]["configuration_settings"]["parsed"]);
        theirs.remove("BIG");
        assert_same(&comparable(ours), &comparable(theirs), &recorded.file);
    }
}

#[test]
fn the_other_playbooks_get_what_they_got_and_nothing_else() {
    for recorded in vectors::instances() {
        let (settings, context) = (recorded.settings(), recorded.context());
        let appserver = &recorded.outputs["appserver"];
        let theirs = object(&appserver["lms_user_settings"]["parsed"]);
        assert_same(&users_variables(&settings, &context).unwrap(), &theirs, &recorded.file);
        let mut theirs = object(&appserver["common_configuration_settings"]["parsed"]);
        // Ours have ids of another form.
        let service = &mut theirs["consul_service_config"]["service"][0];
        assert_eq!(service["name"], format!("edxapp-{}", recorded.inputs["instance_id"]));
        service["name"] = consul_service_name(context.instance).into();
        assert_same(&common_variables(&settings, &context), &theirs, &recorded.file);
    }
}

#[test]
fn mongodb_is_told_as_each_release_takes_it() {
    let recorded = &vectors::instances()[0];
    for sample in vectors::read("mongo_variables.json").as_array().unwrap() {
        let inputs = &sample["inputs"];
        let text = |name: &str| inputs[name].as_str().unwrap().to_owned();
        let settings = InstanceSettings {
            openedx_release: text("openedx_release"),
            configuration_version: text("configuration_version"),
            ..recorded.settings()
        };
        let (server, replica_set) = (&inputs["mongodb_server"], &inputs["replica_set"]);
        let (user, password) = ("mongouser".to_owned(), "mongopass".to_owned());
        let mongodb = vectors::mongodb(server, replica_set, user, password);
        let mut context = recorded.context();
        context.services = Services { mongodb, ..Services::default() };
        context.resources.database = "shop_example_com".to_owned();
        context.resources.forum_database = "shop_example_com_forum".to_owned();
        let ours = compose_layer(&settings, &context, LayerName::Database);
        let theirs = &sample["outputs"]["variables"];
        assert_same(&ours, &object(theirs), &text("label"));
    }
}

#[test]
fn the_accounts_of_mysql_are_the_originals() {
    for sample in vectors::read("secrets.json")["mysql_credentials"].as_array().unwrap() {
        let Some(databases) = sample["databases"].as_array() else { continue };
        assert_eq!(databases.len(), MYSQL_DATABASES.len());
        for (ours, theirs) in MYSQL_DATABASES.into_iter().zip(databases) {
            let user = mysql_user(sample["mysql_user"].as_str().unwrap(), ours.owner);
            let password = mysql_password(sample["mysql_pass"].as_str().unwrap(), &user);
            let name = theirs["name"].as_str().unwrap();
            let base = name.strip_suffix(ours.suffix).unwrap().strip_suffix('_').unwrap();
            assert_eq!(name, mysql_database(base, ours.suffix));
            assert_eq!(
                (json!(user), json!(password)),
                (theirs["user"].clone(), theirs["password"].clone())
            );
            let privileges = match ours.privileges {
                Privileges::All => Value::Null,
                Privileges::Rows => "SELECT,INSERT,UPDATE,DELETE".into(),
                Privileges::Read => "SELECT".into(),
            };
            assert_eq!(theirs["priv"], privileges, "{name}");
        }
    }
}

#[test]
fn keys_that_two_programs_share_are_the_originals() {
    let theirs = vectors::read("secrets.json")["shared_keys"].take();
    let ours: Value =
        SHARED_KEYS.into_iter().map(|(name, of)| (name.to_owned(), json!(of))).collect();
    assert_eq!(ours, theirs);
}

/// Of 768 bits; nobody's.
const SHORT_KEY: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIIBzQIBAAJhANLvi3M0MataK8AaEP8ahkTTzP1NS+pJYPAyiF65/Jm1BIZAZZdG
WfSsuRrRJnWv/TsImfMnF+XKlxvumVNLSyuxywj+Gm99VDCtunoEQNe+b6lehkkF
UMX+Aws/ZyI7GwIDAQABAmEA0KDE2GkjR0ukQhiF/wsJCkJCWbZ+A3gYPPp+DtL9
mDmGBBLlaD3Y8ztyyadb1sL8c1te1E05ZkKRRrTInt9nQKy1c1MfIGhnW8c+2/PE
cR8E87VeUlqjTjY1snrfPpIBAjEA9hwIxt0AEy/Cv6TAIBtk3XokuzUZ6ArejFiT
O/EI42xUfIw8FoNDw/4Pi3RynNBBAjEA22mkz4qio17AzE0S5OTmanKlLp0/tJ1B
koS5qGHrrhpA45MbdAxmSt49TYXJVzRbAjEA25IranClrniAAccU+hA2rzpYJwW7
NUDtSL2FrobfbTerMOtUeKln/iZe7AZacvmBAjEAz70MgDwAlLGH1Wc79mALEMoP
Pz0/LeCeTv0/Uv+zRxowScfkfFGpIEWewSFkah51AjEAkGWKyRFrMA5qJQRThY6t
Lj78X35tU7ae50UIyt2Um40Ee5uqgy+XWR8ZKDda29bi
-----END RSA PRIVATE KEY-----
";

#[test]
fn signing_keys_are_read_as_the_originals_were() {
    for sample in vectors::read("secrets.json")["jwk"].as_array().unwrap() {
        let key = SigningKey::parse(sample["secret_key_rsa_private"].as_str().unwrap()).unwrap();
        assert_eq!(Value::Object(key.private_jwk()), sample["private"]);
        assert_eq!(json!({ "keys": [key.public_jwk()] }), sample["public"]);
        assert!(!format!("{key:?}").contains("tuC7"), "{key:?}");
    }
    for wrong in
        ["", "nothing", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
    {
        assert!(SigningKey::parse(wrong).is_none(), "{wrong}");
    }
    // Of no other form, and no shorter than libraries still take.
    let sample = &vectors::read("secrets.json")["jwk"][0];
    let key = sample["secret_key_rsa_private"].as_str().unwrap();
    assert!(SigningKey::parse(&key.replace("RSA PRIVATE KEY", "EC PRIVATE KEY")).is_none());
    assert!(SigningKey::parse(SHORT_KEY).is_none());
}

#[test]
fn each_layer_has_a_name_for_programs_and_a_sentence_for_people() {
    let layers = [
        LayerName::Base,
        LayerName::Database,
        LayerName::Storage,
        LayerName::Theme,
        LayerName::SecretKeys,
        LayerName::ExtraSettings,
    ];
    for layer in layers {
        assert_eq!(json!(layer), json!(layer.name()), "as it is recorded");
    }
    let rules: BTreeSet<_> = layers.iter().map(|layer| layer.rule()).collect();
    assert_eq!(rules.len(), layers.len());
    assert!(rules.iter().all(|rule| rule.contains(' ')), "{rules:?}");
}

#[test]
fn what_a_variable_was_made_from_is_told_after_from() {
    let setting = Source::Setting("email".into());
    assert_eq!(setting.setting(), Some("email"));
    assert_eq!(setting.describe(), "the instance's setting `email`");
    let own = Source::Configuration("DEFAULT_FORK".into());
    assert_eq!(own.setting(), None);
    assert_eq!(own.describe(), "Ocim's own setting `DEFAULT_FORK`");
    let others = [
        Source::ResourceNames,
        Source::MysqlServer,
        Source::MongodbServer,
        Source::RabbitmqServer,
        Source::AppserverNumber,
        Source::Chance,
    ];
    let told: BTreeSet<_> = others.iter().map(Source::describe).collect();
    assert_eq!(told.len(), others.len());
}

#[test]
fn fonts_can_be_read_on_their_backgrounds() {
    for sample in vectors::read("contrast_colours.json").as_array().unwrap() {
        let background = sample["background"].as_str().unwrap();
        assert_eq!(contrast_color(background), sample["font"], "{background}");
    }
    for no_color in ["fff", "#ff", "transparent", "rgb(0, 0, 0)", "", "#12345g", "added"] {
        assert_eq!(contrast_color(no_color), "#000000", "{no_color}");
    }
}

#[test]
fn a_theme_needs_to_be_wanted_and_to_say_something() {
    let theme = |change: fn(&mut InstanceSettings)| {
        let mut settings = sample::settings();
        change(&mut settings);
        compose_layer(&settings, &context(), LayerName::Theme)
    };
    assert!(theme(|it| it.deploy_simpletheme = true).is_empty());
    assert!(theme(|it| it.theme_main_color = "teal".to_owned()).is_empty());
    let said = theme(|it| {
        it.deploy_simpletheme = true;
        it.theme_header_bg_color = "#000".to_owned();
    });
    let sass = said["SIMPLETHEME_EXTRA_SASS"].as_str().unwrap();
    assert!(
        sass.contains("$header-font-color: #ffffff;\n") && sass.contains("$main-color: #126f9a;")
    );
    assert_eq!(said["SIMPLETHEME_STATIC_FILES_URLS"], json!([]));
}

#[test]
fn bucket_variables_wait_for_the_bucket_and_its_account() {
    let storage =
        |settings: &InstanceSettings| compose_layer(settings, &context(), LayerName::Storage);
    let whole = InstanceSettings {
        storage_type: "s3".to_owned(),
        s3_access_key: "AKIA".to_owned(),
        s3_secret_access_key: Protected::new("x", "secret"),
        s3_bucket_name: "bucket".to_owned(),
        ..sample::settings()
    };
    assert_eq!(storage(&whole).len(), 29);
    let without_key = InstanceSettings { s3_access_key: String::new(), ..whole.clone() };
    let without_secret =
        InstanceSettings { s3_secret_access_key: Protected::new("x", ""), ..whole.clone() };
    let without_bucket = InstanceSettings { s3_bucket_name: String::new(), ..whole };
    for lacking in [without_key, without_secret, without_bucket] {
        assert!(storage(&lacking).is_empty(), "{lacking:?}");
    }
}

#[test]
fn each_variable_tells_what_it_was_made_of() {
    let recorded = &vectors::instances()[1];
    let settings = InstanceSettings {
        configuration_extra_settings: Protected::new(
            "x",
            "EDXAPP_LMS_MAX_REQ: 9\nMINE: 1\nEDXAPP_FEATURES: {MINE: true}",
        ),
        ..recorded.settings()
    };
    let Composition { variables, provenance } =
        compose_variables(&settings, &recorded.context()).unwrap();
    let setting = |name: &'static str| Source::Setting(name.into());
    let of = |variable: &str, is_extra: bool| {
        let layers = provenance.of(variable, is_extra).into_iter();
        layers.map(|it| (it.layer, it.sources, it.overridden)).collect::<Vec<_>>()
    };
    let extra = setting("configuration_extra_settings");
    let base = |sources: &[Source]| (LayerName::Base, sources.iter().cloned().collect(), None);
    assert_eq!(of("EDXAPP_LMS_NGINX_PORT", false), [base(&[])]);
    assert_eq!(of("EDXAPP_CONTACT_EMAIL", false), [base(&[setting("email")])]);
    // It has an external domain, so that the internal one has no part in it.
    assert_eq!(of("EDXAPP_LMS_BASE", false), [base(&[setting("external_lms_domain")])]);
    let relay = Source::Configuration("INSTANCE_SMTP_RELAY_PORT".into());
    assert_eq!(of("POSTFIX_QUEUE_EXTERNAL_SMTP_PORT", false), [base(&[relay])]);
    let database = [Source::ResourceNames].into();
    assert_eq!(of("EDXAPP_MYSQL_DB_NAME", false), [(LayerName::Database, database, None)]);
    let keys = [setting("secret_key_b64encoded")];
    let unset = Some(json!("SET-ME-PLEASE"));
    assert_eq!(
        of("ECOMMERCE_CYBERSOURCE_SECRET_KEY", false),
        [(LayerName::Base, [].into(), unset), (LayerName::SecretKeys, keys.into(), None),]
    );
    let said = (LayerName::ExtraSettings, BTreeSet::from([extra]), None);
    assert_eq!(of("MINE", true), std::slice::from_ref(&said));
    let number = (LayerName::Base, [].into(), Some(json!(5000)));
    assert_eq!(of("EDXAPP_LMS_MAX_REQ", true), [number, said]);
    assert_eq!(variables["EDXAPP_FEATURES"]["MINE"], true);
    let features = of("EDXAPP_FEATURES", true);
    assert_eq!(features[0].2.as_ref().unwrap().get("MINE"), None);
    let read = serde_json::to_string(&provenance).unwrap();
    assert_eq!(serde_json::from_str::<Provenance>(&read).unwrap(), provenance);
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
        let settings = without_big_number(recorded.settings());
        let variables = compose_layer(&settings, &recorded.context(), LayerName::Base);
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
        node_exporter_password: Some("exporter-secret".to_owned()),
        consul_encrypt: "gossip-secret".to_owned(),
        filebeat: Filebeat { key: "filebeat-secret".to_owned(), ..Filebeat::default() },
        ..SiteWideSettings::default()
    };
    let shown = format!("{:?}", LayerContext { site_wide, ..context() });
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
