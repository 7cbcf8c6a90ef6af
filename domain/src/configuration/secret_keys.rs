//! The layer of secret keys: each derived from the site's master secret, or from its signing key (core §5.8).

use super::layer::{Composed, Layer, Site, variables};
use super::secrets::derive_key;
use super::signing_key::SigningKey;
use super::{ConfigurationError, open};
use serde_json::{Value, json};

/// Every variable that has a key of its own.
pub const DERIVED_KEYS: [&str; 22] = [
    "ANALYTICS_API_SECRET_KEY",
    "CREDENTIALS_SECRET_KEY",
    "DISCOVERY_SECRET_KEY",
    "DISCOVERY_SOCIAL_AUTH_EDX_OIDC_KEY",
    "DISCOVERY_SOCIAL_AUTH_EDX_OIDC_SECRET",
    "ECOMMERCE_CYBERSOURCE_SECRET_KEY",
    "ECOMMERCE_SECRET_KEY",
    "ECOMMERCE_SOCIAL_AUTH_EDX_OIDC_KEY",
    "ECOMMERCE_SOCIAL_AUTH_EDX_OIDC_SECRET",
    "ECOMMERCE_WORKER_JWT_SECRET_KEY",
    "EDXAPP_ANALYTICS_API_KEY",
    "EDXAPP_EDXAPP_SECRET_KEY",
    "EDXAPP_EDX_API_KEY",
    "EDXAPP_JWT_SECRET_KEY",
    "EDXAPP_PROFILE_IMAGE_SECRET_KEY",
    "EDX_NOTES_API_SECRET_KEY",
    "FORUM_API_KEY",
    "INSIGHTS_SECRET_KEY",
    "NOTIFIER_LMS_SECRET_KEY",
    "PROGRAMS_SECRET_KEY",
    "RETIREMENT_SERVICE_OAUTH_CLIENT_ID",
    "RETIREMENT_SERVICE_OAUTH_CLIENT_SECRET",
];

/// Variables that have the key of another: two programs that have to know the same.
pub const SHARED_KEYS: [(&str, &str); 4] = [
    ("ECOMMERCE_EDX_API_KEY", "EDXAPP_EDX_API_KEY"),
    ("NOTIFIER_USER_SERVICE_API_KEY", "EDXAPP_EDX_API_KEY"),
    ("EDXAPP_COMMENTS_SERVICE_KEY", "FORUM_API_KEY"),
    ("NOTIFIER_COMMENT_SERVICE_API_KEY", "FORUM_API_KEY"),
];

/// All keys of a site.
pub(super) fn secret_keys_layer(site: &Site<'_>) -> Composed {
    let own = DERIVED_KEYS.into_iter().map(|name| (name, name));
    let mut layer = Layer::new();
    for (name, of) in own.chain(SHARED_KEYS) {
        layer.extend(variables!(site => { name => derive_key(site.master()?, of)? }));
    }
    layer.extend(variables!(site => {
        "COMMON_JWT_PUBLIC_SIGNING_JWK_SET" =>
            json!({ "keys": [signing_key(site)?.public_jwk()] }).to_string(),
        "EDXAPP_JWT_PRIVATE_SIGNING_JWK" =>
            Value::Object(signing_key(site)?.private_jwk()).to_string(),
    }));
    Ok(layer)
}

fn signing_key(site: &Site<'_>) -> Result<SigningKey, ConfigurationError> {
    let name = "secret_key_rsa_private";
    let text = site.set(name, open(&site.settings.secret_key_rsa_private, name))?;
    SigningKey::parse(text).ok_or(ConfigurationError::SigningKey)
}
