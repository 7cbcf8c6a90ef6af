//! What commands print: tables or JSON on standard output, progress on standard error.

use super::error::CliError;
use super::table;
use chrono::{DateTime, Utc};
use ocim_domain::text::{escape_control, escape_control_in_json};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// A column of a table: its head, and what it shows of an item.
pub(super) type Column<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

/// How answers are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people: tables that fit the terminal
    #[default]
    Table,
    /// Tables with all columns, each cell whole
    Wide,
    /// Only what names each item, one a line
    Name,
    /// For programs
    Json,
}

/// Where a command's words go.
pub(super) struct Output {
    /// JSON instead of text for people.
    pub json: bool,
    format: Format,
    /// Columns of the terminal; none where the answer goes elsewhere.
    width: Option<usize>,
    out: Box<dyn Write>,
    progress: Box<dyn Write>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output {{ format: {:?} }}", self.format)
    }
}

impl Output {
    /// The process's own.
    #[must_use]
    pub(super) fn standard(format: Format) -> Self {
        let stdout = std::io::stdout();
        let size = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal());
        Self {
            json: format == Format::Json,
            format,
            width: size.map(|(width, _)| width.0.into()),
            out: Box::new(stdout),
            progress: Box::new(std::io::stderr()),
        }
    }

    /// Whether a person reads the answer on a terminal.
    #[must_use]
    pub(super) fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Empties the terminal, if the answer goes to one.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn clear(&mut self) -> Result<(), CliError> {
        let (whole, home) = ("\x1b[2J", "\x1b[H");
        if self.is_terminal() { Ok(write!(self.out, "{whole}{home}")?) } else { Ok(()) }
    }

    /// One line of the answer. It may hold texts of people and tools: whatever would be more than a
    /// line, or an order to the terminal, is written out.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.out, "{}", escape_control(&text.to_string()))?)
    }

    /// Lines of Ocim's own making, which hold nobody else's text.
    ///
    /// # Errors
    /// When nobody reads them any more.
    pub(super) fn own_lines(&mut self, text: impl std::fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// A part of the answer, as it is.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.out.write_all(bytes)?)
    }

    /// One line of progress, which is not part of the answer; escaped like one of the answer.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn progress(&mut self, text: impl std::fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.progress, "{}", escape_control(&text.to_string()))?)
    }

    /// One JSON document.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let json = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        self.own_lines(escape_control_in_json(&json))
    }

    /// One JSON document on one line.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let json = serde_json::to_string(value).map_err(std::io::Error::from)?;
        self.own_lines(escape_control_in_json(&json))
    }

    /// A value as JSON, its id alone, or as `name  value` lines for people; absent values are left
    /// out.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn record(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        if self.json {
            return self.document(value);
        }
        let value = serde_json::to_value(value).map_err(std::io::Error::from)?;
        if let (Format::Name, Some(id)) = (self.format, value["id"].as_str()) {
            return self.line(id);
        }
        for line in describe(&value, "") {
            self.line(line)?;
        }
        Ok(())
    }

    /// Items as a JSON array, or as a table with these columns; the first one names an item.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn table<T: Serialize>(
        &mut self,
        items: &[T],
        columns: &[Column<'_, T>],
    ) -> Result<(), CliError> {
        self.wide_table(items, columns, &[])
    }

    /// As [`Output::table`], with further columns where there is room for all (`-o wide`).
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn wide_table<T: Serialize>(
        &mut self,
        items: &[T],
        columns: &[Column<'_, T>],
        further: &[Column<'_, T>],
    ) -> Result<(), CliError> {
        let (columns, width) = match self.format {
            Format::Json => return self.document(&items),
            Format::Name => {
                let Some((_, name)) = columns.first() else { return Ok(()) };
                return items.iter().try_for_each(|item| self.line(name(item)));
            }
            Format::Wide => ([columns, further].concat(), None),
            Format::Table => (columns.to_vec(), self.width),
        };
        let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        // Before they are measured: the columns stay below each other.
        let show = |text: String| escape_control(&text).into_owned();
        let cells =
            items.iter().map(|item| columns.iter().map(|(_, cell)| show(cell(item))).collect());
        let rows: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
        table::lay_out(&rows, width).iter().try_for_each(|line| self.line(line))
    }
}

/// A time to the second, with its zone.
#[must_use]
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%F %TZ").to_string()
}

