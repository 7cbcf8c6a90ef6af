//! One instance's part of a balancer's HAProxy configuration (infra §6.1–6.4).

mod maintenance_page;

use crate::Timestamp;
use crate::configuration::secrets::HttpAuth;
use crate::configuration::{ConfigurationError, open};
use crate::ids::InstanceId;
use crate::instance::Maintenance;
use crate::names::RoutedNames;
use crate::settings::InstanceSettings;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// The cookie of who came by a test link; the balancer's base configuration knows it, too.
pub const TEST_COOKIE: &str = "ocim-test-link";
/// What the path of a test link begins with; likewise.
pub const TEST_PATH: &str = "/.ocim-test-link/";

/// What one instance contributes to its balancer.
#[derive(Clone, Default)]
pub struct FragmentInput {
    /// By which names visitors reach it.
    pub names: RoutedNames,
    /// What the fragment and its backends are called after: the instance's id, which never changes.
    pub owner: String,
    /// The balancer's `fragment_name_postfix`.
    pub postfix: String,
    /// [`HttpAuth::token`] of the instance. Secret.
    pub auth_token: String,
    /// Who serves the site, newest first.
    pub servers: Vec<FragmentServer>,
    /// `PRELIMINARY_PAGE_SERVER_IP`: who answers while no server does.
    pub preliminary_page_ip: Option<String>,
    /// What visitors get instead of the site, whoever serves it.
    pub maintenance: Option<Maintenance>,
    /// Ways in for single browsers, each to one server.
    pub tests: Vec<TestInput>,
    /// A second way in, by which a server is proved before it gets visitors.
    pub probe: Option<ProbeInput>,
}

impl FragmentInput {
    /// An instance under these names, without servers: with no more, its fragment is empty.
    /// `postfix` is the balancer's.
    ///
    /// # Errors
    /// When the site's credentials can't be derived.
    pub fn new(
        settings: &InstanceSettings,
        names: RoutedNames,
        id: InstanceId,
        postfix: &str,
    ) -> Result<Self, ConfigurationError> {
        let master = open(&settings.secret_key_b64encoded, "secret_key_b64encoded")?;
        Ok(Self {
            names,
            owner: id.to_string(),
            postfix: postfix.to_owned(),
            auth_token: HttpAuth::derive(master)?.token(),
            ..Self::default()
        })
    }
}

impl std::fmt::Debug for FragmentInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FragmentInput")
            .field("owner", &self.owner)
            .field("servers", &self.servers)
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

/// One server line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentServer {
    /// What HAProxy calls it.
    pub name: String,
    /// Where its web server listens.
    pub ip: IpAddr,
    /// See `ip`.
    pub port: u16,
    /// Value of the cookie that keeps a visitor with it.
    pub cookie: String,
    /// Takes no visitors until HAProxy is told to.
    pub disabled: bool,
}

/// A backend beside the real one, with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeInput {
    /// The host name that leads to it.
    pub host: String,
    /// The host name that its servers are told.
    pub site: String,
    /// Who serves it.
    pub servers: Vec<FragmentServer>,
}

/// A way in for whoever came by a test link.
#[derive(Clone, PartialEq, Eq)]
pub struct TestInput {
    /// The host names under which it leads there.
    pub hosts: Vec<String>,
    /// What stands in the link and in the cookie. Secret.
    pub secret: String,
    /// Until when.
    pub until: Timestamp,
    /// Where it leads.
    pub server: FragmentServer,
}

impl std::fmt::Debug for TestInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestInput").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The two texts of a fragment; both empty when the instance has nothing to serve.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FragmentText {
    /// `backend …` blocks. Holds the site's credentials.
    pub configuration: String,
    /// `domain backend` lines.
    pub map: String,
}

impl std::fmt::Debug for FragmentText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FragmentText").field("map", &self.map).finish_non_exhaustive()
    }
}

/// A text that could break out of its place in HAProxy's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {what} must not go into HAProxy's configuration: it is empty or has other characters \
     than {allowed}"
)]
pub struct UnsafeText {
    /// What the text is.
    pub what: &'static str,
    /// What it may hold.
    pub allowed: &'static str,
}

/// The file name of an instance's fragment: unique per manager and instance.
#[must_use]
pub fn fragment_name(prefix: &str, postfix: &str, owner: &str) -> String {
    format!("{prefix}{postfix}-{owner}")
}

