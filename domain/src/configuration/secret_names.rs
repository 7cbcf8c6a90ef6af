//! Which names of variables speak of secrets.

/// A name that has one of these anywhere speaks of a secret, as the original had it.
const PARTS: [&str; 8] = ["api", "cred", "jwt", "key", "pass", "private", "secret", "token"];

/// A name that has one of these as a word of its own does so too. Inside of words they are too
/// common: `author`, `design`.
const WORDS: [&str; 10] =
    ["auth", "bearer", "dsn", "htauth", "oauth", "oauth2", "otp", "pwd", "salt", "signature"];

/// A number whose name ends in one of these measures something.
const MEASURES: [&str; 17] = [
    "age",
    "attempts",
    "count",
    "days",
    "expiration",
    "expiry",
    "hours",
    "length",
    "limit",
    "max",
    "min",
    "minutes",
    "port",
    "retries",
    "seconds",
    "size",
    "timeout",
];

/// Names that end so describe something.
const DESCRIPTIONS: [&str; 12] = [
    "algorithm",
    "audience",
    "backend",
    "class",
    "function",
    "host",
    "issuer",
    "name",
    "path",
    "prefix",
    "type",
    "version",
];

/// The words of a name in lower case, however they are put together: `apiKey`, `api-key`, `API_KEY`.
pub(super) fn split_name(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (after_lower && c.is_uppercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether what stands under this name is secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || split_name(name).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether what stands under this name opens something by itself: many an `API_…` or `…_KEY` holds
/// a version or a kind.
pub(super) fn names_a_credential(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["cred", "pass", "private", "secret", "token"].iter().any(|part| lower.contains(part))
}

/// Whether a value under this name, which has a part of a secret's, describes the secret or its
/// use, and says nothing by itself: `ANALYTICS_API_VERSION`, `JWT_AUDIENCE`.
pub(super) fn names_a_description(name: &str) -> bool {
    let words = split_name(name);
    let last = words.last().is_some_and(|last| DESCRIPTIONS.contains(&last.as_str()));
    last && !names_a_credential(name)
}

/// Whether a number under this name is a measure rather than a secret.
pub(super) fn names_a_measure(name: &str) -> bool {
    split_name(name).last().is_some_and(|last| MEASURES.contains(&last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        for name in [
            "EDXAPP_MYSQL_PASSWORD",
            "apiKey",
            "api-key",
            "STRIPE_APIKEY",
            "CREDS",
            "AUTH",
            "XQUEUE_BASIC_AUTH",
            "basicAuth",
            "JWT_PRIVATE_JWK",
            "SENTRY_DSN",
            "oauth",
            "oauth2",
            "GITHUB_Token",
            "credentials",
            "Private",
            "SECRET",
            "passphrase",
            "otp",
            "DB_PWD",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn other_names_speak_of_none() {
        for name in ["AUTHOR", "EDXAPP_LMS_BASE", "user", "DESIGN", "SALTED_FISHES", "ADSNAP", ""] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn numbers_that_measure_are_told_by_the_last_word() {
        assert!(names_a_measure("API_TIMEOUT") && names_a_measure("tokenExpirySeconds"));
        assert!(!names_a_measure("PORT_TOKEN") && !names_a_measure("EDXAPP_MYSQL_PASSWORD"));
    }
}
