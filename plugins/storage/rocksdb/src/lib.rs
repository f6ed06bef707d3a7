//! RocksDB as a storage backend of SuperVM.
//!
//! RocksDB is a log-structured merge tree: a batch goes into a log and a table in memory; full tables are written to disk, sorted, and merged
//! in the background. Its batches, snapshots, iterators and range deletions are those of the storage contract, so this crate is mostly
//! about its edges:
//!
//! - `config`, `options`: the options, and what they are in RocksDB.
//! - `database`: opening; what has to be in a directory first, and how it is named.
//! - `records`: damage in RocksDB's files that it does not report.
//! - `checkpoint`: checkpoints, and noticing one that was not copied in whole.
//! - `storage`: batches, durability and the rest of the contract.
//! - `space`: writing on after the disk was full.
//! - `snapshot`: snapshots and iterators that own what they read from; the only module with `unsafe`.
//! - `verify`: reading every table from disk.
//! - `error`: RocksDB's statuses.
//!
//! The options are documented at [`RocksDbConfig`]; the README has the durability argument and the measured costs.

mod checkpoint;
mod config;
mod database;
mod deletes;
mod error;
mod options;
mod records;
mod snapshot;
mod space;
mod storage;
mod verify;

pub use config::{Compression, RocksDbConfig, SyncCall, SyncMode, WalRecovery};
pub use options::database_options;
pub use storage::RocksDbStorage;

supervm_plugin_sdk::export_plugin!(storage: RocksDbStorage, name: "rocksdb");
