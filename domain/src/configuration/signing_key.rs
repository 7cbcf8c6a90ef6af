//! The RSA key that a site signs tokens with, as JSON Web Keys (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkcs1::RsaPrivateKey;
use pkcs1::der::SecretDocument;
use pkcs1::der::asn1::UintRef;
use serde_json::{Map, Value};
use std::fmt;

/// A key that everybody knows: for examples, and where all is to be the same again.
pub const EXAMPLE: &str = include_str!("signing_key/example.pem");

/// Fewest bits that tokens can be signed with.
const BITS_MIN: usize = 1024;
/// What all sites call their key.
const KEY_ID: &str = "opencraft";

/// A name, and the number that stands there.
type Member = (&'static str, fn(&RsaPrivateKey<'_>) -> String);

/// An RSA private key.
pub struct SigningKey(SecretDocument);

impl SigningKey {
    /// Reads PEM of the form `RSA PRIVATE KEY` (PKCS #1); `None` where it is none, is shorter than 1024
    /// bits, or has more than two primes.
    #[must_use]
    pub fn parse(pem: &str) -> Option<Self> {
        let (label, document) = SecretDocument::from_pem(pem.trim()).ok()?;
        let key = document.decode_msg::<RsaPrivateKey<'_>>().ok()?;
        let is_long = key.modulus.as_bytes().len() * 8 >= BITS_MIN;
        let fits = label == "RSA PRIVATE KEY" && key.other_prime_infos.is_none() && is_long;
        fits.then_some(Self(document))
    }

    fn members(&self, names: &[Member]) -> Map<String, Value> {
        let mut jwk = Map::new();
        jwk.insert("kty".to_owned(), "RSA".into());
        jwk.insert("kid".to_owned(), KEY_ID.into());
        // It was read once already.
        if let Ok(key) = self.0.decode_msg::<RsaPrivateKey<'_>>() {
            jwk.extend(names.iter().map(|(name, of)| ((*name).to_owned(), of(&key).into())));
        }
        jwk
    }

    /// What everybody may know, to check signatures.
    #[must_use]
    pub fn public_jwk(&self) -> Map<String, Value> {
        self.members(&[("e", |key| encode(key.public_exponent)), ("n", |key| encode(key.modulus))])
    }

    /// What signs. Secret.
    #[must_use]
    pub fn private_jwk(&self) -> Map<String, Value> {
        self.members(&[
            ("e", |key| encode(key.public_exponent)),
            ("n", |key| encode(key.modulus)),
            ("d", |key| encode(key.private_exponent)),
            ("p", |key| encode(key.prime1)),
            ("q", |key| encode(key.prime2)),
        ])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

fn encode(number: UintRef<'_>) -> String {
    URL_SAFE_NO_PAD.encode(number.as_bytes())
}
