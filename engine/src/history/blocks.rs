//! Blocks, and the versions that they left.

use super::{History, pruned};
use crate::layout::{Area, BlockRecord, Meta, Version, block_key, split_block_key};
use supervm_plugin_sdk::{Capability, Direction, Error, ErrorKind, KeyRange, Result};

impl History {
    /// The record of block `number`; `None` when there is none, because the block does not exist or was pruned.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with.
    pub fn block(&self, number: u64) -> Result<Option<BlockRecord>> {
        BlockRecord::read(&self.storage, number)
    }

    /// The record of the newest block; `None` before the first. It is never pruned.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn last_block(&self) -> Result<Option<BlockRecord>> {
        match self.meta()?.last_block {
            Some(number) => self.block(number),
            None => Ok(None),
        }
    }

    /// The records of the blocks from `from` on, at most `limit`, in the order of their numbers.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn blocks(&self, from: u64, limit: usize) -> Result<Vec<BlockRecord>> {
        let start = block_key(from);
        let range = KeyRange::new(&start, Area::Blocks.range().end);
        let mut rows = self.storage.rows(range, Direction::Forward)?;
        let mut blocks = Vec::new();
        while blocks.len() < limit {
            let Some((stored, record)) = rows.next()? else { break };
            blocks.push(BlockRecord::from_bytes(split_block_key(stored)?, record)?);
        }
        Ok(blocks)
    }

    /// The version that block `number` left.
    ///
    /// # Errors
    /// `VersionPruned` when the state after the block cannot be read any more; `InvalidArgument` when there is no such block;
    /// `Corruption`; what the storage fails with.
    pub fn version_of_block(&self, number: u64) -> Result<Version> {
        let meta = self.meta()?;
        let floor = meta.oldest_version();
        match self.block(number)? {
            Some(block) if block.version >= floor => Ok(block.version),
            Some(block) => Err(pruned(block.version, floor).with("block", number)),
            None => Err(self.no_block(number, &meta)?),
        }
    }

    /// The newest block whose timestamp is at or before `timestamp`; `None` when there is none, or when it was pruned.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with.
    pub fn block_at(&self, timestamp: u64) -> Result<Option<BlockRecord>> {
        self.newest_block(|block| block.timestamp <= timestamp)
    }

    /// The newest block of which `claim` is true; it is true of every older one then.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with.
    pub(crate) fn newest_block(
        &self,
        claim: impl Fn(&BlockRecord) -> bool,
    ) -> Result<Option<BlockRecord>> {
        let is_reversible = self.storage.capabilities().has(Capability::ReverseCursor);
        let direction = if is_reversible { Direction::Reverse } else { Direction::Forward };
        let mut rows = self.storage.rows(Area::Blocks.range(), direction)?;
        let mut newest = None;
        while let Some((stored, record)) = rows.next()? {
            let block = BlockRecord::from_bytes(split_block_key(stored)?, record)?;
            match (claim(&block), is_reversible) {
                (true, true) => return Ok(Some(block)),
                (true, false) => newest = Some(block),
                (false, true) => {}
                (false, false) => break,
            }
        }
        Ok(newest)
    }

    /// Why there is no record of block `number`.
    pub(super) fn no_block(&self, number: u64, meta: &Meta) -> Result<Error> {
        let Some(last) = meta.last_block else {
            return Ok(unknown_block(number, "there is no block yet"));
        };
        let first = self.blocks(0, 1)?.first().map_or(last, |block| block.number);
        let floor = meta.oldest_version();
        // Below the first record a block may have been, unless nothing was ever pruned.
        if number < first && floor > Version::ZERO {
            let refused =
                format!("the block was pruned; the oldest version that can be read is {floor}");
            let error = Error::new(ErrorKind::VersionPruned, "read history", refused);
            return Ok(error.with("block", number));
        }
        Ok(unknown_block(number, format!("there is no such block; there are {first} to {last}")))
    }
}

fn unknown_block(number: u64, refused: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, "read history", refused).with("block", number)
}
