//! The storage backend `memory`: an ordered map of the process, for tests and development.
//!
//! Reads and writes touch no disk. Snapshots and cursors are clones of a persistent tree: they cost the same at a hundred keys
//! and at a hundred million. The whole content goes into one file, the image, when the storage is flushed or closed, and comes
//! back from it at the next open. `README.md` says what a killed process loses.

mod config;
mod storage;
mod snapshot;
mod tree;
mod image;
mod error;

pub use config::MemoryConfig;
pub use storage::MemoryStorage;

supervm_plugin_sdk::export_plugin!(storage: MemoryStorage, name: "memory");
