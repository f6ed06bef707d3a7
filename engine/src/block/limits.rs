//! How much a block and each of its transactions may change.

use crate::mvcc::{COMMIT_BYTES_MAX, TRANSACTION_BYTES_MAX};
use std::fmt;

/// Maximum bytes that a block changes when nothing else is said.
pub const BLOCK_BYTES_MAX_DEFAULT: usize = 256 << 20;

/// Bounds of what a block changes, in bytes as [`change_bytes`](crate::mvcc::change_bytes) counts them.
///
/// Of a chain all nodes must have the same: they decide which transactions take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimits {
    /// Of a transaction: each key that it writes, over the value just before the transaction. At most [`TRANSACTION_BYTES_MAX`], the
    /// default.
    pub transaction_bytes_max: usize,
    /// Of the block: each key that it writes, once, with its last value over the one before the block. At most [`COMMIT_BYTES_MAX`].
    /// Default: [`BLOCK_BYTES_MAX_DEFAULT`].
    pub block_bytes_max: usize,
}

impl Default for BlockLimits {
    fn default() -> Self {
        Self {
            transaction_bytes_max: TRANSACTION_BYTES_MAX,
            block_bytes_max: BLOCK_BYTES_MAX_DEFAULT,
        }
    }
}

impl BlockLimits {
    /// The same, with no bound above what a transaction or a commit can have.
    pub(super) fn bounded(self) -> Self {
        Self {
            transaction_bytes_max: self.transaction_bytes_max.min(TRANSACTION_BYTES_MAX),
            block_bytes_max: self.block_bytes_max.min(COMMIT_BYTES_MAX),
        }
    }
}

/// Why a transaction of a block changes nothing, although it ran to its end: it, or the block with it, changes more than the
/// [`BlockLimits`]. Displayed, it says how much and what would be accepted; the same on all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub(super) String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
