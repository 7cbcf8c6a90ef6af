//! Whether this node may still act for a run: asked right before each effect, and as it goes on.

use ocim_domain::ids::RunId;

/// Guards effects. The log is fenced by its expected version; the outside world is not.
pub trait Fence: Send + Sync + std::fmt::Debug {
    /// True while nobody else may act for the run.
    fn holds(&self, run: RunId) -> bool;
}

/// For a single node: nobody else is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Fence for Alone {
    fn holds(&self, _: RunId) -> bool {
        true
    }
}
