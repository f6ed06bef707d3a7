//! Transactions: many versions of each key in memory, the newest durable one on the backend.
//!
//! # How it works
//! A transaction reads the state as of the version that was the newest when it began, writes into a
//! set of its own, and commits by optimistic concurrency control (Kung and Robinson, 1981): at its
//! end it is checked whether what it read is still so. Writers never wait for readers and readers
//! never for writers.
//!
//! ```text
//!   begin          pin the newest visible version                       readers
//!   read           key -> cell -> newest version at or below the pin    index, cell
//!   scan           cells written lately, merged with the backend        recent
//!   commit         check, next version, install                         sequencer: one lock, no disk
//!                  write the group's batch                              group: one member writes for all
//!                  a larger commit: several batches and a marker        large, recovery
//!                  publish the version                                  readers
//! ```
//!
//! Invariants:
//! 1. A version is visible when all writes up to it are installed, and on the backend where there
//!    is one. Versions have no holes.
//! 2. A reader's version is pinned before anything asks what may be removed.
//! 3. A key in memory knows all that the backend knows of it, unless it is marked as not loaded.
//! 4. A key that is only on the backend has a version at or below the watermark.
//! 5. A cell that somebody holds stays in the index.
//! 6. A write that some running transaction does not see is among the recent ones.
//! 7. No lock is held while the backend reads.
//!
//! An absent key that is read has a cell too, so that its appearance is noticed. A scanned range is
//! noticed as a range.
//!
//! IMPORTANT: locks are taken in this order: the sequencer, the recent writes, a shard of the index,
//! a cell, the key order.

mod config;
mod value;
mod cell;
mod index;
mod recent;
mod readers;
mod txn;
mod size;
mod large;
mod recovery;
mod sequencer;
mod commit;
mod failure;
mod group;
mod gc;
mod auto_gc;
mod evict;
mod admission;
mod metrics;
mod inner;
mod store;
mod mutant;

pub use config::{
    Acknowledgement, AutoGcConfig, Block, Clock, CommitBounds, CommitOptions, GcConfig, Isolation,
    MEMORY_BYTES_DEFAULT, MvccConfig, TRANSACTION_BYTES_DEFAULT,
};
pub use gc::{GcReport, GcStats};
pub use metrics::MvccMetrics;
#[cfg(feature = "mutants")]
pub use mutant::MUTANTS;
pub use size::{
    COMMIT_BYTES_MAX, OPERATION_BYTES, TRANSACTION_BYTES_MAX, TRANSACTION_KEYS_MAX, change_bytes,
};
pub use store::MvccStore;
pub use txn::{Savepoint, Txn};

pub(crate) use cell::Cell;
pub(crate) use large::PART_BYTES;
pub(crate) use metrics::Counter;
pub(crate) use recovery::recover;
pub(crate) use size::{Size, block_excess};
pub(crate) use txn::TxnRows;
pub(crate) use value::Value;