/// `name: value` lines of an object, with nested objects below their name.
fn describe(value: &serde_json::Value, indent: &str) -> Vec<String> {
    use serde_json::Value;
    let Value::Object(fields) = value else { return vec![format!("{indent}{value}")] };
    fields
        .iter()
        .flat_map(|(name, value)| match value {
            Value::Null => vec![],
            Value::String(text) if text.is_empty() => vec![],
            Value::String(text) => vec![format!("{indent}{name}: {text}")],
            Value::Object(_) => {
                let mut lines = vec![format!("{indent}{name}:")];
                lines.extend(describe(value, &format!("{indent}  ")));
                lines
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                vec![format!("{indent}{name}: {value}")]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn printed(format: Format, print: impl FnOnce(&mut Output) -> Result<(), CliError>) -> String {
        let sink = Sink::default();
        let (out, progress) = (Box::new(sink.clone()), Box::new(std::io::sink()));
        let json = format == Format::Json;
        print(&mut Output { json, format, width: None, out, progress }).unwrap();
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_its_json_is_whole() {
        let items = [json!({"id": "a", "n": 10}), json!({"id": "long", "n": 2})];
        let print = |output: &mut Output| {
            output.wide_table(
                &items,
                &[("ID", &|it| it["id"].to_string())],
                &[("N", &|it| it["n"].to_string())],
            )
        };
        assert_eq!(printed(Format::Table, print), "ID\n\"a\"\n\"long\"\n");
        assert_eq!(printed(Format::Name, print), "\"a\"\n\"long\"\n");
        assert_eq!(printed(Format::Wide, print), "ID      N\n\"a\"     10\n\"long\"  2\n");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&printed(Format::Json, print)).unwrap(),
            json!(items)
        );
    }

    #[test]
    fn a_record_leaves_out_what_is_absent() {
        let value = json!({"id": "x", "gone": null, "blank": "", "settings": {"on": true}});
        assert_eq!(printed(Format::Name, |output| output.record(&value)), "x\n");
        let text = printed(Format::Table, |output| output.record(&value));
        assert_eq!(text, "id: x\nsettings:\n  on: true\n");
    }

    proptest! {
        /// Lines, tables, records and JSON, of any text: nothing but text comes out.
        #[test]
        fn nothing_that_is_printed_gives_orders(text in hostile()) {
            let items = [json!({ "name": text, "of": { "name": text } })];
            let cell = |it: &serde_json::Value| it["name"].as_str().unwrap_or_default().to_owned();
            for (lines, shown) in [
                (1, printed(Format::Table, |output| output.line(&text))),
                (2, printed(Format::Table, |output| output.table(&items, &[("NAME", &cell)]))),
                (1, printed(Format::Json, |output| output.json_line(&items))),
            ] {
                prop_assert_eq!(shown.matches('\n').count(), lines, "{:?}", shown);
                prop_assert!(!shown.contains(gives_orders), "{:?}", shown);
            }
            for format in [Format::Table, Format::Name, Format::Json] {
                let shown = printed(format, |output| output.record(&items[0]));
                prop_assert!(!shown.contains(gives_orders), "{:?}", shown);
            }
        }
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a\r\n\t\u{1b}\u{7}\u{9b}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{2028}]{0,12}",
            any::<String>()
        ]
    }

    fn gives_orders(c: char) -> bool {
        let turns =
            ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
        turns || (c.is_control() && c != '\n' && c != '\t')
    }
}
