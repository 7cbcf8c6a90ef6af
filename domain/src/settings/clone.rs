//! The settings of an instance for another one.

use super::check::check_settings;
use super::input::{Defaults, NewSecrets, create_settings};
use super::table::{InstanceSettings, SettingsInput};
use super::{SETTINGS, Violation};
use serde_json::{Map, Value};

/// What is an instance's own, so that another one can't have it: names, keys, and its bucket.
const OWN: [&str; 15] = [
    "internal_lms_domain",
    "internal_lms_preview_domain",
    "internal_studio_domain",
    "internal_discovery_domain",
    "internal_ecommerce_domain",
    "external_lms_domain",
    "external_lms_preview_domain",
    "external_studio_domain",
    "external_discovery_domain",
    "external_ecommerce_domain",
    "s3_access_key",
    "s3_secret_access_key",
    "s3_bucket_name",
    "secret_key_b64encoded",
    "secret_key_rsa_private",
];

/// The settings of a new instance that is to be as another one is, but for what is that one's own and
/// for what people say.
///
/// # Errors
/// Every rule that is broken, all at once; or what was erased of the other one, and is not said.
pub fn clone_settings(
    source: &InstanceSettings,
    said: Map<String, Value>,
    defaults: &Defaults,
    subject: &str,
    secrets: &NewSecrets,
) -> Result<InstanceSettings, Vec<Violation>> {
    let theirs = source.opened().into_iter();
    // A password goes nowhere but where it was meant for.
    let is_elsewhere = said.contains_key("swift_openstack_auth_url");
    let is_theirs = |name: &str| !(is_elsewhere && name == "swift_openstack_password");
    let theirs = theirs
        .filter(|(name, _)| !OWN.contains(name) && !said.contains_key(*name) && is_theirs(name));
    let (erased, theirs): (Vec<_>, Vec<_>) = theirs.partition(|(_, value)| value.is_none());
    if !erased.is_empty() {
        let rule = "was erased with the instance that is cloned: give it";
        return Err(erased.into_iter().map(|(name, _)| Violation::new(name, rule)).collect());
    }
    let theirs = theirs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let wanted = theirs.chain(said).collect();
    // Each was one of settings before, or was read as such.
    let input: SettingsInput = serde_json::from_value(Value::Object(wanted))
        .map_err(|error| vec![Violation::new("settings", error.to_string())])?;
    create_settings(input, defaults, subject, secrets)
}

/// The settings of an instance as they were, but for what can't change any more once it `was_launched`.
///
/// # Errors
/// Every rule of now that they break, all at once.
pub fn restore_settings(
    current: &InstanceSettings,
    former: &InstanceSettings,
    was_launched: bool,
) -> Result<InstanceSettings, Vec<Violation>> {
    let mut restored = former.clone();
    for fixed in SETTINGS.iter().filter(|setting| was_launched && setting.is_fixed) {
        restored.take_from(current, fixed.name);
    }
    let violations = check_settings(&restored);
    if violations.is_empty() { Ok(restored) } else { Err(violations) }
}
