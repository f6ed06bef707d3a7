//! What the `block` benchmark measures: blocks on two threads against one.
//!
//! Two kinds of transactions. Made-up ones read two balances, compute for a while, and write both: how much the executor itself gains and
//! costs. Real ones are transfers of the example's token through WASM, on a backend, committed with a digest of the state.
//!
//! The legs take turns, as in the [`boundary`](crate::boundary) benchmark: an executor with one thread, another such one for the guard, and
//! one with two threads, each over a state of its own. All of them run the same blocks, and all have to come to the same state.

mod made_up;
mod token;
mod turns;
mod report;

pub use made_up::{Contention, MadeUp, Speedup, speedup};
pub use report::Report;
pub use token::{Transfers, transfers};

/// Transactions of a block.
pub const BLOCK_TRANSACTIONS: usize = 1000;
