//! Test links on a real HAProxy: two browsers, one name, two appservers.

use super::{Bench, exchange};
use ocim_adapters::balancer::{Fragment, LoadBalancer};
use ocim_domain::fragment::{FragmentInput, FragmentServer, TestInput, compose_fragment};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::Maintenance;
use ocim_domain::names::RoutedNames;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use uuid::Uuid;

/// A site whose pages say its name and what it was asked.
fn start_echo(name: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<_> =
                    lines.map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
                let body = format!("{name}\n{}", head.join("\n"));
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                drop(stream.write_all(answer.as_bytes()));
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_link_leads_one_browser_to_its_appserver_and_nobody_else() {
    let bench = Bench::start().await;
    let (one, two) = (start_echo("one"), start_echo("two"));
    let server = |number: u16, port| FragmentServer {
        name: format!("appserver-{number}"),
        cookie: format!("appserver-{number}"),
        ip: Ipv4Addr::LOCALHOST.into(),
        port,
        disabled: false,
    };
    let hosts = ["site.localhost", "studio.site.localhost"].map(str::to_owned).to_vec();
    let test = |secret: &str, until| TestInput {
        hosts: hosts.clone(),
        secret: secret.to_owned(),
        until: chrono::DateTime::from_timestamp(until, 0).unwrap(),
        server: server(2, two),
    };
    let input = FragmentInput {
        names: RoutedNames {
            site: "site.localhost".to_owned(),
            domains: hosts.clone(),
            redirects: vec![],
            redirect_target: "site.localhost".to_owned(),
            pages: vec![],
        },
        owner: InstanceId(Uuid::from_u128(7)).to_string(),
        auth_token: "dXNlcjpwYXNz".to_owned(),
        servers: vec![server(1, one)],
        tests: vec![test("5ec2e7", 4_000_000_000), test("0ver", 1_000_000_000)],
        ..FragmentInput::default()
    };
    let apply = async |input: &FragmentInput| {
        let text = compose_fragment(input).unwrap();
        let fragment =
            Fragment { name: "a".to_owned(), configuration: text.configuration, map: text.map };
        bench.balancer.apply_fragment(&bench.host, &fragment).await.unwrap();
    };
    apply(&input).await;
    let ask = |host: &str, path: &str, more: &str| {
        exchange(bench.port(), &format!("GET {path} HTTP/1.1\r\nHost: {host}{more}"))
    };
    let served_by = |answer: &str| {
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        body.lines().next().unwrap_or_default().to_owned()
    };
    for host in ["site.localhost", "studio.site.localhost"] {
        // One browser comes by the link, and gets a cookie of this name alone.
        let came = ask(host, "/.ocim-test-link/5ec2e7", "");
        assert!(came.starts_with("HTTP/1.1 302 "), "{came}");
        let cookie = came.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.to_owned())
        });
        let cookie = cookie.unwrap_or_else(|| panic!("{came}"));
        assert!(
            cookie.contains("HttpOnly") && !cookie.to_lowercase().contains("domain="),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(pair, "ocim-test-link=5ec2e7");
        for cookies in [
            pair.to_owned(),
            format!("a=1; {pair}; b=2"),
            format!("a=1; {pair}"),
            format!("{pair}; openedx-backend=appserver-1"),
            format!("{pair}; {pair}; c=3; {pair}"),
        ] {
            let answer = ask(host, "/courses", &format!("\r\nCookie: {cookies}"));
            assert_eq!(served_by(&answer), "two", "{cookies}: {answer}");
            assert!(!answer.contains("ocim-test-link"), "the appserver sees it: {answer}");
            assert!(
                !answer.to_lowercase().contains("authorization"),
                "its login is injected: {answer}"
            );
            let host_line = format!("host: {host}");
            assert!(answer.to_lowercase().contains(&host_line), "{answer}");
            for kept in ["a=1", "b=2"].into_iter().filter(|kept| cookies.contains(kept)) {
                assert!(answer.contains(kept), "{cookies}: {answer}");
            }
        }
        // The other browser goes where everybody goes, whatever it makes up.
        for more in [
            "",
            "\r\nCookie: ocim-test-link=5ec2e8",
            "\r\nCookie: ocim-test-link=",
            "\r\nCookie: ocim-test-link=5EC2E7; a=1",
            "\r\nCookie: xocim-test-link=5ec2e7",
            "\r\nX-Ocim-Test-Link: 5ec2e7",
        ] {
            let answer = ask(host, "/courses", more);
            assert_eq!(served_by(&answer), "one", "{more}: {answer}");
            assert!(answer.contains("Basic dXNlcjpwYXNz"), "{answer}");
            assert!(
                !answer.contains("; ocim-test-link=")
                    && !answer.contains("Cookie: ocim-test-link=")
            );
        }
        // One that is over, or unknown, leads to the site, and the cookie goes.
        for secret in ["0ver", "unknown"] {
            let answer = ask(host, &format!("/.ocim-test-link/{secret}"), "");
            assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
            assert!(answer.to_lowercase().contains("location: /\r\n"), "{answer}");
            assert!(!answer.contains(&format!("ocim-test-link={secret}")), "{answer}");
        }
        let answer = ask(host, "/courses", "\r\nCookie: ocim-test-link=0ver");
        assert!(answer.contains("ocim-test-link=; Path=/; Expires=Thu, 01 Jan 1970"), "{answer}");
    }
    // Under maintenance, the one browser still sees its appserver.
    let until = chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap();
    let page = Some(Maintenance { message: "Back soon.".to_owned(), until });
    apply(&FragmentInput { maintenance: page, ..input.clone() }).await;
    assert!(ask("site.localhost", "/", "").starts_with("HTTP/1.1 503 "));
    let answer = ask("site.localhost", "/", "\r\nCookie: ocim-test-link=5ec2e7");
    assert_eq!(served_by(&answer), "two");
    // What is taken away leads to the site.
    apply(&FragmentInput { tests: vec![], ..input }).await;
    let answer = ask("site.localhost", "/", "\r\nCookie: ocim-test-link=5ec2e7");
    assert_eq!(served_by(&answer), "one");
    assert!(!answer.contains("ocim-test-link"), "{answer}");
}
