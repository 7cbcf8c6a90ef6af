//! Tags of instances: short words by which people and bulk operations find them again.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most characters of a tag (core §1.3).
pub const TAG_CHARS_MAX: usize = 100;
/// Most tags of one instance.
pub const TAGS_MAX: usize = 100;

/// A tag: letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// What is wrong with a tag, to be read after its field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a tag: 1 to {TAG_CHARS_MAX} letters, digits, `-` and `_`")]
pub struct InvalidTag;

impl Tag {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_tag = (1..=TAG_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
        if is_tag { Ok(Self(text.to_owned())) } else { Err(InvalidTag) }
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;

    fn try_from(text: String) -> Result<Self, InvalidTag> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
