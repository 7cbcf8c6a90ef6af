//! What an instance's databases, containers, buckets and accounts are called, once and for all.

use crate::ids::InstanceId;
use crate::name::Kind;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Longest database, bucket or account name, in characters.
pub const RESOURCE_NAME_LENGTH_MAX: usize = 50;
/// Hexadecimal digits of a digest that stand in a name: for what was cut off, or for its owner.
const DIGEST_LENGTH: usize = 4;

/// What the configuration adds to the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePrefixes {
    /// `S3_BUCKET_PREFIX`.
    pub bucket: String,
    /// `IAM_USER_PREFIX`.
    pub iam_user: String,
}

impl Default for ResourcePrefixes {
    fn default() -> Self {
        Self { bucket: "ocim".to_owned(), iam_user: "ocim".to_owned() }
    }
}

/// The names of what an instance uses outside its machines (infra §0.3).
///
/// They are calculated when first needed, reserved and recorded, and never again: settings and
/// prefixes may change, what is out there stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceNames {
    /// The main database, and the start of all other `MySQL` databases' names.
    pub database: String,
    /// The database of the forum.
    pub forum_database: String,
    /// The Swift container.
    pub container: String,
    /// The S3 bucket.
    pub bucket: String,
    /// The AWS account that may use the bucket.
    pub iam_user: String,
}

impl ResourceNames {
    /// The names by the original's rule. From attempt 1 on, because another instance has one of
    /// them, with four digits of a hash of the instance's id.
    #[must_use]
    pub fn propose(
        internal_lms_domain: &str,
        prefixes: &ResourcePrefixes,
        id: InstanceId,
        attempt: u32,
    ) -> Self {
        let plain = database_name(internal_lms_domain);
        let database = match attempt {
            0 => plain,
            1 => append_digest(&plain, &id.to_string()),
            more => append_digest(&plain, &format!("{id}/{more}")),
        };
        Self {
            forum_database: forum_database_name(&database),
            container: database.clone(),
            bucket: bucket_name(&database, &prefixes.bucket),
            iam_user: iam_user_name(&database, &prefixes.iam_user),
            database,
        }
    }

    /// Each name with the kind within which it is unique.
    #[must_use]
    pub fn reserved(&self) -> [(Kind, &str); 5] {
        [
            (Kind::Database, &self.database),
            (Kind::Database, &self.forum_database),
            (Kind::Container, &self.container),
            (Kind::Bucket, &self.bucket),
            (Kind::IamUser, &self.iam_user),
        ]
    }
}

/// The main database of a site at that domain. Case is kept; hyphens and accents vanish.
#[must_use]
pub fn database_name(internal_lms_domain: &str) -> String {
    let name = internal_lms_domain.replace('.', "_");
    shorten(name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

/// The database of the forum beside that main database.
#[must_use]
pub fn forum_database_name(database: &str) -> String {
    format!("{database}_forum")
}

/// The S3 bucket beside that main database; `prefix` is `S3_BUCKET_PREFIX`.
#[must_use]
pub fn bucket_name(database: &str, prefix: &str) -> String {
    shorten(format!("{prefix}-{}", database.replace('_', "-")))
}

/// The AWS account beside that main database; `prefix` is `IAM_USER_PREFIX`.
#[must_use]
pub fn iam_user_name(database: &str, prefix: &str) -> String {
    shorten(format!("{prefix}-{database}"))
}

/// The name itself, or its start and a digest of all of it where it is too long.
fn shorten(name: String) -> String {
    if name.chars().count() <= RESOURCE_NAME_LENGTH_MAX {
        name
    } else {
        append_digest(&name, &name)
    }
}

/// The start of a name, and a digest of a text behind it.
fn append_digest(name: &str, of: &str) -> String {
    let digest = crate::names::hex(&Md5::digest(of.as_bytes()));
    let start = name.chars().take(RESOURCE_NAME_LENGTH_MAX - DIGEST_LENGTH);
    start.chain(digest.chars().take(DIGEST_LENGTH)).collect()
}
