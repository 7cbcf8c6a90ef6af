//! The API from outside, on a real database.

mod instances;
mod live;
mod observing;
mod refusals;
mod runs;
