//! A real HAProxy, installed and changed by the bundled playbooks: bad fragments, and no lost request.

mod changes;
mod cut;
mod links;
mod pages;

use crate::private_sshd::{PrivateSshd, wait_for};
use ocim_adapters::balancer::haproxy::HaproxyLoadBalancer;
use ocim_adapters::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use ocim_adapters::sites::SiteProbe;
use ocim_adapters::sites::http::HttpSiteProbe;
use ocim_domain::fragment::{FragmentInput, FragmentServer, compose_fragment, fragment_name};
use ocim_domain::ids::InstanceId;
use ocim_domain::names::RoutedNames;
use ocim_domain::port_error::Class;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use uuid::Uuid;

struct Bench {
    machine: Arc<PrivateSshd>,
    host: BalancerHost,
    balancer: HaproxyLoadBalancer,
}

impl Bench {
    async fn start() -> Self {
        let bench = Self::unprepared();
        bench.balancer.prepare_balancer(&bench.host).await.unwrap();
        bench
    }

    fn unprepared() -> Self {
        let machine = Arc::new(PrivateSshd::start());
        let host = machine.as_balancer();
        let balancer = HaproxyLoadBalancer::new(machine.playbooks(), machine.clone());
        Self { machine, host, balancer }
    }

    /// The process id of HAProxy's master.
    fn master(&self) -> String {
        let file = self.machine.home().join("ocim-balancer/run/haproxy.pid");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    fn port(&self) -> u16 {
        self.host.address.http_port
    }

    async fn apply(
        &self,
        name: &str,
        servers: &str,
    ) -> Result<Vec<String>, ocim_domain::port_error::PortError> {
        self.balancer.apply_fragment(&self.host, &fragment(name, servers)).await
    }

    fn answers(&self, name: &str) -> String {
        request(&mut self.connect(), &format!("{name}.localhost"), false).unwrap_or_default()
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port())).unwrap()
    }
}

fn fragment(name: &str, servers: &str) -> Fragment {
    Fragment {
        name: name.into(),
        configuration: format!(
            "backend be-{name}\n    cookie openedx-backend insert postonly indirect\n{servers}"
        ),
        map: format!("{}.Localhost be-{name}\n", name.to_uppercase()),
    }
}

fn server(name: &str, port: u16, options: &str) -> String {
    format!("    server {name} 127.0.0.1:{port} cookie {name} {options}\n")
}

/// A site whose pages say its name; it serves until the test ends.
fn start_site(name: &'static str) -> u16 {
    start_answering(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

/// A site that says that to whatever it is asked.
fn start_answering(answer: &str) -> u16 {
    let answer: Arc<str> = answer.into();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream, &answer));
        }
    });
    port
}

fn serve(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    for line in lines {
        if line?.is_empty() {
            stream.write_all(answer.as_bytes())?;
        }
    }
    Ok(())
}

/// One request; the body of a 200, or what went wrong. Connection closed: nothing more follows.
fn request(stream: &mut TcpStream, host: &str, keep: bool) -> Result<String, String> {
    let close = if keep { "" } else { "Connection: close\r\n" };
    let text = |error: std::io::Error| error.to_string();
    stream.set_read_timeout(Some(Duration::from_secs(2))).map_err(text)?;
    let head = format!("GET / HTTP/1.1\r\nHost: {host}:80\r\n{close}\r\n");
    stream.write_all(head.as_bytes()).map_err(text)?;
    let mut reader = BufReader::new(&mut *stream);
    let (mut status, mut length, mut closes) = (String::new(), 0, false);
    reader.read_line(&mut status).map_err(text)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).map_err(text)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| line.clone())?;
        }
        closes |= line == "connection: close";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).map_err(text)?;
    if !status.contains(" 200 ") {
        return Err(status);
    }
    if closes {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
    Ok(if closes && keep { format!("{body} closing") } else { body })
}

/// What visitors saw: when each request started, and the body or the failure.
type Seen = Arc<Mutex<Vec<(Instant, Result<String, String>)>>>;

