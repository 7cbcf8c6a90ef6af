//! The engine: event store, sealing, projector runtime, saga runner, leases. It knows no Open edX, and
//! nobody outside but PostgreSQL.
//!
//! In reading order: `database` is where PostgreSQL is; `store` keeps events, `journal` folds and
//! appends to streams, `log_tail` reads on; `projector` keeps read models up to date; `leases` and
//! `sagas` drive processes.

pub mod database;
pub mod journal;
pub mod leases;
pub mod log_tail;
pub mod projector;
pub mod sagas;
pub mod storable;
pub mod store;
