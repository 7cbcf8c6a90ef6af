//! The forms in which programs print one secret: as it is, quoted, escaped, encoded.

use super::escapes::{escape_json, list_escaped};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ocim_domain::configuration::secret_values::{Hidden, SecretValue};
use std::collections::BTreeSet;

/// Shorter lines of a longer secret are ordinary words too often to be masked. Characters.
const SHORTEST_LINE: usize = 6;

/// A longer secret of several lines is known by its lines. Bytes.
const LONG_BYTES: usize = 256;

/// Bytes of a value that `base64` tools put on one line: 64 or 76 characters.
const WRAPPED_BYTES: [usize; 2] = [48, 57];

/// What stands between a name and its value.
const SEPARATORS: [&str; 2] = [":", "="];

/// What stands around names and values.
const QUOTES: [&str; 4] = ["", "'", "\"", "\\\""];

/// One form, without white space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    /// What is looked for.
    pub(super) text: String,
    /// Bytes at its start that are the secret's name, and stay.
    pub(super) name_bytes: usize,
    /// Whether it is the secret only where it is no part of a longer word.
    pub(super) is_word: bool,
}

/// Every form of the secret that is to be masked.
pub(super) fn list_forms(secret: &SecretValue) -> BTreeSet<Form> {
    let whole = secret.text.trim();
    let forms = match &secret.hidden {
        Hidden::Everywhere => {
            let texts = list_texts(&secret.text);
            texts.into_iter().map(|text| form(&text, 0, false)).collect::<BTreeSet<_>>()
        }
        Hidden::AsWord => {
            let encoded = [STANDARD.encode(whole), STANDARD_NO_PAD.encode(whole)];
            let texts = list_escaped(whole).into_iter().chain(encoded);
            texts.map(|text| form(&text, 0, true)).collect()
        }
        Hidden::Behind(name) => list_behind(name, whole),
    };
    forms.into_iter().filter(|form| form.text.len() > form.name_bytes).collect()
}

fn form(text: &str, name_bytes: usize, is_word: bool) -> Form {
    Form { text: text.chars().filter(|c| !c.is_whitespace()).collect(), name_bytes, is_word }
}

/// The secret behind its name, in the ways of YAML, JSON, Python, shells and URLs.
fn list_behind(name: &str, value: &str) -> BTreeSet<Form> {
    let mut forms = BTreeSet::new();
    let values = BTreeSet::from([value.to_owned(), escape_json(value)]);
    for value in values {
        for (outer, separator) in QUOTES.iter().flat_map(|q| SEPARATORS.map(|s| (q, s))) {
            for inner in QUOTES {
                let before = format!("{outer}{name}{outer}{separator}{inner}");
                let before = form(&before, 0, false).text;
                forms.insert(form(&format!("{before}{value}"), before.len(), true));
            }
        }
    }
    forms
}

fn list_texts(secret: &str) -> BTreeSet<String> {
    let whole = secret.trim();
    let mut texts = BTreeSet::new();
    let lines = whole.lines().map(str::trim);
    for value in lines.filter(|line| line.chars().count() >= SHORTEST_LINE) {
        texts.extend(list_escaped(value));
        add_base64(&mut texts, value.as_bytes());
    }
    // The lines of a long one are masked one by one: they need no further form of them all.
    let nested = [escape_json(whole), escape_json(&escape_json(whole)), whole.to_owned()];
    texts.extend(nested);
    if !whole.contains('\n') || whole.len() <= LONG_BYTES {
        texts.extend(list_escaped(whole));
    }
    add_base64(&mut texts, whole.as_bytes());
    add_base64(&mut texts, secret.as_bytes());
    add_wrapped_base64(&mut texts, secret.as_bytes());
    texts
}

/// Base64 of the value alone, and what stays the same when it stands inside a longer text.
fn add_base64(texts: &mut BTreeSet<String>, value: &[u8]) {
    for engine in [&STANDARD, &URL_SAFE] {
        texts.insert(engine.encode(value));
    }
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        texts.insert(engine.encode(value));
        for bytes_before in 0..3 {
            let longer = [&[0; 2][..bytes_before], value].concat();
            let encoded = engine.encode(&longer);
            // A character holds six bits; those that hold bits of a neighbour may be anything.
            let fixed = (bytes_before * 8).div_ceil(6)..longer.len() * 8 / 6;
            texts.insert(encoded[fixed].to_owned());
        }
    }
}

/// Each line of a wrapped base64 text, so that no line shows a part of the secret by itself.
fn add_wrapped_base64(texts: &mut BTreeSet<String>, value: &[u8]) {
    for width in WRAPPED_BYTES {
        let rows = value.chunks(width).map(|row| STANDARD.encode(row));
        texts.extend(rows.filter(|row| row.len() > SHORTEST_LINE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(secret: &str) -> BTreeSet<String> {
        let forms = list_forms(&SecretValue::new(secret.to_owned()));
        forms.into_iter().map(|form| form.text).collect()
    }

    #[test]
    fn forms_are_those_that_programs_print() {
        let forms = texts("pä\"s'/1$&<");
        for expected in [
            "pä\"s'/1$&<",
            "pä\\\"s'/1$&<",
            "p\\u00e4\\\"s'/1$&<",
            "pä\\\\\\\"s'/1$&<",
            "p%C3%A4%22s%27%2F1%24%26%3C",
            "p%c3%a4%22s%27/1%24%26%3c",
            "pä\"s'\"'\"'/1$&<",
            "pä\"s'\\''/1$&<",
            "pä\"s''/1$&<",
            "pä\\\"s'/1\\$&<",
            "pä\\\"s\\'/1\\$\\&\\<",
            "pä&quot;s&#x27;/1$&amp;&lt;",
            "pä&#34;s&#39;/1$&amp;&lt;",
            "pä\\u0022s\\u0027/1$\\u0026\\u003c",
            "cMOkInMnLzEkJjw=",
            "cMOkInMnLzEkJjw",
        ] {
            assert!(forms.contains(expected), "{expected} is missing in {forms:#?}");
        }
    }

    #[test]
    fn base64_is_known_at_each_offset_inside_a_longer_text() {
        let forms = texts("s3cr3t");
        for before in ["", "u", "ux", "uxy"] {
            let encoded = STANDARD.encode(format!("{before}s3cr3t:tail"));
            assert!(forms.iter().any(|form| encoded.contains(form)), "{encoded}");
        }
    }

    #[test]
    fn each_long_line_of_a_key_is_a_secret_by_itself() {
        let forms = texts("-----BEGIN KEY-----\n  abcdefgh\nshort\n");
        assert!(forms.contains("abcdefgh") && forms.contains("-----BEGINKEY-----"));
        assert!(!forms.contains("short"));
    }

    #[test]
    fn blank_values_are_no_secrets_and_short_ones_only_as_words() {
        for value in ["", "          ", "\n\n\n\n\n\n\n"] {
            assert_eq!(texts(value), BTreeSet::new(), "{value:?}");
        }
        assert!(list_forms(&SecretValue::new("12345".into())).iter().all(|form| form.is_word));
        assert!(list_forms(&SecretValue::new("äöüäöü".into())).iter().all(|form| !form.is_word));
    }
}
