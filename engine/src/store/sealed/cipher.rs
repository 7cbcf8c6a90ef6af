//! AES-256-GCM for values and for the keys that encrypt them.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use hkdf::Hkdf;
use ocim_domain::system::Ids;
use sha2::Sha256;
use std::fmt;
use uuid::Uuid;

const NONCE_BYTES: usize = 12;
/// The first part of each sealed text; another one means another format.
const FORMAT: &str = "1";

/// The key of one subject's values.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey([u8; 32]);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(***)")
    }
}

/// A sealed text is not what was sealed for this subject, event and path, or not with this key.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value was changed or moved, or its key is another one")]
pub(super) struct Tampered;

impl DataKey {
    /// A new key of 256 random bits.
    #[must_use]
    pub fn random(ids: &dyn Ids) -> Self {
        let mut bytes = [0; 32];
        ids.fill_random(&mut bytes);
        Self(bytes)
    }

    fn encrypt(&self, ids: &dyn Ids, text: &[u8], context: &[u8]) -> Result<Vec<u8>, Tampered> {
        let mut nonce = [0; NONCE_BYTES];
        ids.fill_random(&mut nonce);
        let payload = Payload { msg: text, aad: context };
        let sealed = Aes256Gcm::new(&self.0.into())
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Tampered)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn decrypt(&self, bytes: &[u8], context: &[u8]) -> Result<Vec<u8>, Tampered> {
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(Tampered)?;
        let payload = Payload { msg: sealed, aad: context };
        Aes256Gcm::new(&self.0.into()).decrypt(&Nonce::from(*nonce), payload).map_err(|_| Tampered)
    }

    /// Seals a text of `subject` for one place: `1:<event id>:<base64>:<JSON pointer>`. The place
    /// is in the text so that a read model's copy can be opened; it is bound to the ciphertext.
    pub(super) fn seal_text(
        &self,
        ids: &dyn Ids,
        subject: &str,
        (event, path): (Uuid, &str),
        text: &str,
    ) -> Result<String, Tampered> {
        let sealed = self.encrypt(ids, text.as_bytes(), &text_context(subject, event, path))?;
        Ok(format!("{FORMAT}:{event}:{}:{path}", BASE64.encode(sealed)))
    }

    /// Opens a sealed text; at its own place if `place` says where it was found.
    pub(super) fn open_text(
        &self,
        subject: &str,
        sealed: &str,
        place: Option<(Uuid, &str)>,
    ) -> Result<String, Tampered> {
        let mut parts = sealed.splitn(4, ':');
        let mut part = || parts.next().ok_or(Tampered);
        let (format, event, bytes, path) = (part()?, part()?, part()?, part()?);
        let event = Uuid::try_parse(event).map_err(|_| Tampered)?;
        if format != FORMAT || place.is_some_and(|place| place != (event, path)) {
            return Err(Tampered);
        }
        let bytes = BASE64.decode(bytes).map_err(|_| Tampered)?;
        let text = self.decrypt(&bytes, &text_context(subject, event, path))?;
        String::from_utf8(text).map_err(|_| Tampered)
    }
}

/// What a ciphertext is bound to; the lengths keep the parts apart.
fn text_context(subject: &str, event: Uuid, path: &str) -> Vec<u8> {
    let mut context = b"ocim value 1".to_vec();
    for part in [subject.as_bytes(), event.as_bytes(), path.as_bytes()] {
        context.extend((part.len() as u64).to_be_bytes());
        context.extend(part);
    }
    context
}

/// What `SECRET_KEY` gives: the key that wraps data keys, and a value that tells a wrong one.
pub(super) struct MasterKey {
    wrapping: DataKey,
    pub(super) check_value: [u8; 16],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

impl MasterKey {
    pub(super) fn derive(secret_key: &[u8]) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, secret_key);
        let mut wrapping = [0; 32];
        let mut check_value = [0; 16];
        // HKDF refuses only outputs of more than 8 kB.
        let _ = hkdf.expand(b"ocim subject key wrapping 1", &mut wrapping);
        let _ = hkdf.expand(b"ocim secret key check 1", &mut check_value);
        Self { wrapping: DataKey(wrapping), check_value }
    }

    pub(super) fn wrap(
        &self,
        ids: &dyn Ids,
        subject: &str,
        key: &DataKey,
    ) -> Result<Vec<u8>, Tampered> {
        self.wrapping.encrypt(ids, &key.0, subject.as_bytes())
    }

    pub(super) fn unwrap(&self, subject: &str, wrapped: &[u8]) -> Result<DataKey, Tampered> {
        let bytes = self.wrapping.decrypt(wrapped, subject.as_bytes())?;
        bytes.try_into().map(DataKey).map_err(|_| Tampered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_adapters::system::SystemIds;

    const EVENT: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_sealed_text_opens_only_for_its_subject_and_at_its_place() {
        let ids = SystemIds;
        let key = DataKey::random(&ids);
        let sealed = key.seal_text(&ids, "user-1", (EVENT, "/a:b"), "geheim").unwrap();
        assert!(!sealed.contains("geheim"));
        assert_eq!(key.open_text("user-1", &sealed, Some((EVENT, "/a:b"))).unwrap(), "geheim");
        assert_eq!(key.open_text("user-1", &sealed, None).unwrap(), "geheim");
        assert!(key.open_text("user-2", &sealed, None).is_err(), "subject");
        assert!(key.open_text("user-1", &sealed, Some((EVENT, "/c"))).is_err(), "path");
        assert!(key.open_text("user-1", &sealed, Some((Uuid::nil(), "/a:b"))).is_err(), "event");
        assert!(DataKey::random(&ids).open_text("user-1", &sealed, None).is_err(), "key");
    }

    #[test]
    fn no_part_of_a_sealed_text_can_be_changed() {
        let ids = SystemIds;
        let key = DataKey::random(&ids);
        let sealed = key.seal_text(&ids, "user-1", (EVENT, "/a"), "geheim").unwrap();
        for index in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[index] = if bytes[index] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(key.open_text("user-1", &changed, None).is_err(), "{index}: {changed}");
        }
        assert!(key.open_text("user-1", "", None).is_err());
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let ids = SystemIds;
        let key = DataKey::random(&ids);
        let seal = || key.seal_text(&ids, "user-1", (EVENT, "/a"), "geheim").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_wrapped_key_needs_its_secret_and_subject() {
        let ids = SystemIds;
        let master = MasterKey::derive(b"one");
        let key = DataKey::random(&ids);
        let wrapped = master.wrap(&ids, "user-1", &key).unwrap();
        assert_eq!(master.unwrap("user-1", &wrapped).unwrap(), key);
        assert!(master.unwrap("user-2", &wrapped).is_err());
        assert!(MasterKey::derive(b"two").unwrap("user-1", &wrapped).is_err());
        assert_ne!(master.check_value, MasterKey::derive(b"two").check_value);
    }
}
