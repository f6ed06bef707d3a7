//! What the `mvcc` benchmark measures: transactions that move an amount between two accounts.
//!
//! A transaction reads two balances and writes both, under serializable isolation; keys have 20 bytes, balances 8. The legs take turns in
//! blocks of a few milliseconds, as in the [`boundary`](crate::boundary) benchmark: each round gives one ratio of SuperVM to the
//! peer. SuperVM runs twice, over two stores, and the ratio of the two is the guard.

mod durable;
mod ledger;
mod memory;
mod report;
mod rounds;

pub use durable::{Durable, durable_commits};
pub use ledger::{Accounts, Key, Ledger, SuperVm, SurrealMx};
pub use memory::{Memory, memory};
pub use report::Report;
pub use rounds::{
    Distribution, Latency, Throughput, collector_cost, latency, read_only, throughput,
};

/// Accounts of the benchmark.
pub const ACCOUNTS: usize = 100_000;
/// Exponent of Zipf's distribution, where it is used.
pub const ZIPF_EXPONENT: f64 = 0.99;
