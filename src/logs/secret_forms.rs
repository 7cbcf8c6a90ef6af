//! The forms in which programs print one secret: as it is, escaped, encoded.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;

/// Shorter values are ordinary words too often to be masked. Characters, line ends not counted.
const SHORTEST: usize = 6;

/// Bytes of a value that `base64` tools put on one line: 64 or 76 characters.
const WRAPPED_BYTES: [usize; 2] = [48, 57];

/// Characters that URL encoders leave alone: RFC 3986, Python's `quote`, `encodeURIComponent`.
const URL_SAFE_CHARACTERS: [&str; 3] = ["-._~", "-._~/", "-_.!~*'()"];

/// Every form of the secret that is to be masked, without line ends; empty when it is too short.
pub(super) fn list_forms(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for value in list_values(secret) {
        add_escaped(&mut forms, value);
        add_url_encoded(&mut forms, value);
        add_base64(&mut forms, value.as_bytes());
    }
    if is_long_enough(secret) {
        add_base64(&mut forms, secret.as_bytes());
        add_wrapped_base64(&mut forms, secret.as_bytes());
    }
    forms.into_iter().map(|form| form.replace(['\n', '\r'], "")).collect()
}

/// The secret without the white space around it, and each of its lines.
fn list_values(secret: &str) -> BTreeSet<&str> {
    let trimmed = secret.trim();
    // Where the white space makes it long enough, it belongs to the secret.
    let whole = if is_long_enough(trimmed) { trimmed } else { secret };
    let lines = trimmed.lines().map(str::trim);
    lines.chain([whole]).filter(|value| is_long_enough(value)).collect()
}

fn is_long_enough(value: &str) -> bool {
    let visible = value.chars().filter(|c| !matches!(c, '\n' | '\r'));
    !value.trim().is_empty() && visible.count() >= SHORTEST
}

/// The value itself, inside a JSON string, and inside a JSON document inside a JSON string.
fn add_escaped(forms: &mut BTreeSet<String>, value: &str) {
    let escaped = escape_json(value);
    let ascii = escape_json_to_ascii(value);
    forms.extend([escape_json(&escaped), escape_json(&ascii), escaped, ascii, value.to_owned()]);
}

/// The inside of a JSON string.
fn escape_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The same as Python writes it unless told otherwise: `\u00e9` for `é`.
fn escape_json_to_ascii(text: &str) -> String {
    let mut ascii = String::new();
    for c in escape_json(text).chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            ascii.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    ascii
}

fn add_url_encoded(forms: &mut BTreeSet<String>, value: &str) {
    for safe in URL_SAFE_CHARACTERS {
        let upper = encode_url(value, |byte| format!("%{byte:02X}"), safe);
        let lower = encode_url(value, |byte| format!("%{byte:02x}"), safe);
        forms.extend([upper.replace("%20", "+"), lower.replace("%20", "+"), upper, lower]);
    }
}

fn encode_url(text: &str, escape: impl Fn(u8) -> String, safe: &str) -> String {
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

/// Base64 of the value alone, and what stays the same when it stands inside a longer text.
fn add_base64(forms: &mut BTreeSet<String>, value: &[u8]) {
    for engine in [&STANDARD, &URL_SAFE] {
        forms.insert(engine.encode(value));
    }
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        forms.insert(engine.encode(value));
        for bytes_before in 0..3 {
            let longer = [&[0; 2][..bytes_before], value].concat();
            let encoded = engine.encode(&longer);
            // A character holds six bits; those that hold bits of a neighbour may be anything.
            let fixed = (bytes_before * 8).div_ceil(6)..longer.len() * 8 / 6;
            forms.insert(encoded[fixed].to_owned());
        }
    }
}

/// Each line of a wrapped base64 text, so that no line shows a part of the secret by itself.
fn add_wrapped_base64(forms: &mut BTreeSet<String>, value: &[u8]) {
    for width in WRAPPED_BYTES {
        let rows = value.chunks(width).map(|row| STANDARD.encode(row));
        forms.extend(rows.filter(|row| row.len() > SHORTEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_that_programs_print() {
        let forms = list_forms("pä\"s /1");
        for expected in [
            "pä\"s /1",
            "pä\\\"s /1",
            "p\\u00e4\\\"s /1",
            "pä\\\\\\\"s /1",
            "p%C3%A4%22s%20%2F1",
            "p%c3%a4%22s+/1",
            "cMOkInMgLzE=",
            "cMOkInMgLzE",
        ] {
            assert!(forms.contains(expected), "{expected} is missing in {forms:#?}");
        }
    }

    #[test]
    fn base64_is_known_at_each_offset_inside_a_longer_text() {
        let forms = list_forms("s3cr3t");
        for before in ["", "u", "ux", "uxy"] {
            let encoded = STANDARD.encode(format!("{before}s3cr3t:tail"));
            assert!(forms.iter().any(|form| encoded.contains(form)), "{encoded}");
        }
    }

    #[test]
    fn each_long_line_of_a_key_is_a_secret_by_itself() {
        let forms = list_forms("-----BEGIN KEY-----\n  abcdefgh\nshort\n");
        assert!(forms.contains("abcdefgh") && forms.contains("-----BEGIN KEY-----"));
        assert!(!forms.contains("short"));
    }

    #[test]
    fn short_and_blank_values_are_no_secrets() {
        for value in ["", "12345", "ab\n\n\n\n\ncd", "          ", "\n\n\n\n\n\n\n"] {
            assert_eq!(list_forms(value), BTreeSet::new(), "{value:?}");
        }
        assert!(list_forms("äöüäöü").contains("äöüäöü"));
        assert!(list_forms("  abcd  ").contains("  abcd  "));
    }
}
