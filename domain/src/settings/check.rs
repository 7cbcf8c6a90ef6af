//! The rules that settings must keep, all of them checked at once.

use super::table::{InstanceSettings, SETTINGS};
use crate::hosts::{check_domain, check_host, host_key};
use crate::names::{
    Service, external_domain, external_field, internal_domain, internal_field, redirect_domains,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule that a field breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The field's name; `field[2]` for the third item of a list.
    pub field: String,
    /// What it must be, to be read after the field's name. Never quotes a secret.
    pub rule: String,
}

impl Violation {
    /// The rule that a field breaks.
    pub(super) fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.rule)
    }
}

/// Every rule that the settings break, in the order of the table.
pub(super) fn check_settings(settings: &InstanceSettings) -> Vec<Violation> {
    let mut violations = settings.check_each();
    // Where it is the release, the release's own rules are stricter.
    if settings.edx_platform_commit == settings.openedx_release {
        violations.retain(|violation| violation.field != "edx_platform_commit");
    }
    check_domains(settings, &mut |field, rule| violations.push(Violation::new(field, rule)));
    let place = |violation: &Violation| {
        let name = violation.field.split(['[', '.']).next();
        SETTINGS.iter().position(|setting| Some(setting.name) == name)
    };
    violations.sort_by_key(place);
    violations
}

/// No two domains are the same host, and none is a redirect's, too.
fn check_domains(settings: &InstanceSettings, tell: &mut impl FnMut(&str, String)) {
    let internal = Service::ALL.map(|s| (internal_field(s), internal_domain(settings, s)));
    let external = Service::ALL.map(|s| (external_field(s), external_domain(settings, s)));
    let mut seen: Vec<String> = vec![];
    for (field, domain) in internal.into_iter().chain(external) {
        if domain.is_empty() {
            // The others are derived from the LMS domain: without it they are no news.
            if field == internal_field(Service::Lms) {
                tell(field, "is required: give it, or `sub_domain`".to_owned());
            }
            continue;
        }
        let key = host_key(domain);
        if seen.contains(&key) {
            tell(field, "must differ from the instance's other domains".to_owned());
        }
        seen.push(key);
    }
    let redirects = redirect_domains(settings);
    let first = settings.internal_lms_domain.split('.').next().unwrap_or_default();
    if !redirects.is_empty() && !first.is_ascii() {
        // The target is what follows the first hyphen, which A-labels have in other places.
        let rule = format!("must be off, because `{first}` is not in ASCII");
        tell("enable_prefix_domains_redirect", rule);
        return;
    }
    for redirect in redirects {
        if seen.contains(&host_key(&redirect)) {
            let rule =
                format!("must be off, because `{redirect}` is one of the instance's domains");
            tell("enable_prefix_domains_redirect", rule);
        }
        // What is wrong with the LMS domain itself has been said.
        if let (Ok(()), Err(rule)) =
            (check_domain(&settings.internal_lms_domain), check_host(&redirect))
        {
            let rule = format!("must be off, because `{redirect}` would not do: it {rule}");
            tell("enable_prefix_domains_redirect", rule);
        }
    }
}
