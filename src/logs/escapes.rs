//! How programs write a text inside something else: JSON, Python, shells, HTML, URLs.

use std::collections::BTreeSet;

/// One way of writing a text.
type Escape = fn(&str) -> String;

/// Characters that URL encoders leave alone: RFC 3986, Python's `quote`, `encodeURIComponent`.
const URL_SAFE_CHARACTERS: [&str; 3] = ["-._~", "-._~/", "-_.!~*'()"];

/// Every way of writing a text but those of URLs.
const ESCAPES: [Escape; 15] = [
    escape_json,
    escape_json_to_ascii,
    |text| escape_json_for_html(text, |unit| format!("\\u{unit:04x}")),
    |text| escape_json_for_html(text, |unit| format!("\\u{unit:04X}")),
    |text| escape_json(text).replace('/', "\\/"),
    // Python's `repr`, YAML and SQL, `shlex.quote`, `set -x`, inside `"…"`, `printf %q`.
    |text| prefix(text, "\\'"),
    |text| text.replace('\'', "''"),
    |text| text.replace('\'', "'\"'\"'"),
    |text| text.replace('\'', "'\\''"),
    |text| prefix(text, "\\\"$`"),
    |text| prefix(text, "\\\"'$`&|;<>()[]{}*?!#~^ "),
    |text| escape_html(text, "&quot;", "&#x27;"),
    |text| escape_html(text, "&#34;", "&#39;"),
    |text| escape_html(text, "&quot;", "&apos;"),
    |text| escape_html(text, "\"", "'"),
];

/// The ways in which what is escaped already is written once more: Ansible prints what a program
/// printed as JSON, and pages show that.
const NESTING: [Escape; 4] = [
    escape_json,
    escape_json_to_ascii,
    |text| prefix(text, "\\'"),
    |text| escape_html(text, "&quot;", "&#x27;"),
];

/// The text as it is, written in one way, and that inside a document of another kind.
pub(super) fn list_escaped(text: &str) -> BTreeSet<String> {
    // Most secrets are keys in hexadecimal, which nobody writes in another way.
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return BTreeSet::from([text.to_owned()]);
    }
    let mut once: BTreeSet<_> = ESCAPES.iter().map(|escape| escape(text)).collect();
    once.insert(text.to_owned());
    add_url_encoded(&mut once, text);
    let mut all = once.clone();
    for escape in NESTING {
        all.extend(once.iter().map(|text| escape(text)));
    }
    all
}

/// The inside of a JSON string.
pub(super) fn escape_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same as Python writes it unless told otherwise: `\u00e9` for `é`.
fn escape_json_to_ascii(text: &str) -> String {
    escape_units(&escape_json(text), |c| !c.is_ascii(), |unit| format!("\\u{unit:04x}"))
}

/// As JSON is written into pages: without any character of HTML.
fn escape_json_for_html(text: &str, escape: fn(u16) -> String) -> String {
    let slashes = text.replace('\\', "\\\\");
    escape_units(&slashes, |c| matches!(c, '"' | '\'' | '&' | '<' | '>'), escape)
}

fn escape_units(text: &str, is_escaped: fn(char) -> bool, escape: fn(u16) -> String) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if is_escaped(c) {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| escape(*unit)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A backslash before each of these characters.
fn prefix(text: &str, characters: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if characters.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn escape_html(text: &str, double_quote: &str, single_quote: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', double_quote).replace('\'', single_quote)
}

fn add_url_encoded(forms: &mut BTreeSet<String>, text: &str) {
    for safe in URL_SAFE_CHARACTERS {
        let upper = escape_url(text, safe, |byte| format!("%{byte:02X}"));
        let lower = escape_url(text, safe, |byte| format!("%{byte:02x}"));
        forms.extend([upper.replace("%20", "+"), lower.replace("%20", "+"), upper, lower]);
    }
}

fn escape_url(text: &str, safe: &str, escape: fn(u8) -> String) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || safe.bytes().any(|b| b == byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&escape(byte));
        }
    }
    encoded
}
