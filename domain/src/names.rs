//! Names that follow from others: domains of a site, and what databases, hosts and backends are called.

use crate::ids::AppserverId;
use crate::settings::InstanceSettings;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Longest domain, in characters (core §1.2).
pub const DOMAIN_LENGTH_MAX: usize = 100;
/// Longest label of a domain, in characters (RFC 1035).
const LABEL_LENGTH_MAX: usize = 63;
/// Shortest sub-domain that may be asked for, in characters.
const SUB_DOMAIN_LENGTH_MIN: usize = 3;
/// Longest database, bucket or account name, in characters.
pub const RESOURCE_NAME_LENGTH_MAX: usize = 50;
/// Hexadecimal digits of the digest that stands for what was cut off a resource name.
const RESOURCE_NAME_DIGEST_LENGTH: usize = 4;
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

/// The name under which we serve it, whose DNS records are ours.
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

/// The customer's own name for it; blank where there is none.
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

/// The name visitors see: the customer's, else ours.
#[must_use]
pub fn effective_domain(settings: &InstanceSettings, service: Service) -> &str {
    match external_domain(settings, service) {
        "" => internal_domain(settings, service),
        external => external,
    }
}

/// Every name a balancer serves from this instance's backend: the customer's first, then ours.
#[must_use]
pub fn load_balanced_domains(settings: &InstanceSettings) -> Vec<&str> {
    let external = Service::ALL.map(|service| external_domain(settings, service));
    let internal = Service::ALL.map(|service| internal_domain(settings, service));
    external.into_iter().chain(internal).filter(|domain| !domain.is_empty()).collect()
}

/// The hyphenated names that a balancer redirects; none unless the settings ask for them.
#[must_use]
pub fn redirect_domains(settings: &InstanceSettings) -> Vec<String> {
    let prefixes: &[&str] =
        if settings.enable_prefix_domains_redirect { &REDIRECT_PREFIXES } else { &[] };
    prefixes.iter().map(|prefix| format!("{prefix}{}", settings.internal_lms_domain)).collect()
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
}

impl RoutedNames {
    /// Those that the settings ask for.
    #[must_use]
    pub fn new(settings: &InstanceSettings) -> Self {
        Self {
            site: effective_domain(settings, Service::Lms).to_owned(),
            domains: load_balanced_domains(settings).into_iter().map(str::to_owned).collect(),
            redirects: redirect_domains(settings),
            redirect_target: settings.internal_lms_domain.clone(),
        }
    }
}

/// Every name whose DNS records are ours. Customers look after their own.
#[must_use]
pub fn managed_domains(settings: &InstanceSettings) -> Vec<String> {
    let internal = Service::ALL.map(|service| internal_domain(settings, service).to_owned());
    internal.into_iter().chain(redirect_domains(settings)).collect()
}

/// Pattern that nginx matches a service's host name with; the dialect of Python and PCRE.
#[must_use]
pub fn nginx_regex(settings: &InstanceSettings, service: Service) -> String {
    let names = [external_domain(settings, service), internal_domain(settings, service)];
    let escaped: Vec<_> =
        names.into_iter().filter(|name| !name.is_empty()).map(escape_regex).collect();
    format!("^({})$", escaped.join("|"))
}

/// Where a service is reached, with a slash at the end.
#[must_use]
pub fn site_url(settings: &InstanceSettings, service: Service) -> String {
    format!("https://{}/", effective_domain(settings, service))
}

/// What tells whether the learning site and all that it needs are well.
#[must_use]
pub fn extended_heartbeat_url(settings: &InstanceSettings) -> String {
    format!("{}heartbeat?extended", site_url(settings, Service::Lms))
}

