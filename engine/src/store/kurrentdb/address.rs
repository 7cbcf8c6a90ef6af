//! The address of a KurrentDB: which ones Ocim takes.

use crate::store::StoreUrlError;
use kurrentdb::ClientSettings;

/// What begins an address; the second one names a host whose gossip tells the nodes.
const SCHEMES: [&str; 2] = ["kurrentdb://", "kurrentdb+discover://"];

/// How long the client waits before it connects to a node, each time, in milliseconds. Its own default
/// is half a second; we pause between tries ourselves.
const DISCOVERY_INTERVAL: &str = "discoveryInterval=50";

/// Looks at an address without connecting.
///
/// # Errors
/// [`StoreUrlError`].
pub fn check_address(url: &str) -> Result<(), StoreUrlError> {
    read_address(url).map(|_| ())
}

/// The client's settings. It asks the leader, who alone has all that was written.
pub(super) fn read_address(url: &str) -> Result<ClientSettings, StoreUrlError> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(StoreUrlError::Malformed);
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parameters = query.split('&').filter_map(|it| it.split_once('='));
    // Without one it is the leader.
    if parameters.any(|(name, value)| {
        name.eq_ignore_ascii_case("nodePreference") && !value.eq_ignore_ascii_case("leader")
    }) {
        return Err(StoreUrlError::NotLeader);
    }
    // The client takes what is behind a slash for one more host.
    let place = place.trim_end_matches('/');
    // What is said twice counts as it was said last.
    let url = format!("{place}?{DISCOVERY_INTERVAL}&{query}");
    // The client's own error shows the whole address, with the password.
    let settings = url.parse::<ClientSettings>().map_err(|_| StoreUrlError::Malformed)?;
    let has_hosts = settings.hosts().iter().all(|it| !it.host.is_empty() && it.port > 0);
    if has_hosts && !settings.hosts().is_empty() {
        Ok(settings)
    } else {
        Err(StoreUrlError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_asked_over_tls_unless_the_address_says_otherwise() {
        let settings = read_address("kurrentdb://ocim:secret@db.example.com").expect("an address");
        assert!(settings.is_secure_mode_enabled());
        assert!(settings.is_tls_certificate_verification_enabled());
        assert_eq!(settings.node_preference(), kurrentdb::NodePreference::Leader);
        assert_eq!(
            (settings.hosts()[0].host.as_str(), settings.hosts()[0].port),
            ("db.example.com", 2113)
        );
        assert_eq!(settings.discovery_interval().as_millis(), 50);
        let slow = read_address("kurrentdb://a?discoveryInterval=700").expect("an address");
        assert_eq!(slow.discovery_interval().as_millis(), 700);
        let plain = read_address("kurrentdb://a:1,b:2,c:3/?tls=false&nodepreference=Leader");
        let plain = plain.expect("three nodes");
        assert!(!plain.is_secure_mode_enabled());
        assert_eq!(plain.hosts().len(), 3);
        assert!(read_address("kurrentdb+discover://db.example.com:2113").is_ok());
    }

    #[test]
    fn what_can_not_be_used_is_refused_without_being_shown() {
        for url in [
            "postgres://db",
            "kurrentdb://",
            "kurrentdb:",
            "kurrentdb://a:port",
            "kurrentdb://a:1,b:x",
            "kurrentdb://a?tls=perhaps",
            "kurrentdb://a/path",
            "kurrentdb://a?userCertFile=/cert.pem",
        ] {
            assert_eq!(check_address(url), Err(StoreUrlError::Malformed), "{url}");
        }
        let follower = check_address("kurrentdb://a?nodePreference=follower");
        assert_eq!(follower, Err(StoreUrlError::NotLeader));
    }
}
