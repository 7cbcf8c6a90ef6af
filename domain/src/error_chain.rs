//! An error with its causes in one line, for log lines and command lines.

use std::error::Error;

/// The error and its causes, each after a colon.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not start")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no space is left")]
    struct Inner;

    #[test]
    fn a_chain_tells_every_cause_once() {
        assert_eq!(chain(&Outer(Inner)), "could not start: no space is left");
        assert_eq!(chain(&Inner), "no space is left");
    }
}
