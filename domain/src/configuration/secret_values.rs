//! Which values of an Appserver's variables are secret, and where a log must not show them.

use super::Variables;
use super::secret_names::{
    names_a_credential, names_a_description, names_a_measure, names_a_secret, split_name,
};
use super::template::{is_template, literal_parts, without_expressions};
use crate::url_credentials::find_url_credentials;
use serde_json::{Number, Value};
use std::collections::BTreeSet;
use std::fmt;

/// From so many characters on a secret is hidden wherever it stands, also inside of words.
const LONG: usize = 6;
/// From so many characters on it is hidden where it is a word of its own.
const SHORT: usize = 4;

/// Values that say nothing, whatever their name.
const LITERALS: [&str; 9] = ["", "true", "false", "yes", "no", "on", "off", "none", "null"];

/// Names that hold users, paths and names of the site.
const ORDINARY: [&str; 23] = [
    "base",
    "branch",
    "bucket",
    "database",
    "db",
    "dir",
    "directory",
    "domain",
    "email",
    "group",
    "home",
    "host",
    "hostname",
    "login",
    "name",
    "owner",
    "path",
    "release",
    "site",
    "url",
    "user",
    "username",
    "version",
];

/// Where a secret is hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hidden {
    /// Wherever it stands.
    Everywhere,
    /// Where it is a word of its own: it is short.
    AsWord,
    /// Only behind this name, as in `PASSWORD: edxapp`: it is very short, or also a user, path or
    /// name of the site, and hiding it alone would hide those; or it only describes a secret.
    Behind(String),
}

/// A text that a log must not show.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretValue {
    /// The text.
    pub text: String,
    /// Where it is hidden.
    pub hidden: Hidden,
}

impl SecretValue {
    /// A secret of no variable: the longer it is, the more places it is hidden in.
    #[must_use]
    pub fn new(text: String) -> Self {
        let hidden = match visible_length(&text) {
            LONG.. => Hidden::Everywhere,
            _ => Hidden::AsWord,
        };
        Self { text, hidden }
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretValue").field("hidden", &self.hidden).finish_non_exhaustive()
    }
}

/// Every secret of the variables: values below names that speak of secrets, of any type but
/// booleans; members of JSON texts; literal parts of templates; passwords inside URLs.
#[must_use]
pub fn list_secret_values(variables: &Variables) -> Vec<SecretValue> {
    let mut search = Search::default();
    search.visit_members(variables, false);
    let secrets: BTreeSet<_> =
        search.found.iter().filter_map(|found| search.judge(found)).collect();
    secrets.into_iter().collect()
}

/// One sentence for each password or token that can't be hidden by itself: whoever set it should
/// choose another.
#[must_use]
pub fn warn_of_weak_secrets(variables: &Variables) -> Vec<String> {
    let names =
        list_secret_values(variables).into_iter().filter_map(|secret| match secret.hidden {
            Hidden::Behind(name) => Some(name).filter(|name| names_a_credential(name)),
            Hidden::Everywhere | Hidden::AsWord => None,
        });
    let names: BTreeSet<_> = names.collect();
    let warn = |name| {
        format!(
            "`{name}` holds a secret that is very short, or also a user, path or name of the site: \
             logs hide it only right behind its name; choose a longer one that is nothing else"
        )
    };
    names.into_iter().map(warn).collect()
}

fn visible_length(text: &str) -> usize {
    text.trim().chars().filter(|c| !c.is_whitespace()).count()
}

/// A text under a name.
struct Found {
    name: String,
    text: String,
}

/// What a walk through the variables has found.
#[derive(Default)]
struct Search {
    found: Vec<Found>,
    /// Users, paths and names of the site, in lower case.
    ordinary: BTreeSet<String>,
}

impl Search {
    fn visit_members(&mut self, members: &Variables, is_secret: bool) {
        for (name, value) in members {
            self.ordinary.extend(split_name(name));
            self.visit(name, value, is_secret || names_a_secret(name));
        }
    }