/// Visitors on fresh and on kept connections; none of them tries anything twice.
struct Visitors {
    seen: Seen,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Visitors {
    fn start(port: u16) -> Self {
        let (seen, stop) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let pauses = [(false, 20), (true, 20), (false, 30), (true, 30), (true, 700), (true, 2500)];
        let threads = pauses.map(|(keeps, pause)| {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            std::thread::spawn(move || {
                visit(port, keeps, Duration::from_millis(pause), &seen, &stop)
            })
        });
        Self { seen, stop, threads: threads.into() }
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Waits until that many more requests were answered.
    fn wait_more(&self, more: usize) {
        let target = self.count() + more;
        wait_for("more requests", || self.count() >= target);
    }

    fn end(self) -> Vec<(Instant, Result<String, String>)> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn visit(port: u16, keeps: bool, pause: Duration, seen: &Seen, stop: &AtomicBool) {
    let mut kept: Option<TcpStream> = None;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let answer =
            match kept.take().map_or_else(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)), Ok) {
                Ok(mut stream) => {
                    let answer = request(&mut stream, "a.localhost", keeps);
                    if keeps && answer.as_ref().is_ok_and(|body| !body.ends_with(" closing")) {
                        kept = Some(stream);
                    }
                    answer.map(|body| body.trim_end_matches(" closing").to_owned())
                }
                Err(error) => Err(error.to_string()),
            };
        seen.lock().unwrap().push((started, answer));
        std::thread::sleep(pause);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_moves_without_a_lost_request() {
    let bench = Bench::start().await;
    let (old, new) = (start_site("old"), start_site("new"));
    bench.apply("a", &server("s-old", old, "")).await.unwrap();
    assert_eq!(bench.answers("a"), "old");

    let visitors = Visitors::start(bench.port());
    visitors.wait_more(100);
    let both = server("s-old", old, "check") + &server("s-new", new, "check disabled");
    bench.apply("a", &both).await.unwrap();
    visitors.wait_more(100);
    let (to, from) = (["s-new".to_owned()], ["s-old".to_owned()]);
    bench.balancer.switch_servers(&bench.host, "be-a", &to, &from).await.unwrap();
    let switched = Instant::now();
    bench.balancer.switch_servers(&bench.host, "be-a", &to, &from).await.unwrap();
    // Another instance's change reloads the configuration: it must not undo the switch.
    bench.apply("b", &server("s-b", new, "")).await.unwrap();
    visitors.wait_more(100);
    bench.apply("a", &server("s-new", new, "")).await.unwrap();
    visitors.wait_more(300);

    let seen = visitors.end();
    let failed: Vec<_> = seen.iter().filter(|(_, answer)| answer.is_err()).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), seen.len());
    let by = |name: &str| seen.iter().filter(|(_, answer)| answer.as_deref() == Ok(name)).count();
    assert!(by("old") >= 200 && by("new") >= 400, "{} {}", by("old"), by("new"));
    assert_eq!(by("old") + by("new"), seen.len());
    let late = seen.iter().filter(|(at, answer)| *at > switched && answer.as_deref() == Ok("old"));
    assert_eq!(late.count(), 0, "the old server got new requests after the switch");

