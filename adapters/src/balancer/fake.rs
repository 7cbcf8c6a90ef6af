//! Balancers in memory: they keep fragments, refuse those with a certain word, and switch at once.

use crate::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A configuration with this word is refused.
pub const INVALID_WORD: &str = "no-such-keyword";

/// A configuration with this word is taken with a warning.
pub const WARNED_WORD: &str = "outdated-keyword";

/// Any number of balancer hosts.
#[derive(Debug, Default)]
pub struct FakeLoadBalancer {
    /// What is to fail.
    pub faults: Faults,
    hosts: Mutex<BTreeMap<String, Host>>,
}

#[derive(Debug, Default, Clone)]
struct Host {
    fragments: BTreeMap<String, Fragment>,
    /// By backend and server.
    servers: BTreeMap<(String, String), Server>,
    is_unprepared: bool,
    is_stopped: bool,
    /// Where visitors reach it.
    address: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Server {
    takes_requests: bool,
    connections: u64,
    address: Option<SocketAddr>,
}

impl Host {
    fn apply(&mut self, fragment: &Fragment) -> Result<Vec<String>, PortError> {
        let find = |word| find_line(fragment, word);
        if let Some(place) = find(INVALID_WORD) {
            return Err(PortError::permanent(
                ErrorCode::BalancerRefusedConfiguration,
                format!(
                    "[ALERT] (1) : config : {place} : unknown keyword '{INVALID_WORD}' in 'backend' section\n\
                 [ALERT] (1) : config : Error(s) found in configuration file : {}",
                    fragment.name
                ),
            ));
        }
        for (name, other) in self.fragments.iter().filter(|(name, _)| **name != fragment.name) {
            let mut domains = list_domains(other);
            if let Some(domain) = domains.find(|it| list_domains(fragment).any(|own| own == *it)) {
                let own = &fragment.name;
                return Err(PortError::permanent(
                    ErrorCode::BalancerRefusedConfiguration,
                    format!("{domain} is a name of fragment {name}, and of fragment {own}"),
                ));
            }
        }
        let warning = find(WARNED_WORD)
            .map(|place| format!("[WARNING] (1) : config : {place} : '{WARNED_WORD}' is outdated"));
        let old = self.fragments.remove(&fragment.name);
        if *fragment != (Fragment { name: fragment.name.clone(), ..Fragment::default() }) {
            self.fragments.insert(fragment.name.clone(), fragment.clone());
        }
        // An unchanged fragment needs no reload, which would undo what was switched since.
        if old.as_ref() != self.fragments.get(&fragment.name) {
            self.reload();
        }
        Ok(warning.into_iter().collect())
    }

    /// Every server is in the state that the configuration gives it.
    fn reload(&mut self) {
        let mut servers = BTreeMap::new();
        for (key, address, is_disabled) in self.fragments.values().flat_map(list_servers) {
            let connections = self.servers.get(&key).map_or(0, |server| server.connections);
            servers.insert(key, Server { takes_requests: !is_disabled, connections, address });
        }
        self.servers = servers;
    }

    fn server(&mut self, backend: &str, server: &str) -> Result<&mut Server, PortError> {
        let key = (backend.to_owned(), server.to_owned());
        self.servers.get_mut(&key).ok_or_else(|| {
            PortError::permanent(
                ErrorCode::BalancerRefusedConfiguration,
                format!("No such server: {backend}/{server}"),
            )
        })
    }

    /// The fragment that the domain stands in, and the backend that it leads to.
    fn find_backend(&self, domain: &str) -> Option<(&Fragment, &str)> {
        self.fragments.values().find_map(|fragment| {
            let mut pairs = fragment.map.lines().filter_map(|line| line.trim().split_once(' '));
            let (_, backend) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(domain))?;
            Some((fragment, backend.trim()))
        })
    }

    /// The servers that take requests for the domain.
    fn list_serving(&self, domain: &str) -> Vec<(&str, &Server)> {
        if self.is_stopped || self.is_unprepared {
            return Vec::new();
        }
        let Some((_, backend)) = self.find_backend(domain) else { return Vec::new() };
        if self.answers_itself(domain) {
            return Vec::new();
        }
        let serving =
            self.servers.iter().filter(|((of, _), server)| of == backend && server.takes_requests);
        serving.map(|((_, name), server)| (name.as_str(), server)).collect()
    }

    /// By which backend and server a request for the domain goes, as HAProxy tells it.
    fn name_route(&self, domain: &str) -> Option<String> {
        let (_, backend) = self.find_backend(domain)?;
        let server = self.list_serving(domain).first().map_or("", |(name, _)| *name);
        Some(format!("{backend}/{server}"))
    }

