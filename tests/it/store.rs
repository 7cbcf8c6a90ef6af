//! The event stores: one suite for all engines, then what only some of them do.

mod engines;
mod faults;
mod model;
mod postgres;
mod sealed;
