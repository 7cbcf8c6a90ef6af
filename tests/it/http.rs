//! The API from outside, on a real database.

mod history;
mod idempotency;
mod instances;
mod live;
mod logs;
mod observing;
mod operators;
mod refusals;
mod runs;