    fn is_redirected(&self, domain: &str) -> bool {
        self.has_rule(domain, "http-request redirect") && !self.answers_itself(domain)
    }

    /// Whether it answers with a page of its own, as for a site under maintenance.
    fn answers_itself(&self, domain: &str) -> bool {
        self.has_rule(domain, "http-request return")
    }

    fn has_rule(&self, domain: &str, rule: &str) -> bool {
        let Some((fragment, backend)) = self.find_backend(domain) else { return false };
        let head = format!("backend {backend}");
        let lines = fragment.configuration.lines().skip_while(|line| *line != head).skip(1);
        let mut block = lines.take_while(|line| line.starts_with(' '));
        block.any(|line| line.trim_start().starts_with(rule))
    }
}

/// The names that lead to a fragment's backends.
fn list_domains(fragment: &Fragment) -> impl Iterator<Item = String> {
    let names = fragment.map.lines().filter_map(|line| line.split_whitespace().next());
    names.map(str::to_lowercase)
}

/// Where HAProxy would say that it met the word.
fn find_line(fragment: &Fragment, word: &str) -> Option<String> {
    let line = fragment.configuration.lines().position(|line| line.contains(word))?;
    Some(format!("parsing [{}:{}]", fragment.name, line + 1))
}

/// Every server of the fragment, by backend and name, its address, and whether it starts disabled.
fn list_servers(fragment: &Fragment) -> Vec<((String, String), Option<SocketAddr>, bool)> {
    let mut backend = "";
    let mut servers = Vec::new();
    for line in fragment.configuration.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["backend", name, ..] => backend = *name,
            ["server", name, options @ ..] => {
                let key = (backend.to_owned(), (*name).to_owned());
                let address = options.first().and_then(|address| address.parse().ok());
                servers.push((key, address, options.contains(&"disabled")));
            }
            _ => {}
        }
    }
    servers
}

impl FakeLoadBalancer {
    /// Balancers like these are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), hosts: Mutex::new(self.lock().clone()) }
    }

    /// The names of the servers that take requests for `domain` on the balancer `host` (its DNS
    /// name), sorted; empty where it would answer 503.
    pub fn serving(&self, host: &str, domain: &str) -> Vec<String> {
        let hosts = self.lock();
        let serving = hosts.get(host).map(|host| host.list_serving(domain)).unwrap_or_default();
        serving.into_iter().map(|(name, _)| name.to_owned()).collect()
    }

    /// Where the balancer `host` would send a request for `domain`.
    pub fn find_route(&self, host: &str, domain: &str) -> Option<SocketAddr> {
        let hosts = self.lock();
        let serving = hosts.get(host)?.list_serving(domain);
        serving.into_iter().find_map(|(_, server)| server.address)
    }

    /// By which backend and server a request for `domain` goes, `backend/server`, on the balancer that
    /// knows the name; none does where there is nothing.
    pub fn name_route(&self, domain: &str) -> Option<String> {
        self.lock().values().find_map(|host| host.name_route(domain))
    }

    /// By which way the balancer at that address answers a request for `domain` itself, with status
    /// 503, as for a site under maintenance; `None` where it hands it on.
    pub fn find_page(&self, at: SocketAddr, domain: &str) -> Option<String> {
        let hosts = self.lock();
        let mut there = hosts.values().filter(|host| host.address == Some(at));
        there.find(|host| host.answers_itself(domain))?.name_route(domain)
    }

    /// Whether the balancer `host` sends those who ask for `domain` to another name.
    pub fn is_redirected(&self, host: &str, domain: &str) -> bool {
        self.lock().get(host).is_some_and(|host| host.is_redirected(domain))
    }

    /// All fragments that the balancer `host` has, by name.
    pub fn fragments(&self, host: &str) -> BTreeMap<String, Fragment> {
        let hosts = self.lock();
        hosts.get(host).map(|host| host.fragments.clone()).unwrap_or_default()
    }

    /// HAProxy ends, as if it was killed.
    pub fn stop_haproxy(&self, host: &str) {
        self.lock().entry(host.to_owned()).or_default().is_stopped = true;
    }

    /// Everything of the balancer's is gone, as on a host that is new.
    pub fn unprepare(&self, host: &str) {
        self.lock().insert(host.to_owned(), Host { is_unprepared: true, ..Host::default() });
    }

    /// The fragment is changed there behind everybody's back; an empty one is removed.
    pub fn tamper(&self, host: &str, fragment: &Fragment) {
        let hosts = &mut *self.lock();
        let host = hosts.entry(host.to_owned()).or_default();
        host.fragments.remove(&fragment.name);
        if fragment.digest().is_some() {
            host.fragments.insert(fragment.name.clone(), fragment.clone());
        }
        host.reload();
    }

    /// Gives a server connections. Each count of a server that takes no more requests finds one
    /// less.
    ///
    /// # Errors
    /// When the balancer has no such server.
    pub fn set_connections(
        &self,
        host: &str,
        backend: &str,
        server: &str,
        connections: u64,
    ) -> Result<(), PortError> {
        let hosts = &mut *self.lock();
        hosts.entry(host.to_owned()).or_default().server(backend, server)?.connections =
            connections;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_host<T>(&self, host: &BalancerHost, act: impl FnOnce(&mut Host) -> T) -> T {
        act(self.lock().entry(host.domain.clone()).or_default())
    }
}

