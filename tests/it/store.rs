//! The event stores: one suite for all engines, then what only some of them do.

mod engines;
mod faults;
mod kurrentdb;
mod model;
mod postgres;
mod repeats;
mod sealed;
