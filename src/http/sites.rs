//! Where visitors find a site, and the login with which people look at one that has no traffic.

use super::problem::{HttpError, internal};
use crate::read_models::{LoadBalancerRow, Reads, ServerRow};
use ocim_api_spec::Site;
use ocim_domain::configuration::secrets::HttpAuth;
use ocim_domain::names::{Service, effective_domain};
use ocim_domain::settings::InstanceSettings;
use serde_json::Value;
use std::net::SocketAddr;

/// The site that these settings, with protected texts opened, make behind this balancer.
pub(super) async fn read_site(
    reads: &Reads<'_>,
    opened: &Value,
    balancer: Option<&str>,
) -> Result<Site, HttpError> {
    let settings: InstanceSettings =
        serde_json::from_value(opened.clone()).map_err(|error| internal(&error))?;
    let balancer = match balancer {
        Some(id) => reads.read_load_balancer(id).await?,
        None => None,
    };
    let login = HttpAuth::derive(settings.secret_key_b64encoded.text());
    let login = login.map_err(|error| internal(&error))?;
    let url = |service| visitor_url(effective_domain(&settings, service), balancer.as_ref());
    Ok(Site {
        lms_url: url(Service::Lms),
        studio_url: url(Service::Studio),
        lms_preview_url: url(Service::LmsPreview),
        user: login.user,
        password: login.password,
        machine_url: None,
    })
}

/// A site's address: browsers look for names below `localhost` on their own machine.
fn visitor_url(domain: &str, balancer: Option<&LoadBalancerRow>) -> String {
    let port = balancer.map(|it| {
        let near: Option<SocketAddr> = it.also_listens.as_ref().and_then(|text| text.parse().ok());
        let is_near = domain.ends_with(".localhost");
        near.filter(|_| is_near).map_or(it.http_port, |near| near.port().into())
    });
    match port {
        None | Some(80) => format!("http://{domain}/"),
        Some(port) => format!("http://{domain}:{port}/"),
    }
}

/// Where a machine's web server listens.
pub(super) fn machine_url(server: &ServerRow) -> Option<String> {
    let ip = server.public_ip.as_ref()?.parse().ok()?;
    let port = server.http_port?.try_into().ok()?;
    Some(format!("http://{}/", SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn balancer(http_port: i32, also_listens: Option<&str>) -> LoadBalancerRow {
        LoadBalancerRow {
            id: "lbal_1".into(),
            domain: "balancer.localhost".into(),
            public_ip: "127.1.2.3".into(),
            http_port,
            also_listens: also_listens.map(str::to_owned),
            accepts_new_backends: true,
            troubles: serde_json::json!([]),
            preparation_run: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_address_has_the_port_that_visitors_need() {
        let near = balancer(8000, Some("127.0.0.1:8080"));
        assert_eq!(visitor_url("a.localhost", Some(&near)), "http://a.localhost:8080/");
        assert_eq!(visitor_url("a.example.com", Some(&near)), "http://a.example.com:8000/");
        assert_eq!(
            visitor_url("a.example.com", Some(&balancer(80, None))),
            "http://a.example.com/"
        );
        assert_eq!(visitor_url("a.example.com", None), "http://a.example.com/");
    }
}
