//! Many changes of a real HAProxy at once, and certificates that come, go bad and are renewed.

use super::{Bench, fragment, server, start_site};
use crate::private_sshd::PrivateSshd;
use async_trait::async_trait;
use futures_util::future::join_all;
use ocim_adapters::balancer::haproxy::HaproxyLoadBalancer;
use ocim_adapters::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use ocim_adapters::cloud::Address;
use ocim_adapters::shell::Shell;
use ocim_domain::port_error::{Class, PortError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often HAProxy was reloaded: each time has a generation of its own.
fn count_reloads(bench: &Bench) -> usize {
    let live = std::fs::read_link(folder(bench).join("live")).unwrap();
    let (_, number) = live.to_str().unwrap().rsplit_once('-').unwrap();
    number.parse().unwrap()
}

fn folder(bench: &Bench) -> PathBuf {
    bench.machine.home().join("ocim-balancer")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_changes_at_once_are_three_reloads_at_most_and_a_bad_one_is_refused_by_itself() {
    let bench = Bench::start().await;
    let site = start_site("site");
    let before = count_reloads(&bench);
    let names: Vec<String> = (0..50).map(|number| format!("s{number}")).collect();
    let servers = |name: &str| match name {
        "s7" => "    no-such-word\n".to_owned(),
        _ => server("s", site, ""),
    };
    let changes = names.iter().map(async |name| bench.apply(name, &servers(name)).await);
    for (name, outcome) in names.iter().zip(join_all(changes).await) {
        match name.as_str() {
            "s7" => {
                let error = outcome.unwrap_err();
                assert_eq!(error.class, Class::Permanent);
                assert!(error.message.contains("unknown keyword 'no-such-word'"), "{error}");
            }
            _ => assert_eq!(outcome.unwrap(), Vec::<String>::new(), "{name}"),
        }
    }
    let reloads = count_reloads(&bench) - before;
    assert!((1..=3).contains(&reloads), "{reloads} reloads");
    for name in names.iter().filter(|name| *name != "s7") {
        assert_eq!(bench.answers(name), "site", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_that_can_not_be_read_goes_on_and_no_line_gets_into_anothers_section() {
    let bench = Bench::start().await;
    let site = start_site("site");
    for name in ["a", "b"] {
        bench.apply(name, &server("s", site, "")).await.unwrap();
    }
    std::fs::write(folder(&bench).join("fragments/a.json"), "{half").unwrap();
    let words = bench.apply("b", &server("t", site, "")).await.unwrap();
    assert!(words.iter().any(|line| line.contains("fragment a cannot be read")), "{words:?}");
    assert_eq!((bench.answers("a"), bench.answers("b")), ("site".into(), "site".into()));

    let strays =
        ["    server x 127.0.0.1:1\n", "global\n    daemon\n", "backend be-c\n    .if 0\n"];
    for stray in strays {
        let hostile = Fragment { configuration: stray.to_owned(), ..fragment("c", "") };
        let error = bench.balancer.apply_fragment(&bench.host, &hostile).await.unwrap_err();
        assert_eq!(error.class, Class::Permanent, "{stray}");
        assert!(error.message.contains("backend"), "{error}");
    }
    assert_eq!((bench.answers("a"), bench.answers("b")), ("site".into(), "site".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_program_has_left_is_served_again_once_it_is_prepared() {
    let bench = Bench::start().await;
    let site = start_site("site");
    bench.apply("a", &server("s", site, "")).await.unwrap();
    let (before, live) = (bench.master(), folder(&bench).join("live"));
    std::fs::remove_file(live.join("fragments.json")).unwrap();
    bench.balancer.prepare_balancer(&bench.host).await.unwrap();
    assert_ne!(bench.master(), before, "it would read files that are there no more");
    assert_eq!(bench.answers("a"), "site");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_waits_for_any_more_does_not_land_after_a_newer_one() {
    use std::io::Write;
    let bench = Bench::start().await;
    let site = start_site("site");
    let lock = std::fs::File::create(folder(&bench).join("lock")).unwrap();
    lock.lock().unwrap();
    // The older one waits for the lock while its caller goes.
    let mut older = std::process::Command::new(folder(&bench).join("ocim-haproxy"));
    older.arg("change").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut older = older.spawn().unwrap();
    let text = fragment("a", &server("old", site, ""));
    let change = serde_json::json!([{
        "name": "a", "configuration": text.configuration, "map": text.map,
    }]);
    older.stdin.take().unwrap().write_all(change.to_string().as_bytes()).unwrap();
    drop(older.stdout.take());
    lock.unlock().unwrap();
    let ended = older.wait().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert_eq!(bench.balancer.read_fragment(&bench.host, "a").await.unwrap(), None);
}

/// Two machines, each at the address where it listens.
#[derive(Debug)]
struct Both([Arc<PrivateSshd>; 2]);

impl Both {
    fn at(&self, address: &Address) -> &PrivateSshd {
        let of = |it: &&Arc<PrivateSshd>| it.address(0).ssh_port == address.ssh_port;
        self.0.iter().find(of).unwrap()
    }
}

#[async_trait]
impl Shell for Both {
    async fn run(
        &self,
        address: &Address,
        host_keys: &[String],
        command: &str,
        input: &[u8],
    ) -> Result<String, PortError> {
        self.at(address).run(address, host_keys, command, input).await
    }

    async fn read_boot_id(
        &self,
        address: &Address,
        host_keys: &[String],
    ) -> Result<String, PortError> {
        self.at(address).read_boot_id(address, host_keys).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_balancers_has_its_own_sites_and_a_slow_one_holds_up_no_other() {
    let benches = [Bench::start().await, Bench::start().await];
    let machines = benches.each_ref().map(|bench| Arc::clone(&bench.machine));
    let playbooks = machines[0].playbooks();
    let balancers = HaproxyLoadBalancer::new(playbooks, Arc::new(Both(machines)));
    let apply = async |bench: &Bench, name: &'static str| {
        let domain = format!("lb{}.example.com", bench.host.address.ssh_port);
        let host = BalancerHost { domain, ..bench.host.clone() };
        let site = start_site(name);
        balancers.apply_fragment(&host, &fragment(name, &server("s", site, ""))).await.unwrap();
    };
    let [one, other] = &benches;
    tokio::join!(apply(one, "a"), apply(other, "b"));
    let lock = std::fs::File::create(folder(other).join("lock")).unwrap();
    lock.lock().unwrap();
    let slow = apply(other, "d");
    tokio::pin!(slow);
    tokio::select! {
        () = apply(one, "c") => {}
        () = &mut slow => panic!("somebody has its lock"),
    }
    lock.unlock().unwrap();
    slow.await;
    for (bench, own, others) in [(one, ["a", "c"], ["b", "d"]), (other, ["b", "d"], ["a", "c"])] {
        assert_eq!(own.map(|name| bench.answers(name)), own);
        for name in others {
            assert_ne!(bench.answers(name), name);
        }
    }
}

/// A certificate for that host with its key, as HAProxy takes it.
fn write_certificate(folder: &Path, host: &str) -> Vec<u8> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([host.to_owned()]).unwrap();
    let text = format!("{}{}", cert.pem(), signing_key.serialize_pem());
    std::fs::write(folder.join(format!("{host}.pem")), text).unwrap();
    cert.der().to_vec()
}

/// What the balancer answers by TLS to who believes that certificate alone, for a host.
async fn ask_by_tls(bench: &Bench, host: &str, believed: &[u8]) -> Result<String, String> {
    let port = bench.host.https_port.unwrap();
    let client = reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_der(believed).unwrap())
        .resolve(host, ([127, 0, 0, 1], port).into())
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let answer = client.get(format!("https://{host}:{port}/x")).send().await;
    let answer = answer.map_err(|error| ocim_domain::error_chain::chain(&error))?;
    answer.text().await.map_err(|error| error.to_string())
}

async fn is_as_wanted(bench: &Bench) -> bool {
    match bench.balancer.read_balancer(&bench.host).await.unwrap() {
        BalancerState::Prepared { is_running, .. } => is_running,
        BalancerState::Unprepared => panic!("it is prepared"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_a_folder_are_served_and_bad_ones_stop_nothing() {
    let bench = Bench::start().await;
    let site = start_site("site");
    bench.apply("a", &server("s", site, "")).await.unwrap();
    let certificates = folder(&bench).join("certificates");

    let first = write_certificate(&certificates, "a.localhost");
    assert!(!is_as_wanted(&bench).await, "there is something to be served");
    bench.balancer.prepare_balancer(&bench.host).await.unwrap();
    assert!(is_as_wanted(&bench).await);
    assert_eq!(ask_by_tls(&bench, "a.localhost", &first).await.as_deref(), Ok("site"));
    // Visitors without TLS are led there; whoever asks for the route, or for a challenge, is not.
    let ask = |lines: &str| super::exchange(bench.port(), lines);
    let led = ask("GET /x HTTP/1.1\r\nHost: a.localhost").to_lowercase();
    assert!(
        led.starts_with("http/1.1 301") && led.contains("location: https://a.localhost/x"),
        "{led}"
    );
    for lines in [
        "GET /x HTTP/1.1\r\nHost: a.localhost\r\nX-Ocim-Route: 1",
        "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a.localhost",
    ] {
        let answer = ask(lines);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("site"), "{answer}");
    }

    // One that is half written is told of, keeps nobody's change, and the good one stays.
    std::fs::write(certificates.join("bad.pem"), "-----BEGIN").unwrap();
    let error = bench.balancer.prepare_balancer(&bench.host).await.unwrap_err();
    assert_eq!(error.class, Class::Permanent);
    assert!(error.message.contains("bad.pem"), "{error}");
    bench.apply("b", &server("s", site, "")).await.unwrap();
    assert_eq!(ask_by_tls(&bench, "a.localhost", &first).await.as_deref(), Ok("site"));
    std::fs::remove_file(certificates.join("bad.pem")).unwrap();

    let renewed = write_certificate(&certificates, "a.localhost");
    bench.balancer.prepare_balancer(&bench.host).await.unwrap();
    assert_eq!(ask_by_tls(&bench, "a.localhost", &renewed).await.as_deref(), Ok("site"));
    assert!(ask_by_tls(&bench, "a.localhost", &first).await.is_err(), "it is another one now");
}
