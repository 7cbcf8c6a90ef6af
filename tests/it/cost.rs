//! What is asked, done and started costs by what is open, not by what ever was: counted after few
//! events and after many.

mod bygone;
mod commands;
mod pages;
mod trackers;

/// Events of the past, few and many.
const FEW: usize = 1_000;
const MANY: usize = 50_000;
