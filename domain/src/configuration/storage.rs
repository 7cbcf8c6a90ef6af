//! The layer of storage: where a site keeps uploads, grades and logs (core §5.4).

use super::layer::{Composed, Layer, Site, Source, setting, variables};
use super::{ConfigurationError, open};
use crate::settings::{StorageType, storage_type};
use serde_json::{Value, json};

/// Nothing where uploads stay on the machine, and with it go.
pub(super) fn storage_layer(site: &Site<'_>) -> Composed {
    match storage_type(site.settings) {
        StorageType::Filesystem => Ok(Layer::new()),
        StorageType::Swift => compose_swift(site),
        StorageType::S3 => compose_s3(site),
    }
}

fn compose_swift(site: &Site<'_>) -> Composed {
    let chosen = |value: &str| site.set("storage_type", Value::from(value));
    let container = || site.made_of(Source::ResourceNames, &site.context.resources.container);
    let password = || -> Result<&str, ConfigurationError> {
        let name = "swift_openstack_password";
        site.set(name, open(&site.settings.swift_openstack_password, name))
    };
    Ok(variables!(site => {
        "COMMON_ENABLE_OPENSTACK_INTEGRATION" => site.set("storage_type", true),
        "COMMON_EDXAPP_SETTINGS" => chosen("openstack"),
        "EDXAPP_SETTINGS" => chosen("openstack"),
        "VHOST_NAME" => chosen("openstack"),
        "XQUEUE_SETTINGS" => chosen("openstack_settings"),
        "EDXAPP_DEFAULT_FILE_STORAGE" => chosen("swift.storage.SwiftStorage"),
        "EDXAPP_GRADE_STORAGE_CLASS" => chosen("swift.storage.SwiftStorage"),
        "EDXAPP_GRADE_STORAGE_KWARGS" =>
            site.set("storage_type", json!({ "name_prefix": "grades-download/" })),
        "EDXAPP_FILE_UPLOAD_STORAGE_BUCKET_NAME" => container(),
        "EDXAPP_SWIFT_AUTH_VERSION" => chosen("2"),
        "EDXAPP_SWIFT_USERNAME" => setting!(site, swift_openstack_user),
        "EDXAPP_SWIFT_KEY" => password()?,
        "EDXAPP_SWIFT_TENANT_NAME" => setting!(site, swift_openstack_tenant),
        "EDXAPP_SWIFT_AUTH_URL" => setting!(site, swift_openstack_auth_url),
        "EDXAPP_SWIFT_REGION_NAME" => setting!(site, swift_openstack_region),
        "XQUEUE_SWIFT_AUTH_VERSION" => chosen("{{ EDXAPP_SWIFT_AUTH_VERSION }}"),
        "XQUEUE_SWIFT_USERNAME" => setting!(site, swift_openstack_user),
        "XQUEUE_SWIFT_KEY" => password()?,
        "XQUEUE_SWIFT_TENANT_NAME" => setting!(site, swift_openstack_tenant),
        "XQUEUE_SWIFT_AUTH_URL" => setting!(site, swift_openstack_auth_url),
        "XQUEUE_SWIFT_REGION_NAME" => setting!(site, swift_openstack_region),
        "XQUEUE_UPLOAD_BUCKET" => container(),
        "XQUEUE_UPLOAD_PATH_PREFIX" => chosen("xqueue"),
        "COMMON_OBJECT_STORE_LOG_SYNC" => site.set("storage_type", true),
        "COMMON_OBJECT_STORE_LOG_SYNC_BUCKET" => container(),
        "COMMON_OBJECT_STORE_LOG_SYNC_PREFIX" => chosen("logs/tracking/"),
        "SWIFT_LOG_SYNC_USERNAME" => setting!(site, swift_openstack_user),
        "SWIFT_LOG_SYNC_PASSWORD" => password()?,
        "SWIFT_LOG_SYNC_TENANT_NAME" => setting!(site, swift_openstack_tenant),
        "SWIFT_LOG_SYNC_AUTH_URL" => setting!(site, swift_openstack_auth_url),
        "SWIFT_LOG_SYNC_REGION_NAME" => setting!(site, swift_openstack_region),
    }))
}

