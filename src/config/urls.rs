//! Where the services are that Ocim stands on.

use super::{Reader, Secret};
use ocim_engine::database::{DatabaseUrlError, check_url};
use ocim_engine::store::check_store_url;

pub(super) fn read_database_url(r: &mut Reader<'_>) -> Option<Secret> {
    let url = r.optional("DATABASE_URL")?;
    match check_url(url) {
        Ok(()) => {}
        Err(DatabaseUrlError::Malformed) => r.refuse(
            "DATABASE_URL",
            "must be a URL like postgres://user:password@host:5432/database?sslmode=verify-full",
        ),
        Err(_) => r.refuse(
            "DATABASE_URL",
            "takes sslmode=disable, prefer, require, verify-ca or verify-full",
        ),
    }
    Some(Secret::new(url))
}

pub(super) fn read_event_store_url(r: &mut Reader<'_>) -> Option<Secret> {
    let url = r.optional("EVENT_STORE_URL")?;
    if let Err(error) = check_store_url(url) {
        r.refuse("EVENT_STORE_URL", error.to_string());
    }
    Some(Secret::new(url))
}

pub(super) fn read_otlp_endpoint(r: &mut Reader<'_>) -> Option<String> {
    let url = r.optional("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    if !is_web_url(url, &["http"]) {
        r.refuse("OTEL_EXPORTER_OTLP_ENDPOINT", "must be a URL like http://localhost:4318");
    }
    Some(url.to_owned())
}

/// Whether it is a URL of one of these schemes that names a host.
pub(super) fn is_web_url(url: &str, schemes: &[&str]) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

/// Whether it is a URL of this computer, where a secret may be told in clear.
pub(super) fn is_local(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    let host = url.filter(|url| url.scheme() == "http");
    let host = host.as_ref().and_then(reqwest::Url::host_str).map(str::to_owned);
    host.is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}
