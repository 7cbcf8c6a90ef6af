//! Host names: what people may write, how it goes over the wire, and when two are the same.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Longest domain of a site, in characters (core §1.2).
pub const DOMAIN_LENGTH_MAX: usize = 100;
/// Longest label of a host name as it goes over the wire, in bytes (RFC 1035).
const LABEL_LENGTH_MAX: usize = 63;
/// Longest host name as it goes over the wire, in bytes (RFC 1035).
const WIRE_LENGTH_MAX: usize = 253;

/// A host name as it goes over the wire: HAProxy, DNS, SSH and URLs know A-labels only (UTS 46).
///
/// ASCII names keep their case, as the original's do. What is no host name stays as it is, and is
/// refused by [`check_domain`].
#[must_use]
pub fn to_ascii(host: &str) -> Cow<'_, str> {
    if host.is_ascii() {
        return Cow::Borrowed(host);
    }
    match map_to_ascii(host) {
        Some(ascii) => Cow::Owned(ascii),
        None => Cow::Borrowed(host),
    }
}

/// What two spellings of one host name have in common: lower-case A-labels.
#[must_use]
pub fn host_key(host: &str) -> String {
    to_ascii(host).to_ascii_lowercase()
}

/// Refuses what is not a host name of at least two labels, in letters of any language.
///
/// What passes is, by [`to_ascii`], letters, digits, hyphens and dots only, so it can't break out
/// of a configuration of HAProxy or nginx. It is also shown as it is written, so it must not hold
/// characters that the wire does not tell apart. A single label is refused because nobody but the
/// machine itself knows where it leads.
///
/// # Errors
/// The rule that was broken, as a sentence without its subject.
pub fn check_domain(domain: &str) -> Result<(), String> {
    if domain.chars().count() > DOMAIN_LENGTH_MAX {
        return Err(format!("must have at most {DOMAIN_LENGTH_MAX} characters"));
    }
    check_host(domain)
}

/// As [`check_domain`], of any length that the wire allows.
///
/// # Errors
/// The rule that was broken, as a sentence without its subject.
pub fn check_host(host: &str) -> Result<(), String> {
    let ascii = check_spelling(host)?;
    if ascii.len() > WIRE_LENGTH_MAX {
        return Err(format!("must have at most {WIRE_LENGTH_MAX} characters as `{ascii}`"));
    }
    let labels: Vec<_> = ascii.split('.').collect();
    if labels.len() < 2 {
        return Err("must be a domain of at least two parts, like `site.example.com`".to_owned());
    }
    if !labels.iter().all(|label| is_label(label)) {
        let shown = if host.is_ascii() { String::new() } else { format!(" (as `{ascii}`)") };
        return Err(format!(
            "must have parts of 1 to {LABEL_LENGTH_MAX} letters, digits and hyphens between its \
             dots{shown}, without a hyphen at either end of a part"
        ));
    }
    if labels.last().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit())) {
        return Err("must be a name, not an address".to_owned());
    }
    Ok(())
}

/// The name's A-labels, if it is written as browsers will show it.
fn check_spelling(host: &str) -> Result<Cow<'_, str>, String> {
    let is_encoded =
        |label: &str| label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"));
    if host.is_ascii() && !host.split('.').any(is_encoded) {
        return Ok(Cow::Borrowed(host));
    }
    let unreadable =
        || "must be a domain that browsers can look up (its letters are not allowed)".to_owned();
    let ascii = map_to_ascii(host).ok_or_else(unreadable)?;
    if host.is_ascii() {
        return Ok(Cow::Borrowed(host));
    }
    let (shown, _) = idna::domain_to_unicode(&ascii);
    if host.to_lowercase().nfc().eq(shown.chars()) {
        return Ok(Cow::Owned(ascii));
    }
    Err(format!("must be written as browsers show it: `{shown}`"))
}

/// The rules of UTS 46 for names that are looked up; lengths and single labels are looked at later.
fn map_to_ascii(host: &str) -> Option<String> {
    let ascii = Uts46::new().to_ascii(
        host.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::Ignore,
    );
    ascii.ok().map(Cow::into_owned)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_LENGTH_MAX).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