/// The name of the backend that serves an instance.
#[must_use]
pub fn backend_name(owner: &str, postfix: &str) -> String {
    format!("be-{owner}{postfix}")
}

/// The name of the backend that redirects names of an older form (`studio-…`) to the site's own.
#[must_use]
pub fn redirect_backend_name(owner: &str, postfix: &str) -> String {
    format!("be-redirect-{owner}{postfix}")
}

/// The name of the backend by which one Appserver is proved.
#[must_use]
pub fn probe_backend_name(owner: &str, postfix: &str) -> String {
    format!("be-probe-{owner}{postfix}")
}

/// The host name by which one Appserver of an instance is proved before it gets traffic.
///
/// The underscore of the id sets it apart from every domain that an instance may have.
#[must_use]
pub fn probe_host(id: InstanceId, number: u32) -> String {
    format!("probe-{number}.{id}")
}

/// The fragment of one instance.
///
/// # Errors
/// [`UnsafeText`] when a text could mean more to HAProxy than it should.
pub fn compose_fragment(input: &FragmentInput) -> Result<FragmentText, UnsafeText> {
    check_input(input)?;
    let mut text = FragmentText::default();
    if let Some(probe) = &input.probe {
        let backend = probe_backend_name(&input.owner, &input.postfix);
        add_map_line(&mut text, &probe.host, &backend);
        add_probe_backend(&mut text, input, probe, &backend);
    }
    for (place, test) in input.tests.iter().enumerate() {
        add_test_backend(&mut text, input, test, place);
    }
    if !input.servers.is_empty() || input.maintenance.is_some() {
        add_site(&mut text, input);
    } else if let Some(ip) = &input.preliminary_page_ip {
        add_preliminary_page(&mut text, input, ip);
    }
    Ok(text)
}

fn add_site(text: &mut FragmentText, input: &FragmentInput) {
    let backend = backend_name(&input.owner, &input.postfix);
    for domain in &input.names.domains {
        add_map_line(text, domain, &backend);
    }
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    # Backend configuration for {}", input.names.site));
    add_maintenance(text, input);
    if !input.servers.is_empty() {
        add_line(text, "    cookie openedx-backend insert postonly indirect");
        add_authorization(text, &input.auth_token);
        add_line(text, "    option httpchk /heartbeat");
        add_servers(text, &input.servers);
    }
    if !input.names.redirects.is_empty() {
        add_redirect(text, input);
    }
}

fn add_redirect(text: &mut FragmentText, input: &FragmentInput) {
    let backend = redirect_backend_name(&input.owner, &input.postfix);
    let target = &input.names.redirect_target;
    for domain in &input.names.redirects {
        add_map_line(text, domain, &backend);
    }
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    # Redirect configuration for {target}"));
    add_maintenance(text, input);
    add_line(text, "    http-request set-var(txn.prefix) hdr(host),regsub(-.*$,,)");
    let prefix = format!("http://%[var(txn.prefix)].{target}");
    add_line(text, &format!("    http-request redirect code 301 prefix {prefix}"));
}

/// The servers stay there: they are switched and drained as ever, and are back at once.
fn add_maintenance(text: &mut FragmentText, input: &FragmentInput) {
    if let Some(page) = &input.maintenance {
        add_line(text, &format!("    {}", maintenance_page::answer_with(page)));
    }
}

fn add_preliminary_page(text: &mut FragmentText, input: &FragmentInput, ip: &str) {
    let backend = format!("be-preliminary-page-{}{}", input.owner, input.postfix);
    for domain in &input.names.domains {
        add_map_line(text, domain, &backend);
    }
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    server preliminary-page {ip}:80"));
}

fn add_probe_backend(
    text: &mut FragmentText,
    input: &FragmentInput,
    probe: &ProbeInput,
    backend: &str,
) {
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    # Proves new servers of {}", probe.site));
    // The site must believe that it is visited by its own name.
    add_line(text, &format!("    http-request set-header Host {}", probe.site));
    add_authorization(text, &input.auth_token);
    add_servers(text, &probe.servers);
}

