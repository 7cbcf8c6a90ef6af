//! Simulated worlds: they repeat exactly, hold what must hold, and can be served beside real ones.

mod faults;
mod region;
mod worlds;
