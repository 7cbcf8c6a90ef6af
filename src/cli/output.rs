//! What commands print: tables or JSON on standard output, progress on standard error.

use super::error::CliError;
use serde::Serialize;
use std::io::Write;

/// A column of a table: its head, and what it shows of an item.
pub(super) type Column<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

/// Where a command's words go.
pub(super) struct Output {
    /// JSON instead of text for people.
    pub json: bool,
    out: Box<dyn Write>,
    progress: Box<dyn Write>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output {{ json: {} }}", self.json)
    }
}

impl Output {
    /// The process's own.
    #[must_use]
    pub(super) fn standard(json: bool) -> Self {
        Self { json, out: Box::new(std::io::stdout()), progress: Box::new(std::io::stderr()) }
    }

    /// One line of the answer.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// One line of progress, which is not part of the answer.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn progress(&mut self, text: impl std::fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.progress, "{text}")?)
    }

    /// One JSON document.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer_pretty(&mut self.out, value)
            .map_err(std::io::Error::from)
            .map_err(CliError::from)?;
        self.line("")
    }

    /// One JSON document on one line.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.out, value)
            .map_err(std::io::Error::from)
            .map_err(CliError::from)?;
        self.line("")
    }

    /// A value as JSON, or as `name  value` lines for people; absent values are left out.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn record(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        if self.json {
            return self.document(value);
        }
        let value = serde_json::to_value(value).map_err(std::io::Error::from)?;
        for line in describe(&value, "") {
            self.line(line)?;
        }
        Ok(())
    }

    /// Items as a JSON array, or as a table with these columns.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn table<T: Serialize>(
        &mut self,
        items: &[T],
        columns: &[Column<'_, T>],
    ) -> Result<(), CliError> {
        if self.json {
            return self.document(&items);
        }
        let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let cells = items.iter().map(|item| columns.iter().map(|(_, cell)| cell(item)).collect());
        let rows: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
        let widths: Vec<usize> = (0..columns.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        for row in rows {
            let padded: Vec<_> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            self.line(padded.join("  ").trim_end())?;
        }
        Ok(())
    }
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

    fn printed(json: bool, print: impl FnOnce(&mut Output) -> Result<(), CliError>) -> String {
        let sink = Sink::default();
        let progress = Box::new(std::io::sink());
        print(&mut Output { json, out: Box::new(sink.clone()), progress }).unwrap();
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_its_json_is_whole() {
        let items = [json!({"id": "a", "n": 10}), json!({"id": "long", "n": 2})];
        let print = |output: &mut Output| {
            output.table(
                &items,
                &[("ID", &|it| it["id"].to_string()), ("N", &|it| it["n"].to_string())],
            )
        };
        assert_eq!(printed(false, print), "ID      N\n\"a\"     10\n\"long\"  2\n");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&printed(true, print)).unwrap(),
            json!(items)
        );
    }

    #[test]
    fn a_record_leaves_out_what_is_absent() {
        let value = json!({"id": "x", "gone": null, "blank": "", "settings": {"on": true}});
        let text = printed(false, |output| output.record(&value));
        assert_eq!(text, "id: x\nsettings:\n  on: true\n");
    }
}
