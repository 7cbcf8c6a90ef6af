//! Takes typed values out of the variables and collects every error on the way.

use super::{ConfigError, Secret};
use ocim_domain::instance::clean_up::{DAYS_DEFAULT, DAYS_MAX};
use ocim_domain::region::LAUNCHES_MAX;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Reads variables by name. A blank value counts as none. A wrong value is noted with the rule it
/// breaks (never with the value, which may be secret) and the default stands in for it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    asked: BTreeSet<&'static str>,
    errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self { variables, asked: BTreeSet::new(), errors: vec![] }
    }

    /// Notes that a variable breaks a rule.
    pub(super) fn refuse(&mut self, variable: &str, rule: impl Into<String>) {
        self.errors.push(ConfigError { variable: variable.to_owned(), rule: rule.into() });
    }

    /// The value, if there is one that is not blank.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<&'a str> {
        self.asked.insert(name);
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Whether the variable is there, be it blank.
    pub(super) fn is_set(&mut self, name: &'static str) -> bool {
        self.asked.insert(name);
        self.variables.contains_key(name)
    }

    /// A text of at most `characters`.
    pub(super) fn text(&mut self, name: &'static str, default: &str, characters: usize) -> String {
        let value = self.optional(name).unwrap_or(default);
        if value.chars().count() > characters {
            self.refuse(name, format!("takes at most {characters} characters"));
        }
        value.to_owned()
    }

    /// As [`Reader::text`]; without one it is another variable's value, which is told of already.
    pub(super) fn text_or_other(
        &mut self,
        name: &'static str,
        other: &str,
        characters: usize,
    ) -> String {
        match self.optional(name) {
            Some(_) => self.text(name, other, characters),
            None => other.to_owned(),
        }
    }

    /// As [`Reader::text`], but a blank value is taken as it is: it says that there is to be none.
    pub(super) fn text_or_blank(
        &mut self,
        name: &'static str,
        default: &str,
        characters: usize,
    ) -> String {
        self.asked.insert(name);
        let is_blank = self.variables.get(name).is_some_and(|value| value.trim().is_empty());
        if is_blank { String::new() } else { self.text(name, default, characters) }
    }

    /// As [`Reader::text_or_blank`], with its spaces.
    pub(super) fn untrimmed(
        &mut self,
        name: &'static str,
        default: &str,
        characters: usize,
    ) -> String {
        self.asked.insert(name);
        let value = self.variables.get(name).map_or(default, String::as_str);
        if value.chars().count() > characters || value.chars().any(char::is_control) {
            self.refuse(name, format!("takes one line of at most {characters} characters"));
        }
        value.to_owned()
    }

    /// A secret text, if given.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.optional(name).map(Secret::new)
    }

    /// Whatever `T` can be read from; `rule` says what that is.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str, rule: &str) -> Option<T> {
        let parsed = self.optional(name)?.parse().ok();
        if parsed.is_none() {
            self.refuse(name, rule);
        }
        parsed
    }

    /// `true` or `false`, as people write them.
    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        match self.optional(name).map(str::to_ascii_lowercase).as_deref() {
            None => default,
            Some("true" | "1" | "yes" | "y" | "on" | "ok") => true,
            Some("false" | "0" | "no" | "n" | "off") => false,
            Some(_) => {
                self.refuse(name, "must be true or false");
                default
            }
        }
    }

    /// Whole seconds, from 1 to a week.
    pub(super) fn seconds(&mut self, name: &'static str, default: u64) -> Duration {
        self.seconds_from(1, name, default)
    }

    /// As [`Reader::seconds`], but there may be none.
    pub(super) fn seconds_or_none(&mut self, name: &'static str, default: u64) -> Duration {
        self.seconds_from(0, name, default)
    }

    /// Whole days, from 1 to a hundred years.
    pub(super) fn days(&mut self, name: &'static str, default: u32) -> u32 {
        self.days_up_to(36_500, name, default)
    }

    /// Whole days after which obsolete Appservers go.
    pub(super) fn clean_up_days(&mut self, name: &'static str) -> u16 {
        let days = self.days_up_to(u32::from(DAYS_MAX), name, u32::from(DAYS_DEFAULT));
        u16::try_from(days).unwrap_or(DAYS_DEFAULT)
    }

    /// Whole days, from 1 to that many.
    fn days_up_to(&mut self, most: u32, name: &'static str, default: u32) -> u32 {
        let rule = format!("must be a whole number of days from 1 to {most}");
        let days = self.parsed(name, &rule).unwrap_or(default);
        if !(1..=most).contains(&days) {
            self.refuse(name, rule);
        }
        days
    }

    fn seconds_from(&mut self, least: u64, name: &'static str, default: u64) -> Duration {
        let rule = format!("must be a whole number of seconds from {least} to 604800");
        let seconds = self.parsed(name, &rule).unwrap_or(default);
        if !(least..=604_800).contains(&seconds) {
            self.refuse(name, rule);
        }
        Duration::from_secs(seconds)
    }

    /// How many launches at a time.
    pub(super) fn launches(&mut self, name: &'static str, default: u32) -> NonZeroU32 {
        let rule = format!("must be a number of launches from 1 to {LAUNCHES_MAX}");
        let launches = self.parsed(name, &rule).unwrap_or(default);
        match NonZeroU32::new(launches) {
            Some(number) if launches <= LAUNCHES_MAX => number,
            _ => {
                self.refuse(name, rule);
                NonZeroU32::MIN
            }
        }
    }

    /// A JSON object that is not empty.
    pub(super) fn selector(&mut self, name: &'static str, default: Value) -> Value {
        let rule = "must be a JSON object that is not empty, such as {\"ram\": 4096}";
        match self.parsed::<Value>(name, rule) {
            Some(Value::Object(fields)) if !fields.is_empty() => Value::Object(fields),
            Some(_) => {
                self.refuse(name, rule);
                default
            }
            None => default,
        }
    }

    /// A host name: letters, digits, hyphens and dots, or prefixes of one that end in a dot or hyphen.
    pub(super) fn domain(&mut self, name: &'static str, default: &str) -> String {
        let value = self.text(name, default, 200);
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        // A default may be another variable's value, which is told of already.
        if self.optional(name).is_none() {
            return value;
        }
        if !value.chars().all(fits) || value.starts_with(['.', '-']) || value.contains("..") {
            self.refuse(name, "must be a domain name of letters, digits, hyphens and dots");
        }
        value
    }

    /// Texts parted by commas.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<String> {
        let texts = self.optional(name).unwrap_or_default().split(',').map(str::trim);
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// A JSON object, which may be empty.
    pub(super) fn object(&mut self, name: &'static str) -> Map<String, Value> {
        let Some(text) = self.optional(name) else { return Map::new() };
        serde_json::from_str(text).unwrap_or_else(|_| {
            self.refuse(name, "must be a JSON object");
            Map::new()
        })
    }

    /// An absolute path, if given.
    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let path = PathBuf::from(self.optional(name)?);
        if !path.is_absolute() {
            self.refuse(name, "must be an absolute path");
        }
        Some(path)
    }

    /// The errors, and one more for each variable with our prefix that nobody asked for.
    pub(super) fn finish(mut self) -> Vec<ConfigError> {
        let known = |name: &str| self.asked.contains(name) || super::OF_OTHERS.contains(&name);
        let strangers: Vec<String> = (self.variables.keys())
            .filter(|name| name.starts_with("OCIM_") && !known(name))
            .cloned()
            .collect();
        for name in strangers {
            self.refuse(&name, "is not a variable that Ocim knows");
        }
        self.errors
    }
}
