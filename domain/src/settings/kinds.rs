//! What a setting may be: its form in events and in what people send, and the rules of its own.

use super::lms_users::HIDDEN;
use super::rules::{TextRule, Verdict};
use crate::protected::{self, Protected};
use crate::text::nests_within;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Items of a list, and members of a map, e.g. groups and e-mail addresses.
pub const ITEMS_MAX: usize = 100;
/// Clouds' selectors are flat, or nearly so.
const SELECTOR_DEPTH_MAX: usize = 16;
/// The share of a selector in the append that a launch freezes settings and variables into.
const SELECTOR_BYTES_MAX: usize = crate::event::APPEND_BYTES_MAX / 128;

/// A kind of setting.
pub trait Kind {
    /// Its form in settings and events.
    type Value: Clone + PartialEq + Serialize + DeserializeOwned;
    /// Its form in what people send.
    type Input: Given;
    /// Whether the store encrypts it, because it is secret or personal.
    const IS_PROTECTED: bool = false;
    /// Whether nobody is shown it, but that there is one.
    const IS_HIDDEN: bool = false;

    /// What people gave, as settings hold it; `subject` owns what is protected.
    fn make(given: Self::Input, subject: &str) -> Self::Value;

    /// What people gave in the place of what was there, as settings hold it.
    fn replace(_former: &Self::Value, given: Self::Input, subject: &str) -> Self::Value {
        Self::make(given, subject)
    }

    /// Whether what people gave leaves the setting as it is.
    fn leaves(_given: &Self::Input) -> bool {
        false
    }

    /// Tells each broken rule, beside which part of the value breaks it: blank, or `[2]`.
    fn check(&self, value: &Self::Value, tell: &mut dyn FnMut(&str, String));

    /// The value as people see it: protected texts open, or `[shredded]`.
    fn show(value: &Self::Value) -> Value;

    /// The value as people would give it, also where nobody is shown it; none where it was erased.
    fn open(value: &Self::Value) -> Option<Value> {
        Some(Self::show(value))
    }

    /// Its form and limits, for descriptions.
    fn form(&self) -> Form;
}

/// What people send for a setting.
pub trait Given: Clone + PartialEq + DeserializeOwned {
    /// What `null` says; nothing where it is as if the setting had been left out.
    #[must_use]
    fn null() -> Option<Self> {
        None
    }
}

impl Given for String {}
impl Given for bool {}
impl Given for i64 {}
impl Given for Value {}
impl Given for Vec<String> {}
impl Given for BTreeMap<String, String> {}

/// A text for which `null` says that there is to be none, as a blank one does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct BlankableText(pub String);

impl Given for BlankableText {
    fn null() -> Option<Self> {
        Some(Self::default())
    }
}

impl From<&str> for BlankableText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Reads what people sent for a setting that they named.
///
/// # Errors
/// When it is of another type.
pub fn read_given<'de, D: Deserializer<'de>, G: Given>(given: D) -> Result<Option<G>, D::Error> {
    Option::<G>::deserialize(given).map(|given| given.or_else(G::null))
}

/// The form and limits of a setting, for descriptions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// A text.
    Text {
        /// What it must be.
        rule: TextRule,
        /// Whether it may be blank.
        may_be_blank: bool,
    },
    /// True or false.
    Boolean,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// At most [`ITEMS_MAX`] texts.
    List {
        /// What each must be.
        rule: TextRule,
    },
    /// At most [`ITEMS_MAX`] texts by their names, which are short lines.
    Map {
        /// What each must be.
        rule: TextRule,
    },
    /// A JSON object that chooses something of a cloud by its members.
    Selector,
    /// At most [`ITEMS_MAX`] JSON objects.
    Records {
        /// The members of each, and what each must be.
        members: &'static [(&'static str, TextRule)],
        /// Those that may be left out.
        optional: &'static [&'static str],
    },
}

/// A text that is not blank.
#[derive(Debug, Clone, Copy)]
pub struct Text(pub TextRule);

impl Kind for Text {
    type Value = String;
    type Input = String;

    fn make(given: String, _subject: &str) -> String {
        given
    }

    fn check(&self, value: &String, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", self.0.check(value), tell);
    }

    fn show(value: &String) -> Value {
        value.as_str().into()
    }

    fn form(&self) -> Form {
        Form::Text { rule: self.0, may_be_blank: false }
    }
}

/// A text that may be blank, where there is none.
#[derive(Debug, Clone, Copy)]
pub struct OptionalText(pub TextRule);

impl Kind for OptionalText {
    type Value = String;
    type Input = BlankableText;

    fn make(given: BlankableText, _subject: &str) -> String {
        given.0
    }

