//! Secret or personal text inside events: its own type, so that the store can encrypt it per subject.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The JSON key that marks a protected value inside an event's payload.
pub const MARK: &str = "$protected";

/// A secret or personal text that belongs to a subject (whose key's deletion erases it).
///
/// In JSON it is `{"$protected": {"subject": …, "open" | "sealed": …}}`; with neither, it was
/// shredded. The sealing store turns `open` into `sealed` on the way in and back on the way out,
/// so neither the events on disk nor `Debug` ever show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    #[serde(rename = "$protected")]
    body: Body,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Body {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    open: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sealed: Option<String>,
}

impl Protected {
    /// A readable text that belongs to `subject` (the text form of the owner's id).
    #[must_use]
    pub fn new(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { body: Body { subject: subject.into(), open: Some(text.into()), sealed: None } }
    }

    /// The text, if this process was allowed to read it; `None` when sealed or shredded.
    #[must_use]
    pub fn open(&self) -> Option<&str> {
        self.body.open.as_deref()
    }

    /// Whose key protects the text.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.body.subject
    }

    /// True when the key is gone, so that nobody can read the text again.
    #[must_use]
    pub fn is_shredded(&self) -> bool {
        self.body.open.is_none() && self.body.sealed.is_none()
    }

    /// The text, or `[shredded]` where it can't be read.
    #[must_use]
    pub fn text(&self) -> &str {
        self.open().unwrap_or("[shredded]")
    }
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protected({}, ***)", self.body.subject)
    }
}