/// Lower-case letters, digits, `_` and hyphens of a text, in their order (core §8.4).
///
/// Dots vanish, runs of spaces and hyphens become one hyphen, and a leading hyphen stays.
/// Letters outside ASCII vanish too: a domain is ASCII by the time it gets here.
#[must_use]
pub fn slug(text: &str) -> String {
    let kept: String = text
        .chars()
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
pub fn domain_slug(settings: &InstanceSettings, id: &str) -> String {
    format!("{}-{id}", name_prefix("edxins-", settings))
}

/// What an instance's servers are called in their cloud, before what tells them apart.
#[must_use]
pub fn server_name_prefix(settings: &InstanceSettings) -> String {
    name_prefix("edxapp-", settings)
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

/// The main database, and the start of all other databases' names. Case is kept, hyphens vanish.
#[must_use]
pub fn database_name(settings: &InstanceSettings) -> String {
    let name = settings.internal_lms_domain.replace('.', "_");
    shorten(name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

/// The database of the forum.
#[must_use]
pub fn forum_database_name(settings: &InstanceSettings) -> String {
    format!("{}_forum", database_name(settings))
}

/// The S3 bucket; `prefix` is `AWS_S3_BUCKET_PREFIX`.
#[must_use]
pub fn bucket_name(settings: &InstanceSettings, prefix: &str) -> String {
    shorten(format!("{prefix}-{}", database_name(settings).replace('_', "-")))
}

/// The AWS account that may use the bucket; `prefix` is `AWS_IAM_USER_PREFIX`.
#[must_use]
pub fn iam_user_name(settings: &InstanceSettings, prefix: &str) -> String {
    shorten(format!("{prefix}-{}", database_name(settings)))
}

/// Refuses what is not a host name of at least two labels.
///
/// What passes holds letters, digits, hyphens and dots only, so it can't break out of a
/// configuration of HAProxy or nginx. A single label is no site's name that visitors could reach.
///
/// # Errors
/// The rule that was broken, as a sentence without its subject.
pub fn check_domain(domain: &str) -> Result<(), String> {
    if domain.chars().count() > DOMAIN_LENGTH_MAX {
        return Err(format!("must have at most {DOMAIN_LENGTH_MAX} characters"));
    }
    let labels: Vec<_> = domain.split('.').collect();
    if labels.len() < 2 {
        return Err("must be a domain of at least two parts, like `site.example.com`".to_owned());
    }
    if !labels.iter().all(|label| is_label(label)) {
        return Err(format!(
            "must have parts of 1 to {LABEL_LENGTH_MAX} letters, digits and hyphens between its \
             dots, without a hyphen at either end of a part"
        ));
    }
    if labels.last().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit())) {
        return Err("must be a name, not an address".to_owned());
    }
    Ok(())
}

/// Refuses what may not stand before `DEFAULT_INSTANCE_BASE_DOMAIN`.
///
/// # Errors
/// The rule that was broken, as a sentence without its subject.
pub fn check_sub_domain(sub_domain: &str) -> Result<(), String> {
    let length = sub_domain.chars().count();
    let is_lower = !sub_domain.bytes().any(|b| b.is_ascii_uppercase());
    if length >= SUB_DOMAIN_LENGTH_MIN && is_label(sub_domain) && is_lower {
        Ok(())
    } else {
        Err(format!(
            "must have {SUB_DOMAIN_LENGTH_MIN} to {LABEL_LENGTH_MAX} lower-case letters, digits \
             and hyphens, without a hyphen at either end"
        ))
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_LENGTH_MAX).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
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

fn name_prefix(kind: &str, settings: &InstanceSettings) -> String {
    let name = format!("{kind}{}", slug(effective_domain(settings, Service::Lms)));
    name.chars().take(NAME_PREFIX_LENGTH_MAX).collect()
}

/// The name itself, or its start and a digest of all of it where it is too long.
fn shorten(name: String) -> String {
    if name.chars().count() <= RESOURCE_NAME_LENGTH_MAX {
        return name;
    }
    let digest = hex(&Md5::digest(name.as_bytes()));
    let start = name.chars().take(RESOURCE_NAME_LENGTH_MAX - RESOURCE_NAME_DIGEST_LENGTH);
    start.chain(digest.chars().take(RESOURCE_NAME_DIGEST_LENGTH)).collect()
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
