//! The heartbeat of a site, asked on its own machine; redirects within the site are followed.

use ocim_adapters::sites::{SiteAnswer, SiteProbe};
use ocim_domain::hosts::host_key;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use reqwest::Url;
use std::net::SocketAddr;
use std::time::Duration;

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;
/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Asks `OPTIONS /heartbeat` at the machine, as `hosts[0]`, and follows the site's redirects.
///
/// Whatever name of the site they lead to is asked at the same machine, where all of
/// them are served; HTTPS ends at the balancer, so it is asked in plain HTTP like the rest.
///
/// # Errors
/// Transient when nobody answers, and when the site sends its visitors to a host that is not its
/// own, nowhere, or round in circles: its configuration may not be complete yet.
pub async fn request_heartbeat(
    probe: &dyn SiteProbe,
    to: SocketAddr,
    hosts: &[String],
) -> Result<SiteAnswer, PortError> {
    let host = hosts.first().map(String::as_str).unwrap_or_default();
    let wrong =
        |_| PortError::permanent(ErrorCode::InvalidAddress, format!("`{host}` can't be asked"));
    let mut url = Url::parse(&format!("http://{host}/heartbeat")).map_err(wrong)?;
    for _ in 0..=REDIRECTS_MAX {
        let host = url.host_str().unwrap_or_default().to_owned();
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let answer = probe.request_site("OPTIONS", to, &host, &path, ANSWER_WAIT).await?;
        if !(300..400).contains(&answer.status) {
            return Ok(answer);
        }
        url = find_next(&url, &answer, hosts)?;
    }
    Err(PortError::transient(format!("{host} redirects more than {REDIRECTS_MAX} times")))
}

/// Where a redirect leads, if that is within the site.
fn find_next(from: &Url, answer: &SiteAnswer, hosts: &[String]) -> Result<Url, PortError> {
    let status = answer.status;
    let nowhere = || PortError::transient(format!("{from} answers with {status}, but no address"));
    let next = answer.location.as_deref().and_then(|location| from.join(location).ok());
    let next = next.ok_or_else(nowhere)?;
    let host = next.host_str().unwrap_or_default();
    let is_own = hosts.iter().any(|own| host_key(own) == host_key(host));
    if is_own && matches!(next.scheme(), "http" | "https") {
        return Ok(next);
    }
    let (from, to) = (from.host_str().unwrap_or_default(), next.origin().ascii_serialization());
    Err(PortError::transient(format!("{from} redirects to {to}, which is not the site's own")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_adapters::sites::fake::FakeSite;
    use ocim_domain::port_error::Class;

    const LMS: &str = "lms.example.com";
    const STUDIO: &str = "studio.example.com";

    async fn ask(site: &FakeSite) -> Result<SiteAnswer, PortError> {
        let hosts = [LMS.to_owned(), STUDIO.to_owned()];
        request_heartbeat(site, "192.0.2.7:80".parse().unwrap(), &hosts).await
    }

    fn redirect(status: u16, location: &str) -> Option<SiteAnswer> {
        Some(SiteAnswer { status, location: Some(location.to_owned()), ..SiteAnswer::default() })
    }

    #[tokio::test]
    async fn redirects_within_the_site_are_followed_at_the_same_machine() {
        let site = FakeSite::default();
        site.set_answer(LMS, redirect(301, "https://Studio.example.com/beat?a=b"));
        site.set_answer(STUDIO, Some(SiteAnswer { status: 200, ..SiteAnswer::default() }));
        assert_eq!(ask(&site).await.unwrap().status, 200);
        let asked = site.requests();
        let seen: Vec<_> = asked.iter().map(|it| (it.host.as_str(), it.path.as_str())).collect();
        assert_eq!(seen, [(LMS, "/heartbeat"), (STUDIO, "/beat?a=b")]);
        assert!(asked.iter().all(|it| it.to == asked[0].to && it.method == "OPTIONS"));
    }

    #[tokio::test]
    async fn a_redirect_alone_is_no_heartbeat() {
        for (location, says) in [
            ("/elsewhere", "more than 10 times"),
            ("https://login.example.org/sso?token=x", "https://login.example.org, which is not"),
            ("http://192.0.2.9/", "not the site's own"),
            ("ftp://lms.example.com/", "not the site's own"),
        ] {
            let site = FakeSite::default();
            site.set_answer(LMS, redirect(302, location));
            let refused = ask(&site).await.unwrap_err();
            assert_eq!(refused.class, Class::Transient, "{location}");
            assert!(refused.message.contains(says), "{refused}");
            assert!(!refused.message.contains("token"), "{refused}");
            assert!(site.requests().len() <= 11, "{location}");
        }
        let site = FakeSite::default();
        site.set_answer(LMS, Some(SiteAnswer { status: 304, ..SiteAnswer::default() }));
        assert!(ask(&site).await.unwrap_err().message.contains("304, but no address"));
    }

    #[tokio::test]
    async fn the_last_answer_counts() {
        let site = FakeSite::default();
        site.set_answer(LMS, redirect(302, "http://studio.example.com/"));
        site.set_answer(STUDIO, Some(SiteAnswer { status: 503, ..SiteAnswer::default() }));
        assert_eq!(ask(&site).await.unwrap().status, 503);
    }
}