#[async_trait]
impl LoadBalancer for FakeLoadBalancer {
    async fn read_balancer(&self, host: &BalancerHost) -> Result<BalancerState, PortError> {
        self.faults.before("read_balancer").await?;
        let state = self.with_host(host, |host| {
            if host.is_unprepared {
                return BalancerState::Unprepared;
            }
            let digests = host
                .fragments
                .values()
                .filter_map(|fragment| Some((fragment.name.clone(), fragment.digest()?)));
            BalancerState::Prepared { is_running: !host.is_stopped, fragments: digests.collect() }
        });
        self.faults.after("read_balancer")?;
        Ok(state)
    }

    async fn prepare_balancer(&self, host: &BalancerHost) -> Result<(), PortError> {
        self.faults.before("prepare_balancer").await?;
        self.with_host(host, |host| (host.is_unprepared, host.is_stopped) = (false, false));
        self.faults.after("prepare_balancer")
    }

    async fn apply_fragment(
        &self,
        host: &BalancerHost,
        fragment: &Fragment,
    ) -> Result<Vec<String>, PortError> {
        self.faults.before("apply_fragment").await?;
        let address = SocketAddr::new(host.address.ip, host.address.http_port);
        let warnings = self.with_host(host, |host| {
            (host.is_unprepared, host.address) = (false, Some(address));
            host.apply(fragment)
        })?;
        self.faults.after("apply_fragment")?;
        Ok(warnings)
    }

    async fn read_fragment(
        &self,
        host: &BalancerHost,
        name: &str,
    ) -> Result<Option<Fragment>, PortError> {
        self.faults.before("read_fragment").await?;
        let fragment = self.with_host(host, |host| host.fragments.get(name).cloned());
        self.faults.after("read_fragment")?;
        Ok(fragment)
    }

    async fn switch_servers(
        &self,
        host: &BalancerHost,
        backend: &str,
        to: &[String],
        from: &[String],
    ) -> Result<(), PortError> {
        self.faults.before("switch_servers").await?;
        self.with_host(host, |host| {
            to.iter().try_for_each(|server| host.server(backend, server).map(|_| ()))?;
            for (servers, takes_requests) in [(to, true), (from, false)] {
                for server in servers {
                    // As with HAProxy's program, one that is to leave may have left.
                    if let Ok(server) = host.server(backend, server) {
                        server.takes_requests = takes_requests;
                    }
                }
            }
            Ok(())
        })?;
        self.faults.after("switch_servers")
    }

