//! Names that follow from others: domains of a site, and what hosts and backends are called.

use crate::hosts::to_ascii;
use crate::ids::AppserverId;
use crate::settings::InstanceSettings;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Longest part of a name that comes from a domain, in characters.
const NAME_PREFIX_LENGTH_MAX: usize = 20;
/// Hyphenated prefixes of the redirecting names, in their order.
const REDIRECT_PREFIXES: [&str; 4] = ["studio-", "preview-", "discovery-", "ecommerce-"];

/// The sites that one instance serves, each under a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// The learning site.
    Lms,
    /// Preview of unpublished courses.
    LmsPreview,
    /// The authoring site.
    Studio,
    /// The course catalogue.
    Discovery,
    /// The shop.
    Ecommerce,
}

impl Service {
    /// Every service, in the order in which balancers and DNS list their names (core §5.7).
    pub const ALL: [Self; 5] =
        [Self::Lms, Self::LmsPreview, Self::Studio, Self::Discovery, Self::Ecommerce];
}

/// The name under which we serve it, as it was written; its DNS records are ours.
#[must_use]
pub fn internal_domain(settings: &InstanceSettings, service: Service) -> &str {
    match service {
        Service::Lms => &settings.internal_lms_domain,
        Service::LmsPreview => &settings.internal_lms_preview_domain,
        Service::Studio => &settings.internal_studio_domain,
        Service::Discovery => &settings.internal_discovery_domain,
        Service::Ecommerce => &settings.internal_ecommerce_domain,
    }
}

/// The customer's own name for it, as it was written; blank where there is none.
#[must_use]
pub fn external_domain(settings: &InstanceSettings, service: Service) -> &str {
    match service {
        Service::Lms => &settings.external_lms_domain,
        Service::LmsPreview => &settings.external_lms_preview_domain,
        Service::Studio => &settings.external_studio_domain,
        Service::Discovery => &settings.external_discovery_domain,
        Service::Ecommerce => &settings.external_ecommerce_domain,
    }
}

/// The name visitors see, as it was written: the customer's, else ours.
#[must_use]
pub fn effective_domain(settings: &InstanceSettings, service: Service) -> &str {
    match external_domain(settings, service) {
        "" => internal_domain(settings, service),
        external => external,
    }
}

/// [`effective_domain`] as it goes over the wire.
#[must_use]
pub fn effective_host(settings: &InstanceSettings, service: Service) -> String {
    to_ascii(effective_domain(settings, service)).into_owned()
}

/// Every host a balancer serves from this instance's backend: the customer's first, then ours.
#[must_use]
pub fn load_balanced_domains(settings: &InstanceSettings) -> Vec<String> {
    let external = Service::ALL.map(|service| external_domain(settings, service));
    let internal = Service::ALL.map(|service| internal_domain(settings, service));
    let domains = external.into_iter().chain(internal).filter(|domain| !domain.is_empty());
    domains.map(|domain| to_ascii(domain).into_owned()).collect()
}

/// The hyphenated hosts that a balancer redirects; none unless the settings ask for them.
#[must_use]
pub fn redirect_domains(settings: &InstanceSettings) -> Vec<String> {
    if settings.enable_prefix_domains_redirect { prefix_domains(settings) } else { vec![] }
}

/// The host names by which visitors reach a site, as its balancer is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedNames {
    /// What the site itself is called: the effective LMS domain.
    pub site: String,
    /// Every name that leads to the site's backend, in the order of the map.
    pub domains: Vec<String>,
    /// Names that are redirected instead, in the order of the map.
    pub redirects: Vec<String>,
    /// What redirected names lead below.
    pub redirect_target: String,
    /// The pages that are watched from outside.
    #[serde(default)]
    pub pages: Vec<String>,
}

impl RoutedNames {
    /// Every host of the map.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().chain(&self.redirects).map(String::as_str)
    }

    /// Those that the settings ask for.
    #[must_use]
    pub fn new(settings: &InstanceSettings) -> Self {
        Self {
            site: effective_host(settings, Service::Lms),
            domains: load_balanced_domains(settings),
            redirects: redirect_domains(settings),
            redirect_target: to_ascii(&settings.internal_lms_domain).into_owned(),
            pages: monitored_urls(settings).into(),
        }
    }
}

/// The hyphenated hosts that a balancer would redirect if the settings asked for it.
fn prefix_domains(settings: &InstanceSettings) -> Vec<String> {
    let lms = &settings.internal_lms_domain;
    let host = |prefix| to_ascii(&format!("{prefix}{lms}")).into_owned();
    REDIRECT_PREFIXES.into_iter().map(host).collect()
}

/// Every host that is the instance's alone, each beside the setting that it comes from.
///
/// That is what its balancer may have to serve, wanted now or as soon as somebody turns the redirects
/// on.
#[must_use]
pub fn reserved_domains(settings: &InstanceSettings) -> Vec<(&'static str, String)> {
    let services = Service::ALL.into_iter();
    let external = services.clone().map(|s| (external_field(s), external_domain(settings, s)));
    let internal = services.map(|s| (internal_field(s), internal_domain(settings, s)));
    let redirects = prefix_domains(settings).into_iter();
    external
        .chain(internal)
        .filter(|(_, domain)| !domain.is_empty())
        .map(|(field, domain)| (field, to_ascii(domain).into_owned()))
        .chain(redirects.map(|domain| (internal_field(Service::Lms), domain)))
        .collect()
}

