//! What may stand in a run's events as its input, or as what a step gave.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that a run records. It is read again by later steps, maybe years later and by another program:
/// what it lacks then has a default.
pub trait RunRecord: Serialize + DeserializeOwned {
    /// Its name, as in its golden files.
    const NAME: &'static str;
}

/// Nothing: the effect alone.
impl RunRecord for () {
    const NAME: &'static str = "nothing";
}