/// Nothing until the bucket and its account are known.
fn compose_s3(site: &Site<'_>) -> Composed {
    const CLASS: &str = "storages.backends.s3boto.S3BotoStorage";
    let settings = site.settings;
    let secret_name = "s3_secret_access_key";
    let secret_text = open(&settings.s3_secret_access_key, secret_name)?;
    if settings.s3_access_key.is_empty()
        || secret_text.is_empty()
        || settings.s3_bucket_name.is_empty()
    {
        return Ok(Layer::new());
    }
    let chosen = |value: &str| site.set("storage_type", Value::from(value));
    let yes = || site.set("storage_type", true);
    let key = || setting!(site, s3_access_key);
    let secret = || site.set(secret_name, secret_text);
    let bucket = || setting!(site, s3_bucket_name);
    let container = || site.made_of(Source::ResourceNames, &site.context.resources.container);
    let mut layer = variables!(site => {
        "COMMON_ENABLE_AWS_INTEGRATION" => yes(),
        "AWS_ACCESS_KEY_ID" => key(),
        "AWS_SECRET_ACCESS_KEY" => secret(),
        "EDXAPP_AWS_ACCESS_KEY_ID" => key(),
        "EDXAPP_AWS_SECRET_ACCESS_KEY" => secret(),
        "EDXAPP_AWS_LOCATION" => container(),
        "EDXAPP_AWS_STORAGE_BUCKET_NAME" => bucket(),
        "EDXAPP_AWS_S3_CUSTOM_DOMAIN" => format!("{}.s3.amazonaws.com", bucket()),
        "EDXAPP_AUTH_EXTRA" => json!({ "AWS_STORAGE_BUCKET_NAME": bucket() }),
        "EDXAPP_DEFAULT_FILE_STORAGE" => chosen(CLASS),
        "EDXAPP_IMPORT_EXPORT_BUCKET" => bucket(),
        "EDXAPP_FILE_UPLOAD_BUCKET_NAME" => bucket(),
        "EDXAPP_FILE_UPLOAD_STORAGE_PREFIX" => format!("{}/submissions_attachments", container()),
        "EDXAPP_PROFILE_IMAGE_BACKEND" => json!({
            "class": chosen(CLASS),
            "options": {
                "location": format!("{}/profile-images", container()),
                // Where `=` would be right, the sites have had a hyphen.
                "headers": { "Cache-Control": "max-age-{{ EDXAPP_PROFILE_IMAGE_MAX_AGE }}" },
            },
        }),
        "EDXAPP_GRADE_STORAGE_TYPE" => chosen("s3"),
        "EDXAPP_GRADE_STORAGE_CLASS" => chosen(CLASS),
        "EDXAPP_GRADE_BUCKET" => bucket(),
        "EDXAPP_GRADE_ROOT_PATH" => format!("{}/grades-download", container()),
        "EDXAPP_GRADE_STORAGE_KWARGS" => json!({
            "bucket": bucket(),
            "location": format!("{}/grades-download", container()),
        }),
        "XQUEUE_AWS_ACCESS_KEY_ID" => key(),
        "XQUEUE_AWS_SECRET_ACCESS_KEY" => secret(),
        "XQUEUE_UPLOAD_BUCKET" => bucket(),
        "XQUEUE_UPLOAD_PATH_PREFIX" => format!("{}/xqueue", container()),
        "COMMON_OBJECT_STORE_LOG_SYNC" => yes(),
        "COMMON_OBJECT_STORE_LOG_SYNC_BUCKET" => bucket(),
        "COMMON_OBJECT_STORE_LOG_SYNC_PREFIX" => format!("{}/logs/tracking/", container()),
        "AWS_S3_LOGS" => yes(),
        "AWS_S3_LOGS_ACCESS_KEY_ID" => key(),
        "AWS_S3_LOGS_SECRET_KEY" => secret(),
    });
    if !settings.s3_region.is_empty() {
        layer.extend(variables!(site => { "aws_region" => setting!(site, s3_region) }));
    }
    Ok(layer)
}