    fn check(&self, value: &String, tell: &mut dyn FnMut(&str, String)) {
        if !value.is_empty() {
            tell_broken("", self.0.check(value), tell);
        }
    }

    fn show(value: &String) -> Value {
        value.as_str().into()
    }

    fn form(&self) -> Form {
        Form::Text { rule: self.0, may_be_blank: true }
    }
}

/// A text that follows from others where none is given: a blank one says nothing.
#[derive(Debug, Clone, Copy)]
pub struct DerivedText(pub TextRule);

impl Kind for DerivedText {
    type Value = String;
    type Input = String;

    fn make(given: String, _subject: &str) -> String {
        given
    }

    fn leaves(given: &String) -> bool {
        given.is_empty()
    }

    fn check(&self, value: &String, tell: &mut dyn FnMut(&str, String)) {
        if !value.is_empty() {
            tell_broken("", self.0.check(value), tell);
        }
    }

    fn show(value: &String) -> Value {
        value.as_str().into()
    }

    fn form(&self) -> Form {
        Form::Text { rule: self.0, may_be_blank: true }
    }
}

/// A secret or personal text. Whether it may be blank is its rule's to say.
#[derive(Debug, Clone, Copy)]
pub struct ProtectedText(pub TextRule);

impl Kind for ProtectedText {
    type Value = Protected;
    type Input = String;
    const IS_PROTECTED: bool = true;

    fn make(given: String, subject: &str) -> Protected {
        Protected::new(subject, given)
    }

    fn check(&self, value: &Protected, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_open(self.0, value), tell);
    }

    fn show(value: &Protected) -> Value {
        value.text().into()
    }

    fn open(value: &Protected) -> Option<Value> {
        value.open().map(Value::from)
    }

    fn form(&self) -> Form {
        Form::Text { rule: self.0, may_be_blank: self.0.check("").is_ok() }
    }
}

/// A secret that is given and never shown. It can't be taken away.
#[derive(Debug, Clone, Copy)]
pub struct HiddenText(pub TextRule);

impl Kind for HiddenText {
    type Value = Protected;
    type Input = String;
    const IS_PROTECTED: bool = true;
    const IS_HIDDEN: bool = true;

    fn make(given: String, subject: &str) -> Protected {
        Protected::new(subject, given)
    }

    fn leaves(given: &String) -> bool {
        given.is_empty() || given == HIDDEN
    }

    fn check(&self, value: &Protected, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_open(self.0, value), tell);
    }

    fn show(value: &Protected) -> Value {
        show_hidden(value)
    }

    fn open(value: &Protected) -> Option<Value> {
        value.open().map(Value::from)
    }

    fn form(&self) -> Form {
        Form::Text { rule: self.0, may_be_blank: true }
    }
}

/// A secret that is given and never shown; blank where there is none.
#[derive(Debug, Clone, Copy)]
pub struct OptionalHiddenText(pub TextRule);

impl Kind for OptionalHiddenText {
    type Value = Protected;
    type Input = BlankableText;
    const IS_PROTECTED: bool = true;
    const IS_HIDDEN: bool = true;

    fn make(given: BlankableText, subject: &str) -> Protected {
        Protected::new(subject, given.0)
    }

    fn leaves(given: &BlankableText) -> bool {
        given.0 == HIDDEN
    }

    fn check(&self, value: &Protected, tell: &mut dyn FnMut(&str, String)) {
        if value.open() != Some("") {
            tell_broken("", check_open(self.0, value), tell);
        }
    }

    fn show(value: &Protected) -> Value {
        show_hidden(value)
    }

    fn open(value: &Protected) -> Option<Value> {
        value.open().map(Value::from)
    }

    fn form(&self) -> Form {
        Form::Text { rule: self.0, may_be_blank: true }
    }
}

/// That there is one, or none.
fn show_hidden(value: &Protected) -> Value {
    if value.open() == Some("") { "".into() } else { HIDDEN.into() }
}

/// Texts in an order.
#[derive(Debug, Clone, Copy)]
pub struct TextList(pub TextRule);

impl Kind for TextList {
    type Value = Vec<String>;
    type Input = Vec<String>;

    fn make(given: Vec<String>, _subject: &str) -> Vec<String> {
        given
    }

    fn check(&self, value: &Vec<String>, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_number(value.len()), tell);
        for (index, text) in value.iter().enumerate() {
            tell_broken(&format!("[{index}]"), self.0.check(text), tell);
        }
    }

    fn show(value: &Vec<String>) -> Value {
        value.iter().map(String::as_str).collect()
    }

    fn form(&self) -> Form {
        Form::List { rule: self.0 }
    }
}

/// Secret or personal texts in an order, e.g. people's e-mail addresses.
#[derive(Debug, Clone, Copy)]
pub struct ProtectedList(pub TextRule);

