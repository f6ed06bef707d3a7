//! Transactions: what they see, when they are refused, what garbage collection takes, and what a backend keeps.
//!
//! With the feature `mutants` the tests run over a store in which mistakes can be switched on; see [`mutants`].
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod probe;
mod visibility;
mod conflicts;
mod read_only;
mod savepoints;
mod scans;
mod limits;
mod large;
mod anomalies;
mod gc;
mod policies;
mod auto_gc;
mod blocks;
mod backend;
mod digest;
mod eviction;
mod group;
mod overlap;
mod poisoning;
mod races;
mod waiting;
mod bank;
mod histories;
mod model;
#[cfg(feature = "mutants")]
mod mutants;

use supervm_storage_memory as _;

supervm_plugin_sdk::export_plugin!(storage: probe::Probe, name: "probe");
