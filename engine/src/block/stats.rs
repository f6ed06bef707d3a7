//! How a block was run. It depends on chance, unlike the block's result.

use serde::Serialize;

/// How the transactions of a block were run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BlockStats {
    /// Transactions of the block.
    pub transactions: u64,
    /// Transactions that were run ahead of their turn and merged as they were.
    pub ran_ahead: u64,
    /// Transactions that were run ahead and had to run again.
    pub reruns: u64,
    /// Transactions that ran once, at their turn: one by one, or because their access list said that running ahead is of no use.
    pub in_turn: u64,
}

impl BlockStats {
    /// Adds another block's.
    pub fn add(&mut self, other: &Self) {
        self.transactions += other.transactions;
        self.ran_ahead += other.ran_ahead;
        self.reruns += other.reruns;
        self.in_turn += other.in_turn;
    }

    /// The part of the transactions that had to run again, 0 to 1; 0 without transactions.
    pub fn rerun_rate(&self) -> f64 {
        if self.transactions == 0 {
            return 0.0;
        }
        self.reruns as f64 / self.transactions as f64
    }
}
