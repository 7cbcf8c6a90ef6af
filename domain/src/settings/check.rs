//! The rules that settings must keep, all of them checked at once.

use super::InstanceSettings;
use crate::configuration::{is_ansibles_own, secrets, yaml};
use crate::event::APPEND_BYTES_MAX;
use crate::hosts::{check_domain, check_host, host_key};
use crate::names::{
    Service, external_domain, external_field, internal_domain, internal_field, redirect_domains,
};
use crate::protected;
use crate::protected::Protected;
use crate::text::nests_within;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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

/// What a rule says to a text, after the name of the field.
type Verdict = Result<(), String>;

/// Every rule that the settings break.
pub(super) fn check_settings(settings: &InstanceSettings) -> Vec<Violation> {
    let mut violations = vec![];
    let mut note = |field: &str, verdict: Verdict| {
        if let Err(rule) = verdict {
            violations.push(Violation::new(field, rule));
        }
    };
    note("name", check_text(&settings.name, 250));
    check_domains(settings, &mut note);
    note("email", check_protected(&settings.email, check_email));
    note("openedx_release", check_reference(&settings.openedx_release, 128));
    note(
        "configuration_source_repo_url",
        check_repository_url(&settings.configuration_source_repo_url),
    );
    note("configuration_version", check_reference(&settings.configuration_version, 50));
    note("configuration_playbook_name", check_playbook(&settings.configuration_playbook_name));
    note(
        "configuration_extra_settings",
        check_protected(&settings.configuration_extra_settings, check_extra_settings),
    );
    note(
        "edx_platform_repository_url",
        check_repository_url(&settings.edx_platform_repository_url),
    );
    // Where it is the release, the release's own rules are stricter.
    if settings.edx_platform_commit != settings.openedx_release {
        note("edx_platform_commit", check_reference(&settings.edx_platform_commit, 256));
    }
    note("openstack_region", check_text(&settings.openstack_region, 16));
    note("openstack_server_flavor", check_selector(&settings.openstack_server_flavor));
    note("openstack_server_base_image", check_selector(&settings.openstack_server_base_image));
    if !settings.openstack_server_ssh_keyname.is_empty() {
        let name = &settings.openstack_server_ssh_keyname;
        note("openstack_server_ssh_keyname", check_text(name, 256));
    }
    note("additional_security_groups", check_length(&settings.additional_security_groups));
    for (index, group) in settings.additional_security_groups.iter().enumerate() {
        note(&format!("additional_security_groups[{index}]"), check_text(group, 200));
    }
    note("additional_monitoring_emails", check_length(&settings.additional_monitoring_emails));
    for (index, email) in settings.additional_monitoring_emails.iter().enumerate() {
        let field = format!("additional_monitoring_emails[{index}]");
        note(&field, check_protected(email, check_email));
    }
    note("secret_key_b64encoded", check_protected(&settings.secret_key_b64encoded, check_secret));
    violations
}

/// Domains are well formed, no two of them are the same host, and none is a redirect's, too.
fn check_domains(settings: &InstanceSettings, note: &mut impl FnMut(&str, Verdict)) {
    let internal = Service::ALL.map(|s| (internal_field(s), internal_domain(settings, s)));
    let external = Service::ALL.map(|s| (external_field(s), external_domain(settings, s)));
    let mut seen: Vec<String> = vec![];
    for (field, domain) in internal.into_iter().chain(external) {
        if domain.is_empty() {
            // The others are derived from the LMS domain: without it they are no news.
            if field == internal_field(Service::Lms) {
                note(field, Err("is required: give it, or `sub_domain`".to_owned()));
            }
            continue;
        }
        note(field, check_domain(domain));
        let key = host_key(domain);
        if seen.contains(&key) {
            note(field, Err("must differ from the instance's other domains".to_owned()));
        }
        seen.push(key);
    }
    let redirects = redirect_domains(settings);
    let first = settings.internal_lms_domain.split('.').next().unwrap_or_default();
    if !redirects.is_empty() && !first.is_ascii() {
        // The target is what follows the first hyphen, which A-labels have in other places.
        let rule = format!("must be off, because `{first}` is not in ASCII");
        note("enable_prefix_domains_redirect", Err(rule));
        return;
    }
    for redirect in redirects {
        if seen.contains(&host_key(&redirect)) {
            let rule =
                format!("must be off, because `{redirect}` is one of the instance's domains");
            note("enable_prefix_domains_redirect", Err(rule));
        }
        // What is wrong with the LMS domain itself has been said.
        if let (Ok(()), Err(rule)) =
            (check_domain(&settings.internal_lms_domain), check_host(&redirect))
        {
            let rule = format!("must be off, because `{redirect}` would not do: it {rule}");
            note("enable_prefix_domains_redirect", Err(rule));
        }
    }
}

