//! Connection URLs of servers, written as the original does: nothing in them is encoded.

use std::fmt::Write as _;

/// The URL of a server: a password only where there is a user, a port only where it is not the
/// scheme's own.
#[must_use]
pub fn connection_url(
    (scheme, default_port): (&str, u16),
    username: &str,
    password: &str,
    host: &str,
    port: u16,
) -> String {
    let mut url = format!("{scheme}://");
    if !username.is_empty() {
        url += username;
        if !password.is_empty() {
            let _ = write!(url, ":{password}");
        }
        url += "@";
    }
    if host.contains(':') {
        let _ = write!(url, "[{host}]");
    } else {
        url += host;
    }
    if port != default_port {
        let _ = write!(url, ":{port}");
    }
    url
}

/// The parts of a URL of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// In lower case.
    pub scheme: String,
    /// Blank where there is none.
    pub username: String,
    /// Blank where there is none.
    pub password: String,
    /// In lower case, not blank.
    pub host: String,
    /// The port, if one stands there.
    pub port: Option<u16>,
    /// What comes after that: a path, a query; blank where nothing does.
    pub rest: String,
}

/// Takes a URL apart as it is written; `None` without a scheme, without a host, or with a port that
/// is none.
#[must_use]
pub fn parse_server_url(url: &str) -> Option<ServerUrl> {
    let (scheme, after) = url.trim().split_once("://")?;
    let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some(""))?)
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let port = match port {
        "" => None,
        text => Some(text.parse::<u16>().ok().filter(|port| *port > 0)?),
    };
    (!scheme.is_empty() && !host.is_empty()).then(|| ServerUrl {
        scheme: scheme.to_lowercase(),
        username: username.to_owned(),
        password: password.to_owned(),
        host: host.to_lowercase(),
        port,
        rest: rest.to_owned(),
    })
}