    fn visit(&mut self, name: &str, value: &Value, is_secret: bool) {
        match value {
            Value::Object(members) => self.visit_members(members, is_secret),
            Value::Array(items) => items.iter().for_each(|item| self.visit(name, item, is_secret)),
            Value::String(text) => self.visit_text(name, text, is_secret),
            Value::Number(number) if is_secret && !names_a_measure(name) => {
                printed_forms(number).into_iter().for_each(|text| self.add(name, &text));
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn visit_text(&mut self, name: &str, text: &str, is_secret: bool) {
        self.visit_urls(name, text);
        if text.trim_start().starts_with(['{', '['])
            && let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
        {
            self.visit(name, &inner, is_secret);
        }
        if is_secret && is_template(text) {
            literal_parts(text).into_iter().for_each(|part| self.add(name, part));
        } else if is_secret {
            self.add(name, text);
        } else {
            self.note_ordinary(name, text);
        }
    }

    /// The passwords of URLs, whatever the name, and users that are tokens.
    fn visit_urls(&mut self, name: &str, text: &str) {
        let plain = without_expressions(text);
        for login in find_url_credentials(&plain) {
            let user_at = login.place.start..login.place.start + login.user.len();
            if let Some(password) = login.password.filter(|password| !password.is_empty()) {
                let password_at = login.place.end - password.len()..login.place.end;
                // What stands right before it, so that one that is also a user can be hidden there.
                let before = if login.user.is_empty() { name } else { login.user };
                self.add_url_part(before, &text[password_at]);
            }
            if login.user_is_secret() {
                self.add_url_part(name, &text[user_at]);
            } else {
                self.ordinary.insert(login.user.to_lowercase());
            }
        }
    }

    fn add_url_part(&mut self, name: &str, part: &str) {
        for literal in if is_template(part) { literal_parts(part) } else { vec![part] } {
            self.add(name, literal);
            self.add(name, &decode_percent(literal));
        }
    }

    fn add(&mut self, name: &str, text: &str) {
        if !LITERALS.contains(&text.trim().to_lowercase().as_str()) {
            self.found.push(Found { name: name.to_owned(), text: text.to_owned() });
        }
    }

    /// Users, paths and names of the site are known by their names, and paths by their look.
    fn note_ordinary(&mut self, name: &str, text: &str) {
        let says_so = split_name(name).iter().any(|word| ORDINARY.contains(&word.as_str()));
        if !says_so && !text.starts_with('/') {
            return;
        }
        let plain = text.to_lowercase();
        if find_url_credentials(text).is_empty() {
            self.ordinary.insert(plain.trim().to_owned());
            let is_between = |c: char| c.is_whitespace() || "/:@,;?&=\"'".contains(c);
            for part in plain.split(is_between) {
                self.ordinary.insert(part.to_owned());
                self.ordinary.extend(part.split('.').map(str::to_owned));
            }
        }
    }

    /// `None` for what is hidden by its parts.
    fn judge(&self, found: &Found) -> Option<SecretValue> {
        let text = found.text.clone();
        let hidden = match visible_length(&text) {
            0 => return None,
            _ if names_a_description(&found.name) || self.is_ordinary(&text) => {
                Hidden::Behind(found.name.clone())
            }
            LONG.. => Hidden::Everywhere,
            SHORT.. => Hidden::AsWord,
            _ => Hidden::Behind(found.name.clone()),
        };
        Some(SecretValue { text, hidden })
    }

    fn is_ordinary(&self, text: &str) -> bool {
        let lower = text.trim().to_lowercase();
        let is_known = |text: &str| self.ordinary.contains(text);
        // An address of the site, with nothing in it but its host and a path.
        let host = ["http://", "https://"].iter().find_map(|scheme| lower.strip_prefix(scheme));
        let host = host.filter(|rest| !rest.contains(['@', '?', '#']));
        let host = host.and_then(|rest| rest.split(['/', ':']).next());
        is_known(&lower) || host.is_some_and(|host| host.contains('.') && is_known(host))
    }
}

/// As programs print the number, and as people write it in YAML: `0644` is 420.
fn printed_forms(number: &Number) -> Vec<String> {
    let decimal = number.to_string();
    let mut forms = vec![decimal.replacen('e', "e+", 1).replace("+-", "-")];
    if let Some(whole) = number.as_u64() {
        forms.extend([format!("0{whole:o}"), format!("0o{whole:o}"), format!("{whole:#x}")]);
    }
    forms.extend(decimal.strip_suffix(".0").map(str::to_owned));
    forms.push(decimal);
    forms
}

/// The text with `%41` as `A`; as it is where that gives no text.
fn decode_percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
