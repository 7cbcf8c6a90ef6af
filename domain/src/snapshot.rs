//! How an aggregate's state is kept beside its stream, so that a long stream is not folded from its
//! beginning.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The form in which a state is kept. Whatever was kept under another schema is not read: the stream
/// is folded instead.
#[derive(Debug)]
pub struct SnapshotFormat<S> {
    /// Raised with every change of the state's shape, and of what events mean for it.
    pub schema: u16,
    /// The state as JSON.
    pub write: fn(&S) -> Result<Value, serde_json::Error>,
    /// The state again.
    pub read: fn(Value) -> Result<S, serde_json::Error>,
}

impl<S: Serialize + DeserializeOwned> SnapshotFormat<S> {
    /// The state as serde writes it. It must hold no protected value: it is kept as it is.
    #[must_use]
    pub const fn of_schema(schema: u16) -> Self {
        Self { schema, write: |state| serde_json::to_value(state), read: serde_json::from_value }
    }
}
