//! Keys that follow from an instance's master secret, so that all its Appservers share them (core §5.8).

use super::ConfigurationError;
use crate::names::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How many hexadecimal digits of a key a user name or password has.
const CREDENTIAL_LENGTH: usize = 16;

/// The key of a variable: lower-case hexadecimal HMAC-SHA256 of its name under the master secret.
///
/// # Errors
/// [`ConfigurationError::SecretKey`] when the master secret is blank or not base64.
pub fn derive_key(master_b64encoded: &str, variable: &str) -> Result<String, ConfigurationError> {
    let master = decode_master(master_b64encoded)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&master)
        .map_err(|_invalid_length| ConfigurationError::SecretKey)?;
    mac.update(variable.as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

/// Whether a text can be a master secret: base64 of at least one byte.
#[must_use]
pub fn is_master_secret(text: &str) -> bool {
    decode_master(text).is_ok()
}

fn decode_master(text: &str) -> Result<Vec<u8>, ConfigurationError> {
    let master = BASE64.decode(text).map_err(|_undecodable| ConfigurationError::SecretKey)?;
    if master.is_empty() { Err(ConfigurationError::SecretKey) } else { Ok(master) }
}

/// What opens a site that is not public: HTTP basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAuth {
    /// 16 hexadecimal digits.
    pub user: String,
    /// 16 hexadecimal digits.
    pub password: String,
}

impl HttpAuth {
    /// The credentials of the instance that has this master secret.
    ///
    /// # Errors
    /// [`ConfigurationError::SecretKey`] when the master secret is blank or not base64.
    pub fn derive(master_b64encoded: &str) -> Result<Self, ConfigurationError> {
        let derive = |variable| -> Result<String, ConfigurationError> {
            let mut key = derive_key(master_b64encoded, variable)?;
            key.truncate(CREDENTIAL_LENGTH);
            Ok(key)
        };
        Ok(Self {
            user: derive("COMMON_HTPASSWD_USER")?,
            password: derive("COMMON_HTPASSWD_PASS")?,
        })
    }

    /// What follows `Basic ` in the `Authorization` header.
    #[must_use]
    pub fn token(&self) -> String {
        BASE64.encode(format!("{}:{}", self.user, self.password))
    }
}

impl std::fmt::Debug for HttpAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpAuth").finish_non_exhaustive()
    }
}
