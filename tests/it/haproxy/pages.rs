//! What a real HAProxy answers in a site's place.

use super::{Bench, exchange, request, start_site};
use ocim_adapters::balancer::{Fragment, LoadBalancer};
use ocim_domain::fragment::{FragmentInput, FragmentServer, compose_fragment};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::Maintenance;
use ocim_domain::names::RoutedNames;
use std::net::Ipv4Addr;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_under_maintenance_answers_with_a_page_under_all_names_whatever_its_message() {
    let (bench, site) = (Bench::start().await, start_site("site"));
    let until = chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap();
    let input = |message: &str, is_served: bool| {
        let server = FragmentServer {
            name: "appserver-1".to_owned(),
            cookie: "appserver-1".to_owned(),
            ip: Ipv4Addr::LOCALHOST.into(),
            port: site,
            disabled: false,
        };
        FragmentInput {
            names: RoutedNames {
                site: "site.localhost".to_owned(),
                domains: vec!["site.localhost".to_owned(), "studio.site.localhost".to_owned()],
                redirects: vec!["studio-site.localhost".to_owned()],
                redirect_target: "site.localhost".to_owned(),
                pages: vec![],
            },
            owner: InstanceId(Uuid::from_u128(7)).to_string(),
            auth_token: "dXNlcjpwYXNz".to_owned(),
            servers: if is_served { vec![server] } else { vec![] },
            maintenance: Some(Maintenance { message: message.to_owned(), until }),
            ..FragmentInput::default()
        }
    };
    let apply = async |input: &FragmentInput| {
        let text = compose_fragment(input).unwrap();
        let fragment =
            Fragment { name: "a".to_owned(), configuration: text.configuration, map: text.map };
        bench.balancer.apply_fragment(&bench.host, &fragment).await.unwrap();
    };
    let longest = "\u{10ffff}".repeat(500);
    let hostile = "\'\n    server evil 127.0.0.1:1\nbackend be-evil # </p><script>1</script> \\ $HOME \"%[date]";
    for (message, is_served) in [("Back soon.", true), (hostile, false), (&*longest, true)] {
        apply(&input(message, is_served)).await;
        for host in ["site.localhost", "studio.site.localhost", "studio-site.localhost"] {
            let answer = exchange(bench.port(), &format!("GET /x HTTP/1.1\r\nHost: {host}"));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 503 "), "{host}: {head}");
            let head = head.to_lowercase();
            assert!(head.contains("retry-after: sun, 17 mar 2030 17:46:40 gmt"), "{head}");
            assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
            assert!(body.ends_with("</body></html>") && !body.contains("<script"), "{body}");
            let escaped = "&#39;&#10;    server evil 127&#46;0&#46;0&#46;1&#58;1&#10;backend";
            assert_eq!(body.contains(escaped), message == hostile, "{body}");
        }
    }
    // One change brings the site back.
    apply(&FragmentInput { maintenance: None, ..input("", true) }).await;
    assert_eq!(request(&mut bench.connect(), "site.localhost", false).as_deref(), Ok("site"));
}
