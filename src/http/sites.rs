//! Where visitors find a site, and the login with which people look at one that has no traffic.

use super::problem::{HttpError, internal};
use crate::read_models::InstanceRow;
use ocim_api_spec::Site;
use ocim_domain::configuration::secrets::HttpAuth;
use ocim_domain::names::{Service, effective_domain};
use ocim_domain::settings::InstanceSettings;
use serde_json::Value;
use std::net::SocketAddr;

/// Where a site's balancer listens for visitors; nowhere while it has none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Listens<'a> {
    /// The port for everybody.
    pub(super) http_port: Option<i32>,
    /// The address for visitors of the balancer's own machine.
    pub(super) also_listens: Option<&'a str>,
}

impl<'a> Listens<'a> {
    /// Where the balancer of this site does.
    pub(super) fn of(row: &'a InstanceRow) -> Self {
        Self { http_port: row.http_port, also_listens: row.also_listens.as_deref() }
    }

    /// A site's address: browsers look for names below `localhost` on their own machine.
    pub(super) fn visitor_url(self, domain: &str) -> String {
        let near: Option<SocketAddr> = self.also_listens.and_then(|text| text.parse().ok());
        let near = near.filter(|_| domain.ends_with(".localhost"));
        let port = near.map_or(self.http_port, |near| Some(near.port().into()));
        match port {
            None | Some(80) => format!("http://{domain}/"),
            Some(port) => format!("http://{domain}:{port}/"),
        }
    }
}

/// The site that these settings, with protected texts opened, make behind its balancer.
pub(super) fn site(opened: &Value, listens: Listens<'_>) -> Result<Site, HttpError> {
    let settings: InstanceSettings =
        serde_json::from_value(opened.clone()).map_err(|error| internal(&error))?;
    let login = HttpAuth::derive(settings.secret_key_b64encoded.text());
    let login = login.map_err(|error| internal(&error))?;
    let url = |service| listens.visitor_url(effective_domain(&settings, service));
    Ok(Site {
        lms_url: url(Service::Lms),
        studio_url: url(Service::Studio),
        lms_preview_url: url(Service::LmsPreview),
        user: login.user,
        password: login.password,
        machine_url: None,
    })
}

/// Where a machine's web server listens.
pub(super) fn machine_url(ip: Option<&str>, port: Option<i32>) -> Option<String> {
    let address = SocketAddr::new(ip?.parse().ok()?, port?.try_into().ok()?);
    Some(format!("http://{address}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_has_the_port_that_visitors_need() {
        let near = Listens { http_port: Some(8000), also_listens: Some("127.0.0.1:8080") };
        assert_eq!(near.visitor_url("a.localhost"), "http://a.localhost:8080/");
        assert_eq!(near.visitor_url("a.example.com"), "http://a.example.com:8000/");
        let plain = Listens { http_port: Some(80), also_listens: None };
        assert_eq!(plain.visitor_url("a.example.com"), "http://a.example.com/");
        assert_eq!(Listens::default().visitor_url("a.example.com"), "http://a.example.com/");
    }

    #[test]
    fn a_machine_has_an_address_once_both_parts_are_known() {
        assert_eq!(machine_url(Some("::1"), Some(80)).as_deref(), Some("http://[::1]:80/"));
        assert_eq!(machine_url(Some("203.0.113.7"), None), None);
        assert_eq!(machine_url(None, Some(80)), None);
    }
}
