//! What comes back over HTTP: as much of a body as is wanted, and why nothing came.

use reqwest::{Error, Response};

/// The body, of which no more than so many bytes are read.
///
/// # Errors
/// When the connection breaks, or takes too long, before its end.
pub async fn read_body(answer: &mut Response, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = vec![];
    while body.len() < bytes_max
        && let Some(chunk) = answer.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(bytes_max - body.len())]);
    }
    Ok(body)
}

/// The error's first cause: the outer ones repeat it, or the URL.
#[must_use]
pub fn first_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
