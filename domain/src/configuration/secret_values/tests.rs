//! What counts as a secret, whatever its type and wherever it is put.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn variables(value: Value) -> Variables {
    let Value::Object(members) = value else { panic!("variables are an object") };
    members
}

/// The texts hidden wherever they stand.
fn everywhere(value: Value) -> Vec<String> {
    let found = list_secret_values(&variables(value)).into_iter();
    found.filter(|secret| secret.hidden == Hidden::Everywhere).map(|secret| secret.text).collect()
}

#[test]
fn secrets_of_any_type_and_place_are_found() {
    for (value, text) in [
        (json!({"EDXAPP_MYSQL_PASSWORD": 8_123_459_977_u64}), "8123459977"),
        (json!({"SOME_TOKEN": 342_391}), "01234567"),
        (json!({"SOME_TOKEN": 342_391}), "0o1234567"),
        (json!({"SOME_KEY": 1234.0}), "1234.0"),
        (json!({"CELERY": "amqp://rabbit:hunter22@host:5672//"}), "hunter22"),
        (json!({"CELERY": "amqp://rabbit:hun%40ter@host"}), "hun@ter"),
        (json!({"CELERY": "amqp://{{ user }}:hunter22@{{ host }}"}), "hunter22"),
        (json!({"INDEX": "https://ghp_0123456789@github.com/org/repo"}), "ghp_0123456789"),
        (json!({"SENTRY_DSN": "https://publickey@sentry.io/42"}), "publickey"),
        (json!({"XQUEUE_BASIC_AUTH": ["edx-user", "hunter22"]}), "hunter22"),
        (
            json!({"SOME_API_KEY": "https://elsewhere.example.org/k"}),
            "https://elsewhere.example.org/k",
        ),
        (json!({"oauth": {"KEY": "hunter22"}}), "hunter22"),
        (json!({"oauth": {"deep": [{"er": "hunter22"}]}}), "hunter22"),
        (json!({"apiKey": "hunter22"}), "hunter22"),
        (json!({"api-key": "hunter22"}), "hunter22"),
        (json!({"STRIPE_APIKEY": "hunter22"}), "hunter22"),
        (json!({"CREDS": "hunter22"}), "hunter22"),
        (json!({"AUTH": "hunter22"}), "hunter22"),
        (json!({"SETTINGS": "{\"api_key\": \"hunter22\"}"}), "hunter22"),
        (json!({"JWT_PRIVATE_JWK": "{\"n\": [{\"d\": \"hunter22\"}]}"}), "hunter22"),
        (json!({"SOME_SECRET": "{{ prefix }}-hunter22"}), "-hunter22"),
        (json!({"SOME_SECRET": "{{ vault | default('hunter22') }}"}), "hunter22"),
    ] {
        assert!(everywhere(value.clone()).iter().any(|found| found == text), "{text} in {value}");
    }
}

#[test]
fn what_is_no_secret_is_not_hidden() {
    for value in [
        json!({"EDXAPP_LMS_BASE": "tiny.example.com", "EDXAPP_ENV": "production"}),
        json!({"ENABLE_OAUTH": true, "USE_API": "True", "SOME_KEY": null, "SOME_PASSWORD": ""}),
        json!({"API_TIMEOUT": 300_000, "TOKEN_EXPIRATION": 1_209_600, "KEY_PORT": 180_000}),
        json!({"SOME_PASSWORD": "{{ vault_password }}"}),
        json!({"REPOSITORY": "ssh://git@github.com/org/repo.git"}),
        json!({"ANALYTICS_API_VERSION": "juniper.1", "JWT_AUDIENCE": "lms-key"}),
        json!({"PLATFORM_VERSION": "master", "SOME_API": "master"}),
        json!({"LMS_HOST": "tiny.example.com", "LMS_API_URL": "https://tiny.example.com/api/v1"}),
    ] {
        assert_eq!(everywhere(value.clone()), Vec::<String>::new(), "{value}");
    }
    // Where there is nothing, nothing is hidden anywhere.
    for blank in ["", " ", "\n\t"] {
        assert_eq!(list_secret_values(&variables(json!({"SOME_PASSWORD": blank}))), []);
    }
}

#[test]
fn short_secrets_are_hidden_as_words_and_very_short_ones_behind_their_names() {
    let found = list_secret_values(&variables(json!({"A_PASSWORD": "abc12", "B_PASSWORD": "x1"})));
    let places: Vec<_> = found.into_iter().map(|secret| secret.hidden).collect();
    assert_eq!(places, [Hidden::AsWord, Hidden::Behind("B_PASSWORD".into())]);
}

#[test]
fn a_secret_that_is_also_a_user_path_or_name_is_hidden_behind_its_name_only() {
    for value in [
        json!({"EDXAPP_PASSWORD": "edxapp"}),
        json!({"SOME_PASSWORD": "celery", "BROKER_USER": "celery"}),
        json!({"SOME_PASSWORD": "openedx", "DATA": "/srv/openedx/data"}),
        json!({"SOME_PASSWORD": "example", "LMS_DOMAIN": "tiny.example.com"}),
    ] {
        assert_eq!(everywhere(value.clone()), Vec::<String>::new(), "{value}");
        let warnings = warn_of_weak_secrets(&variables(value.clone()));
        assert!(warnings.len() == 1 && warnings[0].contains("_PASSWORD` holds"), "{warnings:?}");
    }
    let broker = json!({"BROKER": "amqp://celery:celery@host"});
    let found = list_secret_values(&variables(broker));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].hidden, Hidden::Behind("celery".into()));
}

#[test]
fn strong_secrets_and_versions_bring_no_warning() {
    let value =
        json!({"A_PASSWORD": "Qz7-hunter", "API_VERSION": "v1", "KEY_ID": 3, "S_TOKEN": ""});
    assert_eq!(warn_of_weak_secrets(&variables(value)), Vec::<String>::new());
}

#[test]
fn its_debug_output_shows_no_secret() {
    let secret = SecretValue::new("hunter22".into());
    assert_eq!(format!("{secret:?}"), "SecretValue { hidden: Everywhere, .. }");
}

/// A value that holds the secret somewhere.
fn holding(secret: &str) -> impl Strategy<Value = Value> + use<> {
    let secret = secret.to_owned();
    Just(Value::from(secret)).prop_recursive(4, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| json!([1, value])),
            inner.clone().prop_map(|value| json!({"plain": value})),
            inner.prop_map(|value| json!({"inside": json!([value]).to_string()})),
        ]
    })
}

proptest! {
    #[test]
    fn any_name_of_a_secret_hides_what_stands_below_it(
        before in "[a-zA-Z_-]{0,6}",
        word in prop::sample::select(vec![
            "api", "jwt", "key", "pass", "private", "secret", "token", "cred",
        ]),
        upper in any::<bool>(),
        after in "[a-zA-Z_-]{0,6}",
        value in holding("Qz7-hunter"),
    ) {
        let word = if upper { word.to_uppercase() } else { word.to_owned() };
        let mut variables = Variables::new();
        variables.insert(format!("{before}{word}{after}"), value);
        let expected = SecretValue { text: "Qz7-hunter".into(), hidden: Hidden::Everywhere };
        prop_assert!(list_secret_values(&variables).contains(&expected));
    }
}