/// Every host whose DNS records are ours. Customers look after their own.
#[must_use]
pub fn managed_domains(settings: &InstanceSettings) -> Vec<String> {
    let internal = Service::ALL.map(|s| to_ascii(internal_domain(settings, s)).into_owned());
    internal.into_iter().chain(redirect_domains(settings)).collect()
}

/// The host that leads to the machine of the instance's Appserver in traffic of that place, from 1.
#[must_use]
pub fn machine_domain(settings: &InstanceSettings, place: usize) -> String {
    to_ascii(&format!("vm{place}.{}", settings.internal_lms_domain)).into_owned()
}

/// The name of the setting that holds a service's internal domain.
#[must_use]
pub fn internal_field(service: Service) -> &'static str {
    match service {
        Service::Lms => "internal_lms_domain",
        Service::LmsPreview => "internal_lms_preview_domain",
        Service::Studio => "internal_studio_domain",
        Service::Discovery => "internal_discovery_domain",
        Service::Ecommerce => "internal_ecommerce_domain",
    }
}

/// The name of the setting that holds a service's external domain.
#[must_use]
pub fn external_field(service: Service) -> &'static str {
    match service {
        Service::Lms => "external_lms_domain",
        Service::LmsPreview => "external_lms_preview_domain",
        Service::Studio => "external_studio_domain",
        Service::Discovery => "external_discovery_domain",
        Service::Ecommerce => "external_ecommerce_domain",
    }
}

/// Pattern that nginx matches a service's host name with; the dialect of Python and PCRE.
///
/// Browsers send A-labels, so the pattern holds those, where the original's held what was written.
#[must_use]
pub fn nginx_regex(settings: &InstanceSettings, service: Service) -> String {
    let names = [external_domain(settings, service), internal_domain(settings, service)];
    let hosts = names.into_iter().filter(|name| !name.is_empty()).map(to_ascii);
    let escaped: Vec<_> = hosts.map(|host| escape_regex(&host)).collect();
    format!("^({})$", escaped.join("|"))
}

/// Where a service is reached, with a slash at the end.
#[must_use]
pub fn site_url(settings: &InstanceSettings, service: Service) -> String {
    format!("https://{}/", effective_host(settings, service))
}

/// What tells whether the learning site and all that it needs are well.
#[must_use]
pub fn extended_heartbeat_url(settings: &InstanceSettings) -> String {
    format!("{}heartbeat?extended", site_url(settings, Service::Lms))
}

/// The pages of a site that are watched from outside (infra §8.1): the learning site, the authoring site,
/// the preview, and what tells whether all that the learning site needs is well.
#[must_use]
pub fn monitored_urls(settings: &InstanceSettings) -> [String; 4] {
    let [lms, studio, preview] =
        [Service::Lms, Service::Studio, Service::LmsPreview].map(|it| site_url(settings, it));
    [lms, studio, preview, extended_heartbeat_url(settings)]
}

/// Lower-case letters, digits, `_` and hyphens of a text, in their order (core §8.4).
///
/// Accents are folded away (`é` is `e`), and what is not ASCII then vanishes, as do dots. Runs of
/// spaces and hyphens become one hyphen, and a leading hyphen stays.
#[must_use]
pub fn slug(text: &str) -> String {
    let kept: String = text
        .nfkd()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || c.is_ascii_whitespace())
        .collect();
    let mut slug = String::with_capacity(kept.len());
    for c in kept.trim().chars() {
        match c {
            '-' | ' ' | '\t' | '\r' | '\n' | '\x0c' if slug.ends_with('-') => {}
            '-' | ' ' | '\t' | '\r' | '\n' | '\x0c' => slug.push('-'),
            c => slug.push(c.to_ascii_lowercase()),
        }
    }
    slug
}

/// What the original calls an instance where dots can't stand: `edxins-<start of its domain>-<id>`.
///
/// It changes with the domain, so that nothing which outlives a change may be called by it.
#[must_use]
pub fn domain_slug(domain: &str, id: &str) -> String {
    format!("{}-{id}", name_prefix("edxins-", domain))
}

/// What an instance's servers are called in their cloud, before what tells them apart.
#[must_use]
pub fn server_name_prefix(settings: &InstanceSettings) -> String {
    name_prefix("edxapp-", effective_domain(settings, Service::Lms))
}

/// What an Appserver's machine is called in its cloud; at most 57 characters, fit for a host name.
#[must_use]
pub fn machine_name(settings: &InstanceSettings, appserver: AppserverId) -> String {
    format!("{}-{}", server_name_prefix(settings), appserver.0)
}

/// An Appserver's own host name, e.g. `edxapp-lmsexamplecom-appserver-1`.
#[must_use]
pub fn server_hostname(settings: &InstanceSettings, number: u32) -> String {
    format!("{}-{}", server_name_prefix(settings), slug(&appserver_name(number)))
}

/// What people call an Appserver, which is counted from 1.
#[must_use]
pub fn appserver_name(number: u32) -> String {
    format!("AppServer {number}")
}

fn escape_regex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c != '_' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn name_prefix(kind: &str, domain: &str) -> String {
    let name = format!("{kind}{}", slug(domain));
    name.chars().take(NAME_PREFIX_LENGTH_MAX).collect()
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