/// A text that is sealed here was checked when it was given.
fn check_protected(text: &Protected, check: impl Fn(&str) -> Verdict) -> Verdict {
    text.open().map_or(Ok(()), check)
}

/// One line that says something. Playbooks would run what stands between double braces on the
/// machine that Ocim runs on; it has a place in extra settings only.
fn check_text(text: &str, length_max: usize) -> Verdict {
    if text.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    if text.chars().count() > length_max {
        return Err(format!("must have at most {length_max} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    if ["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
        return Err("must not hold template expressions".to_owned());
    }
    Ok(())
}

/// A branch, tag or commit, which git must not take for an option.
fn check_reference(text: &str, length_max: usize) -> Verdict {
    check_text(text, length_max)?;
    if text.starts_with('-') || text.contains(char::is_whitespace) {
        return Err("must be a branch, tag or commit: no white space, no leading hyphen".to_owned());
    }
    Ok(())
}

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_LENGTH_MAX: usize = 254;

fn check_email(email: &str) -> Verdict {
    let is_local = |local: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".!#$&'*+/=?^_~-".contains(&b);
        !local.is_empty() && local.len() <= 64 && local.bytes().all(allowed)
    };
    let is_host = |host: &str| host.eq_ignore_ascii_case("localhost") || check_host(host).is_ok();
    match email.split_once('@') {
        _ if email.chars().count() > EMAIL_LENGTH_MAX => {
            Err(format!("must have at most {EMAIL_LENGTH_MAX} characters"))
        }
        Some((local, host)) if is_local(local) && is_host(host) => Ok(()),
        _ => Err("must be an e-mail address like `name@example.com`".to_owned()),
    }
}

/// Something that git can clone. Its address is shown and logged, so it must not hold a secret.
fn check_repository_url(url: &str) -> Verdict {
    check_text(url, 256)?;
    let shape = "must be an http, https, ssh, git or file URL, `user@host:path`, an absolute path, \
                 or bundled:NAME";
    if url.contains(char::is_whitespace) {
        return Err(shape.to_owned());
    }
    if url.starts_with('/') {
        return Ok(());
    }
    if let Some(name) = url.strip_prefix("bundled:") {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let fits = !name.is_empty() && name.chars().all(is_name);
        return if fits { Ok(()) } else { Err("has no name after `bundled:`".to_owned()) };
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return if is_scp_address(url) { Ok(()) } else { Err(shape.to_owned()) };
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    match scheme {
        "file" => return if rest.starts_with('/') { Ok(()) } else { Err(shape.to_owned()) },
        "http" | "https" | "git" if !user.is_empty() => {
            return Err(format!(
                "must not hold a user name, password or token, because it is shown and logged: \
                 write `{scheme}://{host}/…`, and give the credential of `{host}` to Ocim in \
                 OCIM_GIT_CREDENTIALS"
            ));
        }
        "ssh" if user.contains(':') => {
            return Err("must not hold a password: SSH logs in by key".to_owned());
        }
        "http" | "https" | "git" | "ssh" => {}
        _ => return Err(shape.to_owned()),
    }
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
        return Err(shape.to_owned());
    }
    Ok(())
}

/// `user@host:path`, which git takes for SSH, as `git@github.com:org/repo.git`. The user must be
/// there, so that nothing like `ext::sh` passes.
fn is_scp_address(url: &str) -> bool {
    let Some((user, rest)) = url.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    let is_user = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_host = host == "localhost" || check_host(host).is_ok();
    let user_fits = !user.is_empty() && !user.starts_with('-') && user.chars().all(is_user);
    user_fits && is_host && !path.is_empty() && !path.starts_with(['-', ':'])
}

fn check_playbook(path: &str) -> Verdict {
    check_text(path, 100)?;
    if path.starts_with(['/', '-']) || path.split('/').any(|part| part == "..") {
        return Err("must be a path inside the configuration repository".to_owned());
    }
    Ok(())
}

/// The share of the text: a launch freezes settings and variables into one append.
///
/// Each protected text grows by a third when it is sealed. These are the shares of what has no other
/// limit; what is left is far more than the computed variables and the short settings need.
const EXTRA_SETTINGS_BYTES_MAX: usize = APPEND_BYTES_MAX / 8;
/// As JSON, with every alias written out.
const EXTRA_VARIABLES_BYTES_MAX: usize = APPEND_BYTES_MAX / 4;
const SELECTOR_BYTES_MAX: usize = APPEND_BYTES_MAX / 128;
/// Groups, and e-mail addresses.
const LIST_ITEMS_MAX: usize = 100;
/// Clouds' selectors are flat, or nearly so.
const SELECTOR_DEPTH_MAX: usize = 16;

fn check_extra_settings(text: &str) -> Verdict {
    if text.len() > EXTRA_SETTINGS_BYTES_MAX {
        return Err(format!("must not have more than {} KiB", EXTRA_SETTINGS_BYTES_MAX / 1024));
    }
    let variables = yaml::parse_mapping(text).map_err(|error| format!("can't be read: {error}"))?;
    if let Some(name) = variables.keys().find(|name| is_ansibles_own(name)) {
        return Err(format!(
            "must not set `{name}`: names that begin with `ansible_` are Ansible's own, and say how \
             a play reaches its machine; that is Ocim's to know"
        ));
    }
    if Value::Object(variables).to_string().len() > EXTRA_VARIABLES_BYTES_MAX {
        let limit = EXTRA_VARIABLES_BYTES_MAX / 1024;
        return Err(format!("must not have more than {limit} KiB with every alias written out"));
    }
    Ok(())
}

fn check_length<T>(list: &[T]) -> Verdict {
    if list.len() > LIST_ITEMS_MAX {
        return Err(format!("must not have more than {LIST_ITEMS_MAX} items"));
    }
    Ok(())
}

fn check_selector(value: &Value) -> Verdict {
    match value {
        // Before anything walks through it.
        _ if !nests_within(value, SELECTOR_DEPTH_MAX) => {
            Err(format!("must not nest deeper than {SELECTOR_DEPTH_MAX}"))
        }
        _ if value.to_string().len() > SELECTOR_BYTES_MAX => {
            Err(format!("must not have more than {} KiB", SELECTOR_BYTES_MAX / 1024))
        }
        // The mark of protected values is the store's own.
        _ if has_key(value, protected::MARK) => {
            Err(format!("must not have a member `{}`", protected::MARK))
        }
        Value::Object(members) if !members.is_empty() => Ok(()),
        _ => Err("must be a JSON object that is not empty, like `{\"name\": \"…\"}`".to_owned()),
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, member)| name == key || has_key(member, key))
        }
        Value::Array(items) => items.iter().any(|item| has_key(item, key)),
        _ => false,
    }
}

fn check_secret(secret: &str) -> Verdict {
    if secret.len() <= 48 && secrets::is_master_secret(secret) {
        Ok(())
    } else {
        Err("must be base64 of 1 to 36 bytes".to_owned())
    }
}
