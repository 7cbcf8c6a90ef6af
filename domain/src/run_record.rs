//! What runs record beside the saga's own events: inputs, and what steps give. All of it is ours, none of
//! a port or an adapter, and has golden files.

/// Registers types as records of runs, each with the name that its golden files bear.
macro_rules! records {
    ($($type:ident: $name:literal,)*) => {
        $(impl crate::saga::RunRecord for $type {
            const NAME: &'static str = $name;
        })*

        /// The name of each record of this module, as in its golden files.
        pub(super) const NAMES: &[&str] = &[$($name),*];
    };
}

mod input;
mod output;

pub use input::*;
pub use output::*;

/// The name of each record, as in its golden files.
pub fn names() -> impl Iterator<Item = &'static str> {
    input::NAMES.iter().chain(output::NAMES).copied()
}
