//! Whether the blocks in a file of changes follow from those before it, and lead to the one that it says.

use super::codec::Decoded;
use super::format::{BlockHeader, Header, Kind, damaged};
use crate::layout::BlockRecord;
use crate::storage::Storage;
use supervm_plugin_sdk::Result;

/// The blocks of a file of changes, from the first to the last.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The number of the parent's newest block.
    parent: Option<u64>,
    /// The newest block so far; `None` when there is none, or when its record was pruned.
    last: Option<BlockRecord>,
    /// Blocks in the file.
    found: u64,
}

impl Blocks {
    /// The blocks that come after the parent's, whose record `storage` has.
    pub(super) fn new(header: &Header, storage: &Storage) -> Result<Self> {
        let parent = header.parent.as_ref().and_then(|parent| parent.last_block);
        let last = parent.map(|number| BlockRecord::read(storage, number)).transpose()?.flatten();
        Ok(Self { parent, last, found: 0 })
    }

    /// Takes the blocks in a chunk; each comes after the one before it.
    pub(super) fn take(&mut self, chunk: &Decoded) -> Result<()> {
        if chunk.header.kind != Kind::Blocks {
            return Ok(());
        }
        for entry in chunk.entries() {
            let (key, record) = entry?;
            let number = <[u8; 8]>::try_from(key).map(u64::from_be_bytes);
            let number = number.map_err(|_| damaged("the number of a block is malformed"))?;
            let block = BlockRecord::from_bytes(number, record)?;
            let follows = self.parent.is_none_or(|parent| number > parent)
                && self.last.is_none_or(|last| {
                    last.version < block.version && last.timestamp <= block.timestamp
                });
            if !follows {
                return Err(
                    damaged("a block does not follow the one before it").with("block", number)
                );
            }
            self.last = Some(block);
            self.found += 1;
        }
        Ok(())
    }

    /// Is the last block the one that the header says, with the digest of the state?
    pub(super) fn check_end(&self, header: &Header) -> Result<()> {
        let refused = |block: Option<u64>| {
            let error = damaged("the newest block is not the one that the header says");
            let shown = block.map_or_else(|| "none".to_owned(), |number| number.to_string());
            Err(error.with("block", shown))
        };
        let Some(told) = header.block else {
            // Where pruning has taken the newest record, there is none in the file either.
            return if self.found == 0 { Ok(()) } else { refused(None) };
        };
        match self.last {
            None if self.found == 0 && self.parent == Some(told.number) => Ok(()),
            Some(last) if BlockHeader::of(last, header.version, header.state_digest) == told => {
                Ok(())
            }
            _ => refused(Some(told.number)),
        }
    }
}
