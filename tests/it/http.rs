//! The API from outside, on a real database.

mod instances;
mod live;
mod refusals;
mod runs;
