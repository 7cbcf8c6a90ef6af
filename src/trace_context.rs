//! W3C trace contexts, and span ids that anybody can derive again from what a span is about.

use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A span within a trace, as `traceparent` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace's id; never zero.
    pub trace: [u8; 16],
    /// The span's id; never zero.
    pub span: [u8; 8],
    /// Whether somebody before us decided that the trace is kept.
    pub sampled: bool,
}

/// It has not the form `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C trace context")]
pub struct InvalidContext;

impl TraceContext {
    /// Another span of the same trace.
    #[must_use]
    pub fn with_span(self, span: [u8; 8]) -> Self {
        Self { span, ..self }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", hex(&self.trace), hex(&self.span))
    }
}

impl FromStr for TraceContext {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags] = parts[..] else { return Err(InvalidContext) };
        let [version] = read_hex::<1>(version)?;
        let (trace, span) = (read_hex::<16>(trace)?, read_hex::<8>(span)?);
        let [flags] = read_hex::<1>(flags)?;
        if version == 0xff || trace == [0; 16] || span == [0; 8] {
            return Err(InvalidContext);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

/// The span of a piece of work that these parts name: the same however often it is told.
#[must_use]
pub fn derive_span(parts: &[&str]) -> [u8; 8] {
    let digest = Sha256::digest(parts.join("\n"));
    let mut span = [0; 8];
    span.copy_from_slice(&digest[..8]);
    span
}

/// The span of the playbook that the step with this key runs.
#[must_use]
pub fn playbook_span(key: Uuid) -> [u8; 8] {
    derive_span(&["playbook", &key.to_string()])
}

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_hex<const N: usize>(text: &str) -> Result<[u8; N], InvalidContext> {
    let is_hex = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 2 * N || !is_hex {
        return Err(InvalidContext);
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = &text[2 * index..2 * index + 2];
        *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidContext)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_and_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let newest = "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for wrong in ["00-0af7-b7ad-01", "00", "'; drop table--", "", zero, newest] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(InvalidContext), "{wrong}");
        }
    }

    #[test]
    fn the_same_work_has_the_same_span() {
        assert_eq!(derive_span(&["a", "b"]), derive_span(&["a", "b"]));
        assert_ne!(derive_span(&["a", "b"]), derive_span(&["ab"]));
    }
}