    async fn count_connections(
        &self,
        host: &BalancerHost,
        backend: &str,
        server: &str,
    ) -> Result<u64, PortError> {
        self.faults.before("count_connections").await?;
        let count = self.with_host(host, |host| {
            // As HAProxy: a server that left the configuration has nothing any more.
            let Ok(server) = host.server(backend, server) else { return 0 };
            let count = server.connections;
            if !server.takes_requests {
                server.connections = count.saturating_sub(1);
            }
            count
        });
        self.faults.after("count_connections")?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Address;
    use crate::faults::Fault;
    use ocim_domain::port_error::Class;
    use std::net::{IpAddr, Ipv4Addr};

    fn host() -> BalancerHost {
        let address = Address {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ssh_port: 2222,
            http_port: 8080,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: false,
        };
        let domain = "haproxy.example.com".to_owned();
        BalancerHost { domain, address, host_keys: vec![], also_listens: None, https_port: None }
    }

    fn fragment(servers: &[&str]) -> Fragment {
        let lines = servers.iter().map(|server| format!("    server {server}\n"));
        Fragment {
            name: "ocim-site".to_owned(),
            configuration: format!("backend be-site\n{}", lines.collect::<String>()),
            map: "lms.example.com be-site\nstudio.example.com be-site\n".to_owned(),
        }
    }

    const TWO: [&str; 2] = ["one 127.0.0.2:80 check", "two 127.0.0.3:80 check disabled"];

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_switch_lasts_until_the_fragment_changes() {
        let fake = FakeLoadBalancer::default();
        let serving = || fake.serving("haproxy.example.com", "LMS.example.com");
        assert_eq!(serving(), names(&[]));
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        assert_eq!(serving(), ["one"]);

        let (to, from) = (names(&["two"]), names(&["one"]));
        fake.switch_servers(&host(), "be-site", &to, &from).await.unwrap();
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        assert_eq!(serving(), ["two"]);
        fake.apply_fragment(&host(), &fragment(&TWO[..1])).await.unwrap();
        assert_eq!(serving(), ["one"]);
    }

    #[tokio::test]
    async fn an_invalid_fragment_changes_nothing_and_is_named_with_its_line() {
        let fake = FakeLoadBalancer::default();
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        let invalid = fragment(&["one 127.0.0.2:80", INVALID_WORD]);
        let error = fake.apply_fragment(&host(), &invalid).await.unwrap_err();
        assert_eq!(error.class, Class::Permanent);
        assert!(error.message.contains("parsing [ocim-site:3]"), "{error}");
        let kept = fake.read_fragment(&host(), "ocim-site").await.unwrap();
        assert_eq!(kept, Some(fragment(&TWO)));

        let warnings = fake.apply_fragment(&host(), &fragment(&[WARNED_WORD])).await.unwrap();
        assert!(warnings[0].contains("parsing [ocim-site:2]"), "{warnings:?}");
    }

    #[tokio::test]
    async fn a_name_of_another_fragment_is_refused() {
        let fake = FakeLoadBalancer::default();
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        let thief = Fragment {
            name: "ocim-thief".to_owned(),
            configuration: "backend be-thief\n".to_owned(),
            map: "Studio.example.com be-thief\n".to_owned(),
        };
        let error = fake.apply_fragment(&host(), &thief).await.unwrap_err();
        assert_eq!(error.class, Class::Permanent);
        assert!(error.message.contains("studio.example.com is a name of fragment ocim-site"));
        assert_eq!(fake.fragments("haproxy.example.com").len(), 1);
    }

    #[tokio::test]
    async fn an_empty_fragment_removes_and_may_do_so_again() {
        let fake = FakeLoadBalancer::default();
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        let empty = Fragment { name: "ocim-site".to_owned(), ..Fragment::default() };
        for _ in 0..2 {
            assert!(fake.apply_fragment(&host(), &empty).await.unwrap().is_empty());
            assert_eq!(fake.read_fragment(&host(), "ocim-site").await.unwrap(), None);
        }
        assert_eq!(fake.serving("haproxy.example.com", "lms.example.com"), names(&[]));
    }

    #[tokio::test]
    async fn connections_drain_once_a_server_takes_no_more_requests() {
        let fake = FakeLoadBalancer::default();
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        fake.set_connections("haproxy.example.com", "be-site", "one", 2).unwrap();
        let count = async || fake.count_connections(&host(), "be-site", "one").await.unwrap();
        assert_eq!((count().await, count().await), (2, 2));
        fake.switch_servers(&host(), "be-site", &[], &names(&["one"])).await.unwrap();
        assert_eq!((count().await, count().await, count().await, count().await), (2, 1, 0, 0));
    }

    #[tokio::test]
    async fn a_switch_with_an_unknown_server_does_nothing_and_a_lost_reply_did_all() {
        let fake = FakeLoadBalancer::default();
        let serving = || fake.serving("haproxy.example.com", "studio.example.com");
        fake.apply_fragment(&host(), &fragment(&TWO)).await.unwrap();
        let (to, from) = (names(&["two", "three"]), names(&["one"]));
        let error = fake.switch_servers(&host(), "be-site", &to, &from).await.unwrap_err();
        assert_eq!((error.class, serving()), (Class::Permanent, names(&["one"])));

        fake.faults.fail("switch_servers", 2, Fault::After(Class::Ambiguous));
        let error = fake.switch_servers(&host(), "be-site", &to[..1], &from).await.unwrap_err();
        assert_eq!((error.class, serving()), (Class::Ambiguous, names(&["two"])));
    }
}
