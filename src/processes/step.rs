//! The engine's rows, steps and definitions, for what Ocim's steps may use.

use super::world::World;
use ocim_engine::sagas::{definition, runner};

pub use ocim_engine::sagas::definition::{
    Costs, Found, Progress, StartRequest, StepError, done, found, undone,
};

/// What a step may know and use.
pub type StepContext = definition::StepContext<World>;
/// Performs a step, or asks how far it is.
pub type RunFn = definition::RunFn<World>;
/// Looks whether an effect whose outcome is unknown is there.
pub type ProbeFn = definition::ProbeFn<World>;
/// What the run's way back means to a step.
pub type Kind = definition::Kind<World>;
/// One row of a process.
pub type Step = definition::Step<World>;
/// A process.
pub type Definition = definition::Definition<World>;
/// The definitions by name; versions of one name stand side by side.
pub type Registry = runner::Registry<World>;
/// Drives one run.
pub type Driver = runner::Driver<World>;
