//! SQL that runs on each site's main database before its launch: what may be asked for, and how it is kept.

use crate::protected::Protected;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Most statements of one operation.
pub const STATEMENTS_MAX: usize = 50;
/// Longest statement, in characters.
pub const STATEMENT_CHARS_MAX: usize = 20_000;
/// Most bytes of all statements together.
pub const STATEMENTS_BYTES_MAX: usize = 100_000;

/// First words of statements that would end the transaction in which all of them run.
const OWN: [&str; 5] = ["BEGIN", "COMMIT", "ROLLBACK", "START", "XA"];

/// The statements, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sql {
    /// How many there are.
    pub count: NonZeroU32,
    /// A JSON list of texts, as text; may hold secrets.
    statements: Protected,
}

impl Sql {
    /// These, protected by the key of `subject`; `None` where there are none.
    #[must_use]
    pub fn new(subject: impl Into<String>, statements: &[String]) -> Option<Self> {
        let count = NonZeroU32::new(u32::try_from(statements.len()).ok()?)?;
        let text = serde_json::Value::from(statements).to_string();
        Some(Self { count, statements: Protected::new(subject, text) })
    }

    /// The statements; `None` where they can't be read any more.
    #[must_use]
    pub fn open(&self) -> Option<Vec<String>> {
        serde_json::from_str(self.statements.open()?).ok()
    }
}

/// What is wrong with statements: with one of them, by its place in the list from 0, or with all together.
#[must_use]
pub fn check_statements(statements: &[String]) -> Vec<(Option<usize>, String)> {
    let mut broken = vec![];
    if statements.len() > STATEMENTS_MAX {
        broken.push((None, format!("must be {STATEMENTS_MAX} statements at most")));
    }
    if statements.iter().map(String::len).sum::<usize>() > STATEMENTS_BYTES_MAX {
        broken.push((None, format!("must have {STATEMENTS_BYTES_MAX} bytes at most, together")));
    }
    for (place, statement) in statements.iter().enumerate() {
        let words = statement.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        let first: String = words.chars().take_while(char::is_ascii_alphabetic).collect();
        if words.is_empty() {
            broken.push((Some(place), "must not be blank".to_owned()));
        } else if statement.chars().count() > STATEMENT_CHARS_MAX {
            let rule = format!("must have {STATEMENT_CHARS_MAX} characters at most");
            broken.push((Some(place), rule));
        } else if OWN.iter().any(|own| first.eq_ignore_ascii_case(own)) {
            let rule = "must not begin or end a transaction: all statements are committed together";
            broken.push((Some(place), rule.to_owned()));
        }
    }
    broken
}
