//! The trailer: what the whole file came to.

use super::{Hash, Kind, damaged, seal, unseal};
use serde::{Deserialize, Serialize};
use std::io::Read;
use supervm_plugin_sdk::Result;

pub(in super::super) const TRAILER_MAGIC: [u8; 4] = *b"SVTR";

/// How much a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Chunks.
    pub chunks: u64,
    /// Entries of chain state: keys with their values.
    pub state: u64,
    /// Of changes: keys that were deleted.
    pub deleted: u64,
    /// Of changes: old values.
    pub history: u64,
    /// Of changes: parts of the list of changed keys.
    pub change_log: u64,
    /// Of changes: blocks.
    pub blocks: u64,
    /// Contracts.
    pub code: u64,
    /// Of changes: addresses of all contracts that the state has.
    pub code_index: u64,
    /// Bytes of all chunks before compression.
    pub raw_bytes: u64,
}

impl Counts {
    /// Counts a chunk.
    pub(in super::super) fn add(&mut self, kind: Kind, entries: u64, raw_bytes: u64) {
        let count = match kind {
            Kind::State => &mut self.state,
            Kind::Deleted => &mut self.deleted,
            Kind::History => &mut self.history,
            Kind::ChangeLog => &mut self.change_log,
            Kind::Blocks => &mut self.blocks,
            Kind::Code => &mut self.code,
            Kind::CodeIndex => &mut self.code_index,
        };
        *count += entries;
        self.chunks += 1;
        self.raw_bytes += raw_bytes;
    }

    /// Entries of every kind.
    pub fn entries(&self) -> u64 {
        self.state
            + self.deleted
            + self.history
            + self.change_log
            + self.blocks
            + self.code
            + self.code_index
    }
}

/// What a snapshot file says of itself at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// How much there is.
    pub counts: Counts,
    /// The SHA-256 of the entries of chain state (clause 23); of changes, of the state after them, zeros when a state digest is kept.
    #[serde(with = "hex::serde")]
    pub full_digest: Hash,
    /// The snapshot digest: everything that the file says, whatever wrote it.
    #[serde(with = "hex::serde")]
    pub snapshot_digest: Hash,
    /// The end of the chain of hashes.
    #[serde(with = "hex::serde")]
    pub chain: Hash,
}

impl Trailer {
    /// The trailer's bytes; the last 32 are the file's id: by way of the chain, the hash of everything before it.
    pub(in super::super) fn to_bytes(self) -> Vec<u8> {
        let json = serde_json::to_vec(&self).expect("a trailer is plain data");
        seal(TRAILER_MAGIC.to_vec(), &json)
    }

    /// Reads what comes after the magic number; returns the file's id too.
    ///
    /// # Errors
    /// `Corruption`, `Io`.
    pub(in super::super) fn read(reader: &mut dyn Read) -> Result<(Self, Hash)> {
        let (json, id) = unseal(reader, &TRAILER_MAGIC, "the trailer")?;
        let trailer = serde_json::from_slice(&json).map_err(|error| {
            damaged(format!("the trailer does not parse: {error}")).with_source(error)
        })?;
        Ok((trailer, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_reads_back_and_no_changed_byte_is_accepted() {
        let mut counts = Counts::default();
        counts.add(Kind::State, 5, 100);
        let trailer =
            Trailer { counts, full_digest: [1; 32], snapshot_digest: [3; 32], chain: [2; 32] };
        let bytes = trailer.to_bytes();
        let (read, id) = Trailer::read(&mut &bytes[4..]).expect("own trailer");
        assert_eq!(read, trailer);
        assert_eq!(id[..], bytes[bytes.len() - 32..]);
        for at in 4..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Trailer::read(&mut &changed[4..]).is_err(), "changed at {at}");
            assert!(Trailer::read(&mut &bytes[4..at]).is_err(), "cut at {at}");
        }
    }
}
