//! The storage backend `sqlite`: one SQLite database in WAL mode.
//!
//! One connection writes; every read has a connection of its own with an open read transaction, so that neither waits for the
//! other. `readers` says how a single `get` does without the cost of a transaction and still sees every write that returned.

mod config;
mod storage;
mod snapshot;
mod database;
mod writer;
mod readers;
mod error;

pub use config::{SqliteConfig, Synchronous};
pub use storage::SqliteStorage;

supervm_plugin_sdk::export_plugin!(storage: SqliteStorage, name: "sqlite");
