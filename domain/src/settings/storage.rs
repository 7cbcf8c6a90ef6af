//! Where a site keeps what its people upload.

use super::InstanceSettings;

/// What `storage_type` may say.
pub const STORAGE_TYPES: [&str; 3] = ["swift", "s3", "filesystem"];

/// Where uploads, grades and logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageType {
    /// On the Appserver's own machine, with which they go.
    Filesystem,
    /// In a container of Swift.
    Swift,
    /// In a bucket of S3.
    S3,
}

/// What the settings say; the machine's own for whatever is no type.
#[must_use]
pub fn storage_type(settings: &InstanceSettings) -> StorageType {
    match settings.storage_type.as_str() {
        "swift" => StorageType::Swift,
        "s3" => StorageType::S3,
        _ => StorageType::Filesystem,
    }
}
