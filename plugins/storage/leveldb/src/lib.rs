//! Google's LevelDB as a storage backend of SuperVM.
//!
//! LevelDB is a log-structured merge tree: a batch is appended to a log and put into a sorted table in memory; a full one is
//! written to disk as a table file, and a thread merges table files in the background. Snapshots, iterators in both directions and
//! atomic batches are its own. What it lacks, or does less strictly than the storage contract asks, is here:
//!
//! - `database`: the C interface behind safe types; the only module with `unsafe`.
//! - `log_tail`: syncs logs in their order, so that a power cut takes the end of the writes and never some from among them.
//! - `recovery`: looks at a directory before LevelDB changes it. LevelDB skips damage in a log and goes on behind it.
//! - `manifest`, `records`: the file formats that this needs.
//! - `table`: reads table files again, block by block, for `verify`.
//! - `writer`: batches, with ranges to delete, which LevelDB does not have.
//! - `storage`, `snapshot`, `stats`: the rest of the contract.

mod config;
mod storage;
mod stats;
mod snapshot;
mod writer;
mod log_tail;
mod recovery;
mod manifest;
mod table;
mod records;
mod files;
mod database;
mod error;

pub use config::{Compression, LevelDbConfig};
pub use storage::LevelDbStorage;

supervm_plugin_sdk::export_plugin!(storage: LevelDbStorage, name: "leveldb");