/// The base of the configuration leads here whoever has the cookie, and no site gets to see that. The
/// site asks for its login itself: nothing is injected.
fn add_test_backend(
    text: &mut FragmentText,
    input: &FragmentInput,
    test: &TestInput,
    place: usize,
) {
    let backend = format!("be-test-{place}-{}{}", input.owner, input.postfix);
    for host in &test.hosts {
        add_map_line(text, &format!("{host}/{}", test.secret), &backend);
    }
    let (secret, until) = (&test.secret, test.until.timestamp());
    let expires = test.until.format("%a, %d %b %Y %H:%M:%S GMT");
    let answer =
        "http-request return status 302 hdr Location / hdr Cache-Control no-store hdr Set-Cookie";
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    # Test link to {} of {}", test.server.name, input.names.site));
    add_line(
        text,
        &format!(
            "    {answer} '{TEST_COOKIE}=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT' \
             if {{ date ge {until} }}"
        ),
    );
    add_line(
        text,
        &format!(
            "    {answer} '{TEST_COOKIE}={secret}; Path=/; Expires={expires}; HttpOnly; SameSite=Lax' \
             if {{ path_beg {TEST_PATH} }}"
        ),
    );
    let address = SocketAddr::new(test.server.ip, test.server.port);
    add_line(text, &format!("    server {} {address}", test.server.name));
}

/// Visitors pass the site's basic authentication unseen; a client's own header is left alone.
fn add_authorization(text: &mut FragmentText, token: &str) {
    add_line(text, "    acl has-authorization req.hdr(Authorization) -m found");
    let header = format!("http-request set-header Authorization 'Basic {token}'");
    add_line(text, &format!("    {header} unless has-authorization"));
}

/// Servers are checked where there is another one to turn to.
fn add_servers(text: &mut FragmentText, servers: &[FragmentServer]) {
    let is_checked = servers.iter().filter(|server| !server.disabled).count() > 1;
    for server in servers {
        let address = SocketAddr::new(server.ip, server.port);
        let check = if is_checked { " check" } else { "" };
        let disabled = if server.disabled { " disabled" } else { "" };
        let (name, cookie) = (&server.name, &server.cookie);
        add_line(text, &format!("    server {name} {address} cookie {cookie}{check}{disabled}"));
    }
}

fn add_line(text: &mut FragmentText, line: &str) {
    let _ = writeln!(text.configuration, "{line}"); // Writing to a String can't fail.
}

fn add_map_line(text: &mut FragmentText, domain: &str, backend: &str) {
    let _ = writeln!(text.map, "{} {backend}", domain.to_lowercase()); // Likewise.
}

/// Every text of the input in its place: none may hold white space, quotes, or what HAProxy expands.
fn check_input(input: &FragmentInput) -> Result<(), UnsafeText> {
    let names = &input.names;
    check_name("domain", &names.site)?;
    check_name("domain", &names.redirect_target)?;
    for domain in names.domains.iter().chain(&names.redirects) {
        check_name("domain", domain)?;
    }
    check_name("owner", &input.owner)?;
    if !input.postfix.is_empty() {
        check_name("postfix", &input.postfix)?;
    }
    check("token", &input.auth_token, "letters, digits, `+`, `/` and `=`", |c| {
        matches!(c, '+' | '/' | '=')
    })?;
    if let Some(ip) = &input.preliminary_page_ip {
        check("address", ip, "letters, digits, dots and colons", |c| matches!(c, '.' | ':'))?;
    }
    let mut servers: Vec<_> = input.servers.iter().collect();
    if let Some(probe) = &input.probe {
        check_name("host", &probe.host)?;
        check_name("domain", &probe.site)?;
        servers.extend(&probe.servers);
    }
    for test in &input.tests {
        check_name("secret", &test.secret)?;
        for host in &test.hosts {
            check_name("domain", host)?;
        }
        servers.push(&test.server);
    }
    for server in servers {
        check_name("server", &server.name)?;
        check_name("cookie", &server.cookie)?;
    }
    Ok(())
}

fn check_name(what: &'static str, text: &str) -> Result<(), UnsafeText> {
    check(what, text, "letters, digits, dots, hyphens and `_`", |c| matches!(c, '.' | '-' | '_'))
}

fn check(
    what: &'static str,
    text: &str,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), UnsafeText> {
    let is_safe =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || is_allowed(c));
    if is_safe { Ok(()) } else { Err(UnsafeText { what, allowed }) }
}
