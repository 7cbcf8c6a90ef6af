//! One instance's part of a balancer's HAProxy configuration (infra §6.1–6.4).

use crate::configuration::secrets::HttpAuth;
use crate::configuration::{ConfigurationError, open};
use crate::names::{
    Service, domain_slug, effective_domain, load_balanced_domains, redirect_domains,
};
use crate::settings::InstanceSettings;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// What one instance contributes to its balancer.
#[derive(Clone, Default)]
pub struct FragmentInput {
    /// The name visitors see; only for people who read the configuration.
    pub domain: String,
    /// Every name that leads to the backend, in the order of the map.
    pub domains: Vec<String>,
    /// Names that are redirected instead, in the order of the map.
    pub redirect_domains: Vec<String>,
    /// What redirected names lead below.
    pub internal_lms_domain: String,
    /// [`domain_slug`] of the instance.
    pub slug: String,
    /// What the backend of the preliminary page is called after.
    pub reference: String,
    /// The balancer's `fragment_name_postfix`.
    pub postfix: String,
    /// [`HttpAuth::token`] of the instance. Secret.
    pub auth_token: String,
    /// Who serves the site, newest first.
    pub servers: Vec<FragmentServer>,
    /// `PRELIMINARY_PAGE_SERVER_IP`: who answers while no server does.
    pub preliminary_page_ip: Option<String>,
    /// A second way in, by which a server is proved before it gets visitors.
    pub probe: Option<ProbeInput>,
}

impl FragmentInput {
    /// What the settings say of an instance, without servers: with no more, its fragment is empty.
    /// `id` is what [`domain_slug`] takes, `postfix` the balancer's.
    ///
    /// # Errors
    /// When the site's credentials can't be derived.
    pub fn new(
        settings: &InstanceSettings,
        id: &str,
        postfix: &str,
    ) -> Result<Self, ConfigurationError> {
        let master = open(&settings.secret_key_b64encoded, "secret_key_b64encoded")?;
        Ok(Self {
            domain: effective_domain(settings, Service::Lms).to_owned(),
            domains: load_balanced_domains(settings).into_iter().map(str::to_owned).collect(),
            redirect_domains: redirect_domains(settings),
            internal_lms_domain: settings.internal_lms_domain.clone(),
            slug: domain_slug(settings, id),
            reference: id.to_owned(),
            postfix: postfix.to_owned(),
            auth_token: HttpAuth::derive(master)?.token(),
            ..Self::default()
        })
    }
}

impl std::fmt::Debug for FragmentInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FragmentInput")
            .field("slug", &self.slug)
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
    /// What the backend is called after `be-probe-`.
    pub backend: String,
    /// Who serves it.
    pub servers: Vec<FragmentServer>,
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
pub fn fragment_name(prefix: &str, postfix: &str, slug: &str) -> String {
    format!("{prefix}{postfix}-{slug}")
}

/// The name of the backend that serves an instance.
#[must_use]
pub fn backend_name(slug: &str, postfix: &str) -> String {
    format!("be-{slug}{postfix}")
}

/// The name of the backend that proves a server.
#[must_use]
pub fn probe_backend_name(backend: &str, postfix: &str) -> String {
    format!("be-probe-{backend}{postfix}")
}

/// The fragment of one instance.
///
/// The probe's line comes first in the map: a mapped name also takes the hosts below it, the
/// first that fits wins, and a probe's host may lie below the site's.
///
/// # Errors
/// [`UnsafeText`] when a text could mean more to HAProxy than it should.
pub fn compose_fragment(input: &FragmentInput) -> Result<FragmentText, UnsafeText> {
    check_input(input)?;
    let mut text = FragmentText::default();
    if let Some(probe) = &input.probe {
        let backend = probe_backend_name(&probe.backend, &input.postfix);
        add_map_line(&mut text, &probe.host, &backend);
        add_probe_backend(&mut text, input, probe, &backend);
    }
    if !input.servers.is_empty() {
        add_site(&mut text, input);
    } else if let Some(ip) = &input.preliminary_page_ip {
        add_preliminary_page(&mut text, input, ip);
    }
    Ok(text)
}

fn add_site(text: &mut FragmentText, input: &FragmentInput) {
    let backend = backend_name(&input.slug, &input.postfix);
    for domain in &input.domains {
        add_map_line(text, domain, &backend);
    }
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    # Backend configuration for {}", input.domain));
    add_line(text, "    cookie openedx-backend insert postonly indirect");
    add_authorization(text, &input.auth_token);
    add_line(text, "    option httpchk /heartbeat");
    add_servers(text, &input.servers);
    if !input.redirect_domains.is_empty() {
        add_redirect(text, input);
    }
}

fn add_redirect(text: &mut FragmentText, input: &FragmentInput) {
    let backend = format!("be-redirect-{}{}", input.slug, input.postfix);
    let target = &input.internal_lms_domain;
    for domain in &input.redirect_domains {
        add_map_line(text, domain, &backend);
    }
    add_line(text, &format!("backend {backend}"));
    add_line(text, &format!("    # Redirect configuration for {target}"));
    add_line(text, "    http-request set-var(txn.prefix) hdr(host),regsub(-.*$,,)");
    let prefix = format!("http://%[var(txn.prefix)].{target}");
    add_line(text, &format!("    http-request redirect code 301 prefix {prefix}"));
}

fn add_preliminary_page(text: &mut FragmentText, input: &FragmentInput, ip: &str) {
    let backend = format!("be-preliminary-page-{}{}", input.reference, input.postfix);
    for domain in &input.domains {
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
    add_line(text, &format!("    # Proves new servers of {}", input.domain));
    // The site must believe that it is visited by its own name.
    add_line(text, &format!("    http-request set-header Host {}", input.domain));
    add_authorization(text, &input.auth_token);
    add_servers(text, &probe.servers);
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
    check_name("domain", &input.domain)?;
    check_name("domain", &input.internal_lms_domain)?;
    for domain in input.domains.iter().chain(&input.redirect_domains) {
        check_name("domain", domain)?;
    }
    check_name("slug", &input.slug)?;
    check_name("reference", &input.reference)?;
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
        check_name("backend", &probe.backend)?;
        servers.extend(&probe.servers);
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
