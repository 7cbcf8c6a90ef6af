//! The engine: event store, sealing, projector runtime, saga runner, leases. It knows no Open edX, and
//! nobody outside but PostgreSQL.
//!
//! In reading order: `database` is where PostgreSQL is; `store` keeps events, `journal` folds and
//! appends to streams, `derived` keeps what spares reading them from the beginning, `tracker` what is
//! open; `projector` keeps read models up to date; `leases` and
//! `sagas` drive processes.

pub mod database;
pub mod derived;
pub mod journal;
pub mod leases;
mod payload;
pub mod projector;
pub mod sagas;
pub mod storable;
pub mod store;
pub mod tracker;
