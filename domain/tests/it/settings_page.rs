//! What the table of settings says, outside of it: `docs/settings.md`, its examples, and a golden file
//! of each schema.
//!
//! `BLESS=1 cargo test -p ocim-domain` writes the page, and the golden file of a new schema.

use crate::golden::{folder, is_blessing};
use crate::sample::{defaults, secrets};
use ocim_domain::settings::kinds::{Form, ITEMS_MAX};
use ocim_domain::settings::{
    HIDDEN, InstanceSettings, SETTINGS, Setting, TextRule, are_known, create_settings,
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The example of every setting.
fn examples() -> Map<String, Value> {
    SETTINGS.iter().map(|setting| (setting.name.to_owned(), (setting.example)())).collect()
}

fn example_settings() -> InstanceSettings {
    let input = serde_json::from_value(Value::Object(examples())).unwrap();
    create_settings(input, &defaults(), "inst_1", &secrets()).unwrap()
}

/// The newest schema of the settings.
fn schema() -> u16 {
    SETTINGS.iter().map(|setting| setting.since).max().unwrap()
}

/// The example of each setting that a schema has; what came later has the value of before.
fn example_of(schema: u16) -> Value {
    let mut json = serde_json::to_value(example_settings()).unwrap();
    for setting in SETTINGS.iter().filter(|setting| setting.since > schema) {
        json.as_object_mut().unwrap().remove(setting.name);
    }
    json
}

/// The golden files of settings, each with its path.
pub(crate) fn golden_names() -> Vec<String> {
    (1..=schema()).map(|schema| format!("settings.v{schema}.json")).collect()
}

#[test]
fn the_settings_of_every_schema_still_read_and_are_written_the_same() {
    for (schema, name) in (1..).zip(golden_names()) {
        let path = folder().join(&name);
        if !path.exists() && is_blessing() {
            let text = serde_json::to_string_pretty(&example_of(schema)).unwrap();
            std::fs::write(&path, text + "\n").unwrap();
        }
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{name}: {error}; see the head of this file"));
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written, example_of(schema), "{name} is no longer written as it was");
        let read: InstanceSettings = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written, "{name}");
        let others = SETTINGS.iter().filter(|setting| setting.since > schema);
        assert_eq!(written.as_object().unwrap().len() + others.count(), SETTINGS.len());
    }
    assert!(are_known(&example_of(schema())));
    assert!(!are_known(&json!({ "name": "x", "of_tomorrow": 1 })));
}

#[test]
fn each_example_passes_and_is_not_the_default() {
    let shown = Value::Object(example_settings().show());
    let mut expected = Value::Object(examples());
    for hidden in SETTINGS.iter().filter(|setting| setting.is_hidden) {
        expected[hidden.name] = HIDDEN.into();
    }
    expected["lms_users"][0]["password_hash"] = HIDDEN.into();
    // A production instance has more of them.
    let extra = shown["configuration_extra_settings"].as_str().unwrap();
    assert!(extra.ends_with(expected["configuration_extra_settings"].as_str().unwrap()));
    expected["configuration_extra_settings"] = extra.into();
    assert_eq!(shown, expected);
    for setting in SETTINGS {
        assert_ne!((setting.example)(), setting.usual_default(), "{}", setting.name);
        assert!(setting.documentation().ends_with('.'), "{}", setting.name);
    }
}

#[test]
fn the_page_says_what_the_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    if is_blessing() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page(), "docs/settings.md is not the table's: see the head of this file");
}

fn page() -> String {
    let mut page = String::from(
        "# Settings of an instance\n\n\
         Made from the table in `domain/src/settings/table.rs` by `BLESS=1 cargo test -p ocim-domain`; \
         a test compares the two. They are given to `ocim instance create` and `ocim instance set` \
         as `FIELD=TEXT`, `FIELD:=JSON` or `FIELD=@FILE`, and to `POST /api/v1/instances` and \
         `PATCH /api/v1/instances/{id}` as JSON. A setting that is left out keeps its value, or gets \
         its default. Adding one: [recipes/setting.md](recipes/setting.md).\n",
    );
    for setting in SETTINGS.iter() {
        page += &format!("\n## `{}`\n\n{}\n\n", setting.name, setting.documentation());
        page += &format!("- **Form**: {}\n", describe_form(setting));
        page += &format!("- **Default**: {}\n", describe_default(setting));
        page += &format!("- **Example**: {}\n", code(&(setting.example)()));
        if setting.is_fixed {
            page += "- **Fixed** once the instance was launched.\n";
        }
        if setting.is_protected {
            page += "- **Protected**: stored encrypted, and left out of histories.\n";
        }
        if setting.is_hidden {
            page += "- **Hidden**: shown as `***`; sent back so, it stays as it is.\n";
        }
        if setting.since > 1 {
            page += &format!("- **Since** schema {}.\n", setting.since);
        }
    }
    page
}

fn describe_form(setting: &Setting) -> String {
    match (setting.form)() {
        Form::Text { rule, may_be_blank } => {
            let blank = if may_be_blank { "; may be blank" } else { "" };
            if let Some(choices) = rule.choices() {
                return format!("one of `{}`{blank}", choices.join("`, `"));
            }
            format!("{}, at most {} characters{blank}", rule.describe(), rule.length_max())
        }
        Form::Boolean => "`true` or `false`".to_owned(),
        Form::Integer { min, max } => format!("whole number from {min} to {max}"),
        Form::List { rule } => {
            let (what, length) = (rule.describe(), rule.length_max());
            format!("list of at most {ITEMS_MAX} items; each {what}, at most {length} characters")
        }
        Form::Map { rule } => {
            let (what, length) = (rule.describe(), rule.length_max());
            format!("texts by name, at most {ITEMS_MAX}; each {what}, at most {length} characters")
        }
        Form::Selector => "JSON object, not empty".to_owned(),
        Form::Records { members, optional } => {
            let member = |(name, rule): &(&str, TextRule)| {
                let may = if optional.contains(name) { "may be left out, " } else { "" };
                format!("`{name}` ({may}{}, at most {})", rule.describe(), rule.length_max())
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("list of at most {ITEMS_MAX} objects of {}", members.join(", "))
        }
    }
}

fn describe_default(setting: &Setting) -> String {
    let usual = setting.usual_default();
    match (setting.from, &usual) {
        (Some(from), Value::String(text)) if text.is_empty() => format!("follows from {from}"),
        // A domain below one that the instance brings is no news.
        (Some(from), _) if setting.is_fixed => from.to_owned(),
        (Some(from), Value::String(text)) if text == "RegionOne" => from.to_owned(),
        (Some(from), _) => format!("{from}, {} where that says nothing", code(&usual)),
        (None, Value::String(text)) if text.is_empty() => "blank".to_owned(),
        (None, _) => code(&usual),
    }
}

fn code(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.split_once('\n') {
        Some((first, _)) => format!("`{first}` …"),
        None => format!("`{text}`"),
    }
}
