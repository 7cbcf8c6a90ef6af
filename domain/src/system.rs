//! Time, identifiers and randomness. What gives them is outside; here is the need.

use crate::Timestamp;
use uuid::Uuid;

/// The only way to learn what time it is.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}

/// The only source of new identifiers and random numbers.
pub trait Ids: Send + Sync + std::fmt::Debug {
    /// A new UUID v7.
    fn new_id(&self) -> Uuid;
    /// Fills a buffer with bytes fit for secrets.
    fn fill_random(&self, bytes: &mut [u8]);
    /// A new RSA private key of 2048 bits, in PEM (PKCS #1). It takes up to a second.
    fn new_signing_key(&self) -> String;
}
