//! Texts of people, tools and machines: which can be stored, what stands in for the rest, how they are shown.
//!
//! People are told what is wrong with theirs; nobody can tell a tool so, whose texts are mended. What
//! can't be stored is one character: PostgreSQL's texts have no U+0000. (A lone surrogate is no
//! character of Rust's texts to begin with; whoever decodes bytes puts U+FFFD in its place.)

use crate::Timestamp;
use chrono::Datelike;
use serde_json::Value;
use std::borrow::Cow;

/// Most characters of a reason or another note of a person.
pub const NOTE_CHARS_MAX: usize = 2_000;
/// Most bytes of what a tool, a provider or a machine says, where it goes into an event.
pub const TOOL_TEXT_BYTES_MAX: usize = 16 * 1024;
/// What is wrong with a text that can't be stored; to be read after its field's name.
pub const NUL_RULE: &str = "must not hold the character U+0000";
/// What is wrong with a time that can't be stored; to be read after its field's name.
pub const TIME_RULE: &str = "must be a time of the years 0001 to 9999";

/// Stands in a text for what can't be stored.
const REPLACEMENT: &str = "\u{fffd}";

/// What is wrong with a note of a person, to be read after its field's name.
///
/// # Errors
/// The rule that it breaks.
pub fn check_note(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err(NUL_RULE.to_owned());
    }
    if text.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    if text.chars().count() > NOTE_CHARS_MAX {
        return Err(format!("must have at most {NOTE_CHARS_MAX} characters"));
    }
    Ok(())
}

/// Where in a JSON the first text or key stands that can't be stored: `a.b[2]`.
#[must_use]
pub fn find_unstorable(value: &Value) -> Option<String> {
    find_within(value, &mut String::new())
}

fn find_within(value: &Value, path: &mut String) -> Option<String> {
    let parent = path.len();
    match value {
        Value::String(text) => text.contains('\0').then(|| path.clone()),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            path.push_str(&format!("[{index}]"));
            let found = find_within(item, path);
            path.truncate(parent);
            found
        }),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if parent > 0 {
                path.push('.');
            }
            path.push_str(&make_storable(name));
            let found =
                if name.contains('\0') { Some(path.clone()) } else { find_within(field, path) };
            path.truncate(parent);
            found
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a time reads as one in every part: its year has four digits.
#[must_use]
pub fn is_storable_time(time: Timestamp) -> bool {
    (1..=9999).contains(&time.year())
}

/// Whether arrays and objects stand within each other no deeper than that.
#[must_use]
pub fn nests_within(value: &Value, depth: usize) -> bool {
    match (value, depth) {
        (Value::Array(_) | Value::Object(_), 0) => false,
        (Value::Array(items), _) => items.iter().all(|item| nests_within(item, depth - 1)),
        (Value::Object(fields), _) => fields.values().all(|field| nests_within(field, depth - 1)),
        _ => true,
    }
}

/// The text of a tool with U+FFFD for what can't be stored, whatever its length.
#[must_use]
pub fn make_storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', REPLACEMENT).into() } else { text.into() }
}

/// What a tool or machine wrote, as a text: whatever is no character becomes U+FFFD.
#[must_use]
pub fn decode_output(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    make_storable(&text).into_owned()
}

/// As [`make_storable`], and no longer than [`TOOL_TEXT_BYTES_MAX`]: the middle of a longer one is left
/// out, since tools say what they do first and why it failed last.
#[must_use]
pub fn make_recordable(text: &str) -> String {
    let text = make_storable(text);
    if text.len() <= TOOL_TEXT_BYTES_MAX {
        return text.into_owned();
    }
    let half = TOOL_TEXT_BYTES_MAX / 2 - 32;
    let (head, tail) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    format!("{}… [{} bytes left out] …{}", &text[..head], tail - head, &text[tail..])
}

