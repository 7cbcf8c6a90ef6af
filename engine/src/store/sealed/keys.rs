//! The keyring: one data key for each subject, until it is shredded.

use super::cipher::DataKey;
use async_trait::async_trait;
use ocim_domain::system::Ids;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The subject's key was deleted; nothing can be protected for it any more.
    #[error("the key of `{subject}` was shredded")]
    Shredded {
        /// Whose key.
        subject: String,
    },
    /// The database was made with another `SECRET_KEY`.
    #[error(
        "SECRET_KEY is not the one that this database's secrets were encrypted with: \
         set the former one again"
    )]
    WrongSecretKey,
    /// A stored key does not open with the right `SECRET_KEY`.
    #[error("the stored key of `{subject}` is damaged")]
    Damaged {
        /// Whose key.
        subject: String,
    },
    /// The keyring can't be reached.
    #[error("the keyring is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where the keys are.
#[async_trait]
pub trait SubjectKeys: Send + Sync + std::fmt::Debug {
    /// The subject's key, made if it has none yet.
    ///
    /// # Errors
    /// [`KeyError::Shredded`] once it was deleted.
    async fn get_or_create(&self, subject: &str) -> Result<DataKey, KeyError>;

    /// The subject's key; `None` if it was shredded or never made.
    async fn get(&self, subject: &str) -> Result<Option<DataKey>, KeyError>;

    /// Deletes the key for good, also one that was never made.
    async fn shred(&self, subject: &str) -> Result<(), KeyError>;
}

/// Keys that end with the process. A shredded one is `None`.
#[derive(Debug)]
pub struct MemoryKeys {
    keys: Mutex<HashMap<String, Option<DataKey>>>,
    ids: Arc<dyn Ids>,
}

impl MemoryKeys {
    /// An empty keyring that takes its random numbers from `ids`.
    #[must_use]
    pub fn new(ids: Arc<dyn Ids>) -> Self {
        Self { keys: Mutex::default(), ids }
    }

    /// The keys as they are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { keys: Mutex::new(self.keys().clone()), ids: Arc::clone(&self.ids) }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Option<DataKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SubjectKeys for MemoryKeys {
    async fn get_or_create(&self, subject: &str) -> Result<DataKey, KeyError> {
        let mut keys = self.keys();
        let key =
            keys.entry(subject.to_owned()).or_insert_with(|| Some(DataKey::random(&*self.ids)));
        key.clone().ok_or_else(|| KeyError::Shredded { subject: subject.to_owned() })
    }

    async fn get(&self, subject: &str) -> Result<Option<DataKey>, KeyError> {
        Ok(self.keys().get(subject).cloned().flatten())
    }

    async fn shred(&self, subject: &str) -> Result<(), KeyError> {
        self.keys().insert(subject.to_owned(), None);
        Ok(())
    }
}
