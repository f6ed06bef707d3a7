//! LMDB as a storage backend of SuperVM.
//!
//! LMDB is a B+ tree in one memory-mapped file, changed by copy on write: one writer, any number of readers, and a reader never
//! waits for the writer nor the writer for a reader. A commit makes a new root; readers go on with the root they began with.
//! That is the storage contract's model of snapshots almost word for word, so most of this crate is about its edges:
//!
//! - `environment`: the open file. Its size, its lock, what a commit syncs; the only module with `unsafe`.
//! - `readers`: read transactions that are kept between two calls of `get`.
//! - `storage`: batches, quota and the rest of the contract.
//! - `snapshot`: long read transactions and the cursors over them.
//!
//! The options are documented at [`LmdbConfig`]; the README has the durability argument and the measured costs.

mod config;
mod environment;
mod error;
mod readers;
mod snapshot;
mod storage;

pub use config::{LmdbConfig, SyncMode};
pub use storage::LmdbStorage;

supervm_plugin_sdk::export_plugin!(storage: LmdbStorage, name: "lmdb");
