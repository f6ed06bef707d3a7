//! Schedulers: transactions that are tried again, batches, tasks with priorities, conflicts, nested savepoints.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod snapshot;
mod retries;
mod batches;
mod all_or_nothing;
mod events;
mod stats;
mod tasks;
mod priorities;
mod conflicts;
mod graph;
mod savepoints;

use supervm_storage_memory as _;