    let count = bench.balancer.count_connections(&bench.host, "be-a", "s-old").await.unwrap();
    assert_eq!(count, 0);
    let unknown = ["s-other".to_owned()];
    assert!(bench.balancer.switch_servers(&bench.host, "be-a", &unknown, &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_fragment_harms_nobody() {
    let bench = Bench::start().await;
    let (one, two) = (start_site("one"), start_site("two"));
    bench.apply("a", &server("s1", one, "")).await.unwrap();
    bench.apply("b", &server("s1", one, "")).await.unwrap();

    let error = bench.apply("a", "    no-such-word\n").await.unwrap_err();
    assert_eq!(error.class, Class::Permanent);
    assert!(error.message.contains("[ALERT]"), "{error}");
    assert!(error.message.contains("unknown keyword 'no-such-word'"), "{error}");
    assert_eq!(bench.answers("a"), "one");
    let shown = bench.balancer.read_fragment(&bench.host, "a").await.unwrap().unwrap();
    assert_eq!(shown, fragment("a", &server("s1", one, "")));

    // A fragment cannot take another's backend away.
    let mut thief = fragment("c", &server("s1", two, ""));
    thief.configuration = thief.configuration.replace("be-c", "be-b");
    let error = bench.balancer.apply_fragment(&bench.host, &thief).await.unwrap_err();
    assert!(error.message.contains("has the same name"), "{error}");

    // One that became invalid where it lies does not stop another's change, and goes on serving.
    let lies = bench.machine.home().join("ocim-balancer/fragments/a.json");
    let text = std::fs::read_to_string(&lies).unwrap();
    std::fs::write(&lies, text.replace("backend be-a", "backend be-b")).unwrap();
    let words = bench.apply("b", &server("s1", two, "")).await.unwrap();
    assert!(words.iter().any(|line| line.contains("fragment a is invalid")), "{words:?}");
    assert_eq!((bench.answers("a"), bench.answers("b")), ("one".into(), "two".into()));

    // Both empty: gone. Its names are nobody's then.
    let gone = Fragment { name: "b".into(), ..Fragment::default() };
    bench.balancer.apply_fragment(&bench.host, &gone).await.unwrap();
    assert_eq!(bench.balancer.read_fragment(&bench.host, "b").await.unwrap(), None);
    let error = request(&mut bench.connect(), "b.localhost", false).unwrap_err();
    assert!(error.contains("503"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_reached_by_its_own_names_alone() {
    let bench = Bench::start().await;
    let (hbc, below) = (start_site("hbc"), start_site("below"));
    let site = |name: &str, domains: &[&str], port| Fragment {
        name: name.into(),
        configuration: format!("backend be-{name}\n{}", server("s", port, "")),
        map: domains.iter().map(|domain| format!("{domain} be-{name}\n")).collect(),
    };
    let names = ["hbc.localhost", "Studio.hbc.localhost", "probe-2.inst_7"];
    let first = site("a", &names, hbc);
    bench.balancer.apply_fragment(&bench.host, &first).await.unwrap();
    let second = site("b", &["below.hbc.localhost"], below);
    bench.balancer.apply_fragment(&bench.host, &second).await.unwrap();

    let ask = |host: &str| request(&mut bench.connect(), host, false);
    for host in ["hbc.localhost", "HBC.Localhost", "hbc.localhost.", "studio.hbc.localhost"] {
        assert_eq!(ask(host).as_deref(), Ok("hbc"), "{host}");
    }
    assert_eq!(ask("probe-2.inst_7").as_deref(), Ok("hbc"));
    assert_eq!(ask("below.hbc.localhost").as_deref(), Ok("below"));
    for host in [
        "hbc.localhost.au",
        "www.hbc.localhost",
        "www.hbc.localhost.example.com",
        "xhbc.localhost",
        "localhost",
        "hbc",
        "hbc.localhost,example.com",
        "example.com, hbc.localhost",
        "inst_7",
        "*.hbc.localhost",
    ] {
        let answer = ask(host).unwrap_err();
        assert!(answer.contains(" 503 "), "{host}: {answer}");
    }

    // A name of one site can't become another's, in whatever case it is written.
    let thief = site("c", &["mine.localhost", "STUDIO.hbc.localhost"], below);
    let error = bench.balancer.apply_fragment(&bench.host, &thief).await.unwrap_err();
    assert_eq!(error.class, Class::Permanent);
    assert!(error.message.contains("studio.hbc.localhost is a name of fragment a"), "{error}");
    assert_eq!(ask("studio.hbc.localhost").as_deref(), Ok("hbc"));
    assert!(ask("mine.localhost").is_err(), "all or nothing");

    // All names of one fragment are replaced at once; what it gave up is free.
    let fewer = site("a", &["hbc.localhost"], hbc);
    bench.balancer.apply_fragment(&bench.host, &fewer).await.unwrap();
    assert!(ask("studio.hbc.localhost").is_err());
    bench.balancer.apply_fragment(&bench.host, &thief).await.unwrap();
    assert_eq!(ask("studio.hbc.localhost").as_deref(), Ok("below"));
    assert_eq!(ask("hbc.localhost").as_deref(), Ok("hbc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_changes_its_names_leaves_none_behind() {
    let bench = Bench::start().await;
    let (first, second) = (start_site("first"), start_site("second"));
    let id = InstanceId(Uuid::from_u128(7));
    let fragment = |number: u16, port, domains: &[&str], redirects: &[&str]| {
        let listed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let name = format!("appserver-{number}");
        let ip = Ipv4Addr::LOCALHOST.into();
        let input = FragmentInput {
            names: RoutedNames {
                site: domains[0].to_owned(),
                domains: listed(domains),
                redirects: listed(redirects),
                redirect_target: "site.localhost".to_owned(),
                pages: vec![],
            },
            owner: id.to_string(),
            postfix: "ab12".to_owned(),
            auth_token: "dXNlcjpwYXNz".to_owned(),
            servers: vec![FragmentServer { cookie: name.clone(), name, ip, port, disabled: false }],
            ..FragmentInput::default()
        };
        let text = compose_fragment(&input).unwrap();
        let name = fragment_name("ocim-", "ab12", &input.owner);
        Fragment { name, configuration: text.configuration, map: text.map }
    };
    let ask = |host: &str| request(&mut bench.connect(), host, false);

    let ours = ["site.localhost", "studio.site.localhost"];
    let old =
        fragment(1, first, &["old.example.org", ours[0], ours[1]], &["studio-site.localhost"]);
    bench.balancer.apply_fragment(&bench.host, &old).await.unwrap();
    for host in ["old.example.org", ours[0], ours[1]] {
        assert_eq!(ask(host).as_deref(), Ok("first"), "{host}");
    }
    assert!(ask("studio-site.localhost").unwrap_err().contains(" 301 "));

    let new = fragment(2, second, &["tiny.example.org", ours[0], ours[1]], &[]);
    bench.balancer.apply_fragment(&bench.host, &new).await.unwrap();
    for host in ["tiny.example.org", ours[0], ours[1]] {
        assert_eq!(ask(host).as_deref(), Ok("second"), "{host}");
    }
    for host in ["old.example.org", "studio-site.localhost"] {
        assert!(ask(host).unwrap_err().contains(" 503 "), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balancer_comes_up_when_its_machine_does() {
    let bench = Bench::start().await;
    let site = start_site("site");
    bench.apply("a", &server("s1", site, "")).await.unwrap();
    let pid_file = bench.machine.home().join("ocim-balancer/run/haproxy.pid");
    let master = || std::fs::read_to_string(&pid_file).unwrap().trim().to_owned();
    let before = master();
    bench.apply("a", &server("s1", site, "")).await.unwrap();
    bench.balancer.prepare_balancer(&bench.host).await.unwrap();
    assert_eq!(master(), before, "what is there already is left alone");

    crate::private_sshd::run("kill", &[&before]);
    wait_for("the end of HAProxy", || TcpStream::connect(("127.0.0.1", bench.port())).is_err());
    let boot = bench.machine.home().join("boot.d/50-haproxy");
    crate::private_sshd::run(boot.to_str().unwrap(), &[]);
    assert_eq!(bench.answers("a"), "site");
    assert_ne!(master(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_prepared_says_so_and_is_prepared_at_its_first_use() {
    let bench = Bench::unprepared();
    let look = async || bench.balancer.read_balancer(&bench.host).await.unwrap();
    assert_eq!(look().await, BalancerState::Unprepared);
    let to = ["s1".to_owned()];
    let error = bench.balancer.switch_servers(&bench.host, "be-a", &to, &[]).await.unwrap_err();
    assert_eq!(error.class, Class::Permanent);
    assert!(error.message.contains("`ocim balancer prepare`"), "{error}");

    let site = start_site("site");
    bench.apply("a", &server("s1", site, "")).await.unwrap();
    assert_eq!(bench.answers("a"), "site");
    let digest = fragment("a", &server("s1", site, "")).digest().unwrap();
    let fragments = [("a".to_owned(), digest)].into();
    assert_eq!(look().await, BalancerState::Prepared { is_running: true, fragments });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_tells_of_a_killed_haproxy_and_of_what_was_changed_and_it_is_started_again() {
    let bench = Bench::start().await;
    let site = start_site("site");
    for name in ["a", "b", "c"] {
        bench.apply(name, &server("s1", site, "")).await.unwrap();
    }
    let look = async || match bench.balancer.read_balancer(&bench.host).await.unwrap() {
        BalancerState::Prepared { is_running, fragments } => (is_running, fragments),
        BalancerState::Unprepared => panic!("it is prepared"),
    };
    let (is_running, all) = look().await;
    assert!(is_running && all.len() == 3, "{all:?}");

    let folder = bench.machine.home().join("ocim-balancer");
    let lies = folder.join("fragments/a.json");
    let text = std::fs::read_to_string(&lies).unwrap();
    std::fs::write(&lies, text.replace("postonly", "httponly")).unwrap();
    let copies = folder.join("live/fragments.json");
    let text = std::fs::read_to_string(&copies).unwrap();
    let mut left: serde_json::Value = serde_json::from_str(&text).unwrap();
    left.as_object_mut().unwrap().remove("b").unwrap();
    std::fs::write(&copies, left.to_string()).unwrap();
    std::fs::remove_file(folder.join("fragments/c.json")).unwrap();
    let (is_running, seen) = look().await;
    assert!(is_running);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        assert_ne!(seen[name], all[name], "{name}");
    }
    let before = bench.master();
    crate::private_sshd::run("kill", &["-9", &before]);
    wait_for("the end of HAProxy", || TcpStream::connect(("127.0.0.1", bench.port())).is_err());
    assert!(!look().await.0);
    bench.balancer.prepare_balancer(&bench.host).await.unwrap();
    assert_ne!(bench.master(), before);
    for name in ["a", "b"] {
        bench.apply(name, &server("s1", site, "")).await.unwrap();
    }
    let gone = Fragment { name: "c".into(), ..Fragment::default() };
    bench.balancer.apply_fragment(&bench.host, &gone).await.unwrap();
    let (is_running, mended) = look().await;
    let expected: Vec<_> = all.into_iter().filter(|(name, _)| name != "c").collect();
    assert_eq!((is_running, mended.into_iter().collect::<Vec<_>>()), (true, expected));
    assert_eq!((bench.answers("a"), bench.answers("b")), ("site".into(), "site".into()));
}

/// One request on a connection of its own; the whole answer.
fn exchange(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_stays_where_the_first_post_went_and_a_former_name_leads_to_the_site() {
    let bench = Bench::start().await;
    let sites = [start_site("one"), start_site("two")];
    let servers = sites.iter().zip(1..).map(|(port, number)| FragmentServer {
        name: format!("appserver-{number}"),
        cookie: format!("appserver-{number}"),
        ip: Ipv4Addr::LOCALHOST.into(),
        port: *port,
        disabled: false,
    });
    let input = FragmentInput {
        names: RoutedNames {
            site: "site.localhost".to_owned(),
            domains: vec!["site.localhost".to_owned()],
            redirects: vec!["studio-site.localhost".to_owned()],
            redirect_target: "site.localhost".to_owned(),
            pages: vec![],
        },
        owner: InstanceId(Uuid::from_u128(7)).to_string(),
        postfix: "ab12".to_owned(),
        auth_token: "dXNlcjpwYXNz".to_owned(),
        servers: servers.collect(),
        ..FragmentInput::default()
    };
    let text = compose_fragment(&input).unwrap();
    let name = fragment_name("ocim-", "ab12", &input.owner);
    let fragment = Fragment { name, configuration: text.configuration, map: text.map };
    bench.balancer.apply_fragment(&bench.host, &fragment).await.unwrap();

    let site = "HTTP/1.1\r\nHost: site.localhost";
    let first = exchange(bench.port(), &format!("GET / {site}")).to_lowercase();
    assert!(!first.contains("set-cookie"), "reading ties nobody: {first}");
    let posted = exchange(bench.port(), &format!("POST /login {site}\r\nContent-Length: 0"));
    let cookie = posted.lines().find_map(|line| line.split_once("openedx-backend="));
    let cookie = cookie.unwrap_or_else(|| panic!("{posted}")).1.split(';').next().unwrap();
    let served = posted.trim_end().rsplit('\n').next().unwrap();
    for _ in 0..6 {
        let head = format!("GET / {site}\r\nCookie: openedx-backend={cookie}");
        let answer = exchange(bench.port(), &head);
        assert!(answer.ends_with(served), "{cookie}: {answer}");
    }
    let other = if cookie == "appserver-1" { "appserver-2" } else { "appserver-1" };
    let head = format!("GET / {site}\r\nCookie: openedx-backend={other}");
    assert!(!exchange(bench.port(), &head).ends_with(served), "{served}");

    let head = "GET /course?id=1 HTTP/1.1\r\nHost: studio-site.localhost";
    let answer = exchange(bench.port(), head);
    let line = answer.lines().find(|line| line.to_lowercase().starts_with("location:"));
    let line = line.unwrap_or_else(|| panic!("{answer}"));
    assert!(answer.contains(" 301 "), "{answer}");
    assert!(line.ends_with(" http://studio.site.localhost/course?id=1"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_nobody_serves_shows_the_preliminary_page() {
    let (bench, page) = (Bench::start().await, start_site("soon"));
    let input = FragmentInput {
        names: RoutedNames {
            site: "site.localhost".to_owned(),
            domains: vec!["site.localhost".to_owned()],
            redirects: vec![],
            redirect_target: "site.localhost".to_owned(),
            pages: vec![],
        },
        owner: InstanceId(Uuid::from_u128(7)).to_string(),
        auth_token: "dXNlcjpwYXNz".to_owned(),
        preliminary_page_ip: Some("127.0.0.1".to_owned()),
        ..FragmentInput::default()
    };
    let text = compose_fragment(&input).unwrap();
    let line = text.configuration.lines().find(|line| line.contains("server ")).unwrap();
    assert_eq!(line.trim(), "server preliminary-page 127.0.0.1:80");
    // Only root may listen there.
    let configuration = text.configuration.replace("127.0.0.1:80", &format!("127.0.0.1:{page}"));
    let fragment = Fragment { name: "a".to_owned(), configuration, map: text.map };
    bench.balancer.apply_fragment(&bench.host, &fragment).await.unwrap();
    assert_eq!(request(&mut bench.connect(), "site.localhost", false).as_deref(), Ok("soon"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_told_by_which_way_an_answer_came_and_no_site_can_forge_it() {
    let bench = Bench::start().await;
    let forger =
        start_answering("HTTP/1.1 200 OK\r\nX-Ocim-Route: be-b/s\r\nContent-Length: 0\r\n\r\n");
    let honest = start_site("honest");
    for (name, port) in [("a", forger), ("b", honest)] {
        bench.apply(name, &server("s", port, "")).await.unwrap();
    }
    let redirect = Fragment {
        name: "c".into(),
        configuration:
            "backend be-c\n    http-request redirect code 301 prefix http://x.localhost\n".into(),
        map: "c.localhost be-c\n".into(),
    };
    bench.balancer.apply_fragment(&bench.host, &redirect).await.unwrap();
    bench.apply("d", "").await.unwrap();
    let probe = HttpSiteProbe::new().unwrap();
    let to = (Ipv4Addr::LOCALHOST, bench.port()).into();
    for (name, status, route) in [
        ("a", 200, "be-a/s"),
        ("b", 200, "be-b/s"),
        ("c", 301, "be-c/"),
        ("d", 503, "be-d/"),
        ("nobody", 503, "unknown-host/"),
    ] {
        let host = format!("{name}.localhost");
        let asked = probe.request_site("GET", to, &host, "/heartbeat", Duration::from_secs(5));
        let answer = asked.await.unwrap();
        assert_eq!((answer.status, answer.route.as_deref()), (status, Some(route)), "{name}");
    }
    let answer = exchange(bench.port(), "GET / HTTP/1.1\r\nHost: b.localhost").to_lowercase();
    assert!(!answer.contains("x-ocim-route"), "nobody asked: {answer}");
}
