//! Playbooks from git repositories: which commit and which packages they get, and what their runs may
//! do and say.

pub(crate) mod bench;
mod packages;
mod runs;
mod versions;
mod wrapper;
