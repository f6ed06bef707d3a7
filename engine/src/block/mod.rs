//! Blocks: transactions in a fixed order, run on several threads, with the result of running them one by one.
//!
//! # How it works
//! Workers run transactions ahead of their turn, on what is merged so far, and remember what they read. Transactions are merged strictly in
//! order. At its turn a transaction whose reads are still what they were is merged as it is; any other runs once more, with nothing else
//! being merged meanwhile, and that run counts. So a transaction runs twice at most, and nothing has to be undone.
//!
//! ```text
//!   transaction   0 1 2 3 4 5 6 7 8 ...
//!                 m m m . . .              m  merged: its writes are part of what is read
//!                       ^   ^ ^            .  run ahead, waits for its turn
//!                   front   |  next to be taken, at most a window ahead of the front
//!                           being run
//! ```
//!
//! Say 4 pays from an account into which 3 pays. While 3 is not merged, a worker runs 4 and reads the account as 2 left it. Then 3 is
//! merged, and the account's writer is no longer the one that 4 has read: 4 runs again. Had the worker begun after 3 was merged, its run
//! would have stood.
//!
//! What is run ahead may read a state that never was, between two merges. Nothing comes of it: such a run has read something that
//! changed, so it is not merged, and its gas bounds it.
//!
//! Block-STM (Gelashvili and others, 2023) also validates in order, but keeps a version of each write and runs a transaction as often
//! as it takes. On few cores the bookkeeping costs more than it gains: this is simpler, and was 1.8 times as fast as one by one on two
//! threads where that was slower.
//!
//! Invariants:
//! 1. A transaction is merged when all before it are, from a run whose reads are those that it would make at that moment.
//! 2. Only who holds the merging lock merges, so nothing changes under a run that it makes.
//! 3. Whether a transaction's changes are too many is decided when it is merged, by the values at that moment. One that is refused changes
//!    nothing.
//! 4. What a run that is not merged did is seen by no other, and by nobody afterwards.

mod limits;
mod cell;
mod trace;
mod merged;
mod view;
mod access;
mod pace;
mod crew;
mod turns;
mod stats;
mod run;
mod executor;

pub use access::AccessList;
pub use executor::{BlockExecutor, Executed, Ran, Transactions};
pub use limits::{BLOCK_BYTES_MAX_DEFAULT, BlockLimits, Refusal};
pub use stats::BlockStats;
pub use view::BlockView;

/// Most transactions of a block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 1 << 16;
