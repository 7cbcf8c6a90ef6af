//! Credentials for repositories over HTTPS, by host: addresses are shown and logged, and hold none.

use super::Secret;
use super::reader::Reader;
use ocim_domain::hosts::check_host;
use serde::Deserialize;
use std::collections::BTreeMap;

const NAME: &str = "OCIM_GIT_CREDENTIALS";

/// As whom git reads the repositories of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCredential {
    /// The user, or what the host wants in its place for a token, e.g. `oauth2`.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    user: String,
    password: String,
}

/// Reads them by `host` or `host:port`.
pub(super) fn read_git_credentials(r: &mut Reader<'_>) -> BTreeMap<String, GitCredential> {
    let Some(text) = r.optional(NAME) else { return BTreeMap::new() };
    let given = match serde_json::from_str::<BTreeMap<String, Given>>(text) {
        Ok(given) => given,
        Err(error) => {
            // The column is safe to tell, the text is not.
            let column = error.column();
            let rule = format!(
                "must be JSON like {{\"example.com\": {{\"user\": \"…\", \"password\": \"…\"}}}} \
                 (wrong near column {column})"
            );
            r.refuse(NAME, rule);
            return BTreeMap::new();
        }
    };
    if given.keys().any(|host| !is_host(host)) {
        r.refuse(NAME, "takes hosts like `example.com` or `example.com:8443`");
    }
    let is_line = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if given.values().any(|it| !is_line(&it.user) || !is_line(&it.password)) {
        r.refuse(NAME, "takes users and passwords of one line, none of them blank");
    }
    let wrap =
        |given: Given| GitCredential { user: given.user, password: Secret::new(given.password) };
    given.into_iter().map(|(host, given)| (host, wrap(given))).collect()
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    (host == "localhost" || check_host(host).is_ok()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (BTreeMap<String, GitCredential>, Vec<String>) {
        let variables = BTreeMap::from([(NAME.to_owned(), text.to_owned())]);
        let mut reader = Reader::new(&variables);
        let credentials = read_git_credentials(&mut reader);
        (credentials, reader.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn credentials_are_read_by_host() {
        let text = r#"{"example.com:8443": {"user": "oauth2", "password": "t0ken"}}"#;
        let (credentials, errors) = read(text);
        assert_eq!(errors, Vec::<String>::new());
        let credential = &credentials["example.com:8443"];
        assert_eq!((credential.user.as_str(), credential.password.expose()), ("oauth2", "t0ken"));
        assert!(!format!("{credentials:?}").contains("t0ken"));
    }

    #[test]
    fn what_is_wrong_is_told_without_any_secret() {
        for text in [
            "t0ken",
            r#"{"example.com": "t0ken"}"#,
            r#"{"example.com": {"user": "u", "password": "t0ken", "more": 1}}"#,
            r#"{"https://example.com": {"user": "u", "password": "t0ken"}}"#,
            r#"{"example.com": {"user": "", "password": "t0ken"}}"#,
            r#"{"example.com": {"user": "u", "password": "t0ken\nhost=other"}}"#,
        ] {
            let (_, errors) = read(text);
            assert_eq!(errors.len(), 1, "{text}: {errors:?}");
            assert!(errors[0].starts_with(NAME) && !errors[0].contains("t0ken"), "{errors:?}");
        }
    }
}
