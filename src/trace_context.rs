//! W3C trace contexts, and span ids that anybody can derive again from what a span is about.

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
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
        let (trace, span) = (TraceId::from_bytes(self.trace), SpanId::from_bytes(self.span));
        write!(f, "00-{trace}-{span}-{flags:02x}")
    }
}

impl FromStr for TraceContext {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let carrier = HashMap::from([("traceparent".to_owned(), text.to_owned())]);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let span = context.span().span_context().clone();
        // The library takes shorter ids, too, and fills them up.
        let ids = format!("{}-{}", span.trace_id(), span.span_id());
        if !span.is_valid() || text.get(3..52) != Some(&*ids) {
            return Err(InvalidContext);
        }
        let (trace, sampled) = (span.trace_id().to_bytes(), span.is_sampled());
        Ok(Self { trace, span: span.span_id().to_bytes(), sampled })
    }
}

impl From<TraceContext> for SpanContext {
    fn from(context: TraceContext) -> Self {
        let TraceContext { trace, span, sampled } = context;
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        Self::new(trace, span, flags, false, TraceState::NONE)
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