impl Kind for ProtectedList {
    type Value = Vec<Protected>;
    type Input = Vec<String>;
    const IS_PROTECTED: bool = true;

    fn make(given: Vec<String>, subject: &str) -> Vec<Protected> {
        given.into_iter().map(|text| Protected::new(subject, text)).collect()
    }

    fn check(&self, value: &Vec<Protected>, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_number(value.len()), tell);
        for (index, text) in value.iter().enumerate() {
            tell_broken(&format!("[{index}]"), check_open(self.0, text), tell);
        }
    }

    fn show(value: &Vec<Protected>) -> Value {
        value.iter().map(Protected::text).collect()
    }

    fn open(value: &Vec<Protected>) -> Option<Value> {
        value.iter().map(Protected::open).collect::<Option<Vec<_>>>().map(Value::from)
    }

    fn form(&self) -> Form {
        Form::List { rule: self.0 }
    }
}

/// Texts by their names.
#[derive(Debug, Clone, Copy)]
pub struct TextMap(pub TextRule);

/// What names the members of a map.
const MEMBER_NAME: TextRule = TextRule::Line(100);

impl Kind for TextMap {
    type Value = BTreeMap<String, String>;
    type Input = BTreeMap<String, String>;

    fn make(given: Self::Input, _subject: &str) -> Self::Value {
        given
    }

    fn check(&self, value: &Self::Value, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_number(value.len()), tell);
        for (index, (name, text)) in value.iter().enumerate() {
            // A name that breaks its rule is not repeated.
            match MEMBER_NAME.check(name).and_then(|()| check_mark(name)) {
                Ok(()) => tell_broken(&format!(".{name}"), self.0.check(text), tell),
                Err(rule) => tell("", format!("has a name, its number {}, that {rule}", index + 1)),
            }
        }
    }

    fn show(value: &Self::Value) -> Value {
        value.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect()
    }

    fn form(&self) -> Form {
        Form::Map { rule: self.0 }
    }
}

/// True or false.
#[derive(Debug, Clone, Copy)]
pub struct Boolean;

impl Kind for Boolean {
    type Value = bool;
    type Input = bool;

    fn make(given: bool, _subject: &str) -> bool {
        given
    }

    fn check(&self, _value: &bool, _tell: &mut dyn FnMut(&str, String)) {}

    fn show(value: &bool) -> Value {
        (*value).into()
    }

    fn form(&self) -> Form {
        Form::Boolean
    }
}

/// A whole number between these two, or one of them.
#[derive(Debug, Clone, Copy)]
pub struct Integer(pub i64, pub i64);

impl Kind for Integer {
    type Value = i64;
    type Input = i64;

    fn make(given: i64, _subject: &str) -> i64 {
        given
    }

    fn check(&self, value: &i64, tell: &mut dyn FnMut(&str, String)) {
        if !(self.0..=self.1).contains(value) {
            tell("", format!("must be a whole number from {} to {}", self.0, self.1));
        }
    }

    fn show(value: &i64) -> Value {
        (*value).into()
    }

    fn form(&self) -> Form {
        Form::Integer { min: self.0, max: self.1 }
    }
}

/// A JSON object that chooses something of a cloud by its members.
#[derive(Debug, Clone, Copy)]
pub struct Selector;

impl Kind for Selector {
    type Value = Value;
    type Input = Value;

    fn make(given: Value, _subject: &str) -> Value {
        given
    }

    fn check(&self, value: &Value, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_selector(value), tell);
    }

    fn show(value: &Value) -> Value {
        value.clone()
    }

    fn form(&self) -> Form {
        Form::Selector
    }
}

pub(super) fn tell_broken(part: &str, verdict: Verdict, tell: &mut dyn FnMut(&str, String)) {
    if let Err(rule) = verdict {
        tell(part, rule);
    }
}

/// A text that is sealed here was checked when it was given.
pub(super) fn check_open(rule: TextRule, text: &Protected) -> Verdict {
    text.open().map_or(Ok(()), |text| rule.check(text))
}

pub(super) fn check_number(items: usize) -> Verdict {
    if items > ITEMS_MAX {
        return Err(format!("must not have more than {ITEMS_MAX} items"));
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
        _ if has_key(value, protected::MARK) => {
            Err(format!("must not have a member `{}`", protected::MARK))
        }
        Value::Object(members) if !members.is_empty() => Ok(()),
        _ => Err("must be a JSON object that is not empty, like `{\"name\": \"…\"}`".to_owned()),
    }
}

/// The mark of protected values is the store's own.
fn check_mark(name: &str) -> Verdict {
    if name == protected::MARK { Err("is the store's own".to_owned()) } else { Ok(()) }
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
