//! Credentials inside URLs: where they stand in any text, and the text without them.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in place of credentials.
pub const HIDDEN: &str = "***";

/// Ends the part of a URL that names user, password and host.
const AFTER_AUTHORITY: &[char] = &['/', '?', '#', '"', '\'', '`', '<', '>', '\\', '{', '}', '|'];

/// Schemes whose user is a login name, and no credential by itself.
const LOGIN_SCHEMES: [&str; 4] = ["ssh", "git+ssh", "ssh+git", "sftp"];

/// What a URL names before its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlCredentials<'a> {
    /// Where user and password stand in the text, without the `@` behind them.
    pub place: Range<usize>,
    /// Who; encoded as in the URL.
    pub user: &'a str,
    /// The password, if there is one; encoded as in the URL.
    pub password: Option<&'a str>,
}

impl UrlCredentials<'_> {
    /// Whether the user is a credential itself: tokens are often given in place of a user.
    #[must_use]
    pub fn user_is_secret(&self) -> bool {
        matches!(self.password, None | Some("" | "x-oauth-basic"))
    }
}

/// The credentials of each URL in the text, in order. A login name without a password is none.
#[must_use]
pub fn find_url_credentials(text: &str) -> Vec<UrlCredentials<'_>> {
    text.match_indices("://")
        .filter_map(|(at, mark)| read_authority(text, at, mark.len()))
        .collect()
}

fn read_authority(text: &str, mark_at: usize, mark_length: usize) -> Option<UrlCredentials<'_>> {
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let scheme = &text[..mark_at];
    let scheme = &scheme[scheme.trim_end_matches(is_of_scheme).len()..];
    let start = mark_at + mark_length;
    let rest = &text[start..];
    let ends = |c: char| c.is_whitespace() || c.is_control() || AFTER_AUTHORITY.contains(&c);
    let authority = &rest[..rest.find(ends).unwrap_or(rest.len())];
    let (login, _host) = authority.rsplit_once('@')?;
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let is_login = password.is_none() && LOGIN_SCHEMES.contains(&&*scheme.to_ascii_lowercase());
    let is_blank = login.is_empty() || login == HIDDEN;
    (!is_login && !is_blank).then(|| UrlCredentials {
        place: start..start + login.len(),
        user,
        password,
    })
}

/// The text with [`HIDDEN`] in place of every URL's credentials.
#[must_use]
pub fn hide_url_credentials(text: &str) -> Cow<'_, str> {
    let found = find_url_credentials(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut hidden = String::with_capacity(text.len());
    let mut at = 0;
    for credentials in found {
        hidden.push_str(&text[at..credentials.place.start]);
        hidden.push_str(HIDDEN);
        at = credentials.place.end;
    }
    hidden.push_str(&text[at..]);
    Cow::Owned(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_the_rest_stays() {
        for (text, hidden) in [
            ("get https://u:pw@host/simple failed", "get https://***@host/simple failed"),
            (
                "foo @ https://u:p%40w@host:8/x, AMQP://a:b@c",
                "foo @ https://***@host:8/x, AMQP://***@c",
            ),
            ("git+https://ghp_token@github.com/o/r.git", "git+https://***@github.com/o/r.git"),
            ("redis://:pw@host", "redis://***@host"),
            ("'postgres://u:p@w@host/d'", "'postgres://***@host/d'"),
            ("ssh://git:pw@host/r", "ssh://***@host/r"),
        ] {
            assert_eq!(hide_url_credentials(text), hidden);
            assert_eq!(hide_url_credentials(hidden), hidden, "hiding twice");
            assert_eq!(find_url_credentials(hidden), [], "nothing is left to be hidden");
        }
    }

    #[test]
    fn what_is_no_credential_stays() {
        for text in [
            "ssh://git@github.com/org/repo.git",
            "git+ssh://git@github.com/org/repo.git",
            "https://host:8080/path?mail=a@b.org",
            "https://host/a:b@c",
            "git@github.com:org/repo.git",
            "mail to: a@b.org",
            "http://<host> is a@b",
            "http://host or a@b",
            "http://@host",
            "http://host\u{1b}a@b",
            "://",
        ] {
            assert_eq!(hide_url_credentials(text), text);
        }
    }
}
