//! An Appserver's variables as people may see them: without their secrets.

use super::Variables;
use super::secret_names::names_a_secret;
use super::secret_values::{Hidden, list_secret_values};
use crate::url_credentials::hide_url_credentials;
use serde_json::Value;

/// What stands for a secret.
pub const HIDDEN: &str = "<protected>";

/// The variables with each secret hidden: what lies below a name that speaks of one, logins in URLs,
/// and the same texts wherever else they stand.
#[must_use]
pub fn hide_secrets(variables: &Variables) -> Variables {
    let known = list_secret_values(variables).into_iter();
    let known = known.filter(|secret| !matches!(secret.hidden, Hidden::Behind(_)));
    let mut known: Vec<String> = known.map(|secret| secret.text).collect();
    // One that holds another goes first.
    known.sort_by_key(|text| std::cmp::Reverse(text.len()));
    hide_members(variables, false, &known)
}

fn hide_members(members: &Variables, is_secret: bool, known: &[String]) -> Variables {
    let hide = |(name, value): (&String, &Value)| {
        (name.clone(), hide(value, is_secret || names_a_secret(name), known))
    };
    members.iter().map(hide).collect()
}

fn hide(value: &Value, is_secret: bool, known: &[String]) -> Value {
    match value {
        Value::Object(members) => Value::Object(hide_members(members, is_secret, known)),
        Value::Array(items) => items.iter().map(|item| hide(item, is_secret, known)).collect(),
        Value::Bool(_) | Value::Null => value.clone(),
        Value::String(text) if text.trim().is_empty() => value.clone(),
        Value::String(_) | Value::Number(_) if is_secret => HIDDEN.into(),
        Value::Number(_) => value.clone(),
        Value::String(text) => hide_in_text(text, known).into(),
    }
}

fn hide_in_text(text: &str, known: &[String]) -> String {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
    {
        return hide(&inner, false, known).to_string();
    }
    let text = hide_url_credentials(text).into_owned();
    known.iter().fold(text, |text, secret| text.replace(secret.as_str(), HIDDEN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_wherever_they_stand_and_all_else_is_shown() {
        let Value::Object(variables) = json!({
            "EDXAPP_LMS_BASE": "alpha.example.com",
            "EDXAPP_WORKERS": 4,
            "EDXAPP_FEATURES": {"A": true, "B": null, "SHARED_SECRET": ["one-secret", 12345]},
            "EDXAPP_MYSQL_PASSWORD": "not-for-you",
            "EDXAPP_EMPTY_PASSWORD": "",
            "DATABASE_URL": "mysql://edxapp:not-for-you@db.example.com/edxapp",
            "BROKER_URL": "amqp://edxapp:edxapp@queue.example.com",
            "A_COMMAND": "mysql -p not-for-you",
            "A_DOCUMENT": "{\"API_KEY\": \"k-1\", \"name\": \"alpha\"}",
        }) else {
            panic!()
        };
        let shown = Value::Object(hide_secrets(&variables));
        assert_eq!(shown["EDXAPP_LMS_BASE"], "alpha.example.com");
        assert_eq!(shown["EDXAPP_WORKERS"], 4);
        let features = json!({"A": true, "B": null, "SHARED_SECRET": [HIDDEN, HIDDEN]});
        assert_eq!(shown["EDXAPP_FEATURES"], features);
        assert_eq!(shown["EDXAPP_MYSQL_PASSWORD"], HIDDEN);
        assert_eq!(shown["EDXAPP_EMPTY_PASSWORD"], "");
        assert_eq!(shown["A_COMMAND"], format!("mysql -p {HIDDEN}"));
        let text = shown.to_string();
        for secret in ["not-for-you", "one-secret", "12345", "k-1", ":edxapp@"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("db.example.com") && text.contains("alpha"), "{text}");
    }
}
