//! The system's clock and random numbers, and fixed ones for tests.

use ocim_domain::Timestamp;
use ocim_domain::configuration::signing_key;
use ocim_domain::system::{Clock, Ids};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock's one reader")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

/// UUIDs by the clock, and random numbers of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the one source of ids")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }

    fn new_signing_key(&self) -> String {
        /// As the original's, and long enough.
        const BITS: usize = 2048;
        // Nothing but a broken source of random numbers keeps a key from being found.
        let key = RsaPrivateKey::new(&mut OsRng, BITS);
        let pem = key.ok().and_then(|key| key.to_pkcs1_pem(LineEnding::LF).ok());
        pem.map(|pem| pem.as_str().to_owned()).unwrap_or_default()
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves it on.
    pub fn advance(&self, by: std::time::Duration) {
        self.set(self.now() + by);
    }

    /// Sets it, as people and time servers do, on or back.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Ids that count up, and bytes that follow from them.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl Ids for CountingIds {
    fn new_id(&self) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u128((0x7000_8000_0000_0000_0000 | u128::from(count)) & (u128::MAX >> 8))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(16) {
            let (_, count) = self.new_id().as_u64_pair();
            StdRng::seed_from_u64(count).fill_bytes(chunk);
        }
    }

    fn new_signing_key(&self) -> String {
        signing_key::EXAMPLE.to_owned()
    }
}

/// Ids and bytes that follow from a seed, in the order in which they are asked for.
#[derive(Debug)]
pub struct SeededIds(Mutex<StdRng>);

impl SeededIds {
    /// Another seed gives other ids.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Ids for SeededIds {
    fn new_id(&self) -> Uuid {
        let mut random = [0; 16];
        self.fill_random(&mut random);
        uuid::Builder::from_random_bytes(random).with_version(uuid::Version::SortRand).into_uuid()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill_bytes(bytes);
    }

    /// Finding one would take the time that a simulation saves.
    fn new_signing_key(&self) -> String {
        signing_key::EXAMPLE.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::configuration::signing_key::SigningKey;

    #[test]
    fn signing_keys_are_new_and_can_be_read() {
        let keys = [SystemIds.new_signing_key(), SystemIds.new_signing_key()];
        assert_ne!(keys[0], keys[1]);
        for key in keys {
            let modulus = SigningKey::parse(&key).unwrap().public_jwk()["n"].clone();
            // 256 bytes.
            assert_eq!(modulus.as_str().unwrap().len(), 342);
        }
    }
}