/// A JSON of a tool, every text and key of it as [`make_storable`] leaves it.
#[must_use]
pub fn make_value_storable(value: Value) -> Value {
    match value {
        Value::String(text) => make_storable(&text).into(),
        Value::Array(items) => items.into_iter().map(make_value_storable).collect(),
        Value::Object(fields) => {
            let mend = |(name, field): (String, Value)| {
                (make_storable(&name).into_owned(), make_value_storable(field))
            };
            fields.into_iter().map(mend).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A text as one line of a terminal may show it.
///
/// Whatever would move the cursor, begin another line, give the terminal an order or turn the
/// direction of writing is written out, as `\n` or `\u{1b}`. Tabulators stay.
#[must_use]
pub fn escape_control(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            _ if is_control(c) => escaped.extend(c.escape_unicode()),
            _ => escaped.push(c),
        }
    }
    escaped.into()
}

/// A JSON text in which such characters stand as JSON's own escapes. Line ends stay: within a JSON
/// text they are never part of a string.
#[must_use]
pub fn escape_control_in_json(json: &str) -> Cow<'_, str> {
    let is_order = |c: char| is_control(c) && c != '\n';
    if !json.chars().any(is_order) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_order(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// Control characters but the tabulator, line and paragraph separators, and all that turn the
/// direction of writing.
fn is_control(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || (c.is_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_or_key_that_cannot_be_stored_is_found_where_it_stands() {
        for (value, path) in [
            (json!({"a": "x\0"}), "a"),
            (json!({"a": [0, {"b": "\0"}]}), "a[1].b"),
            (json!({"a": {"b\0": 1}}), "a.b\u{fffd}"),
            (json!(["\0"]), "[0]"),
        ] {
            assert_eq!(find_unstorable(&value).as_deref(), Some(path), "{value}");
            assert_eq!(find_unstorable(&make_value_storable(value)), None);
        }
        // What only looks like one is six characters.
        assert_eq!(find_unstorable(&json!({"\\u0000": "\\u0000 \u{fffd} \u{1}"})), None);
    }

    #[test]
    fn what_is_made_fit_to_be_stored_keeps_all_else() {
        let given = json!({"a\0": ["x\0", "y", null, true, 1.5, {"b": "\0"}], "c": "z"});
        let kept = json!({
            "a\u{fffd}": ["x\u{fffd}", "y", null, true, 1.5, {"b": "\u{fffd}"}],
            "c": "z",
        });
        assert_eq!(make_value_storable(given), kept);
    }

    #[test]
    fn what_stands_within_each_other_is_counted() {
        for (value, depth) in [
            (json!("x"), 0),
            (json!([]), 1),
            (json!({"a": 1, "b": [1]}), 2),
            (json!([0, {"a": [{}]}]), 4),
        ] {
            assert!(nests_within(&value, depth), "{value}");
            assert!(depth == 0 || !nests_within(&value, depth - 1), "{value}");
        }
    }

    #[test]
    fn a_time_can_be_stored_while_its_year_has_four_digits() {
        let first_of = |year| {
            let day = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
            day.and_time(chrono::NaiveTime::MIN).and_utc()
        };
        for (year, is_storable) in
            [(0, false), (1, true), (2024, true), (9999, true), (10_000, false), (-1, false)]
        {
            assert_eq!(is_storable_time(first_of(year)), is_storable, "{year}");
        }
    }

    #[test]
    fn what_a_tool_wrote_is_a_text_whatever_its_bytes_are() {
        assert_eq!(decode_output("für 3 €".as_bytes()), "für 3 €");
        assert_eq!(decode_output(b"a\xffb\0c"), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn a_long_text_of_a_tool_keeps_its_beginning_and_its_end() {
        let told =
            make_recordable(&format!("begin {} the reason", "é\0".repeat(TOOL_TEXT_BYTES_MAX)));
        assert!(told.len() <= TOOL_TEXT_BYTES_MAX, "{}", told.len());
        assert!(told.len() > TOOL_TEXT_BYTES_MAX - 64, "no more is lost than must be");
        assert!(told.starts_with("begin é\u{fffd}") && told.ends_with("the reason"));
        assert!(told.contains("bytes left out"));
        assert_eq!(make_recordable("short"), "short");
    }

    #[test]
    fn notes_are_as_long_as_notes_are() {
        assert_eq!(check_note(&"é".repeat(NOTE_CHARS_MAX)), Ok(()));
        assert!(check_note(&"é".repeat(NOTE_CHARS_MAX + 1)).unwrap_err().contains("2000"));
        assert_eq!(check_note("a\0"), Err(NUL_RULE.to_owned()));
        for blank in ["", " ", "\t\n"] {
            assert_eq!(check_note(blank), Err("must not be blank".to_owned()), "{blank:?}");
        }
    }

    #[test]
    fn nothing_that_is_shown_gives_orders_to_a_terminal() {
        let text = "a\r\nforged\u{1b}[2J\u{1b}]0;t\u{7}\u{202e}b\u{2066}\u{9b}\u{2028}\tc";
        let shown =
            "a\\r\\nforged\\u{1b}[2J\\u{1b}]0;t\\u{7}\\u{202e}b\\u{2066}\\u{9b}\\u{2028}\tc";
        assert_eq!(escape_control(text), shown);
        assert!(matches!(escape_control("plain é 日本"), Cow::Borrowed(_)));
        let value = json!({ "a": text });
        let json = serde_json::to_string_pretty(&value).unwrap();
        let shown = escape_control_in_json(&json);
        assert!(!shown.chars().any(|c| is_control(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
