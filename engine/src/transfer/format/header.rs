//! The header: what the file holds, and where it came from.

use super::{Hash, damaged, read_exact, seal, unseal};
use crate::config::CHAIN_ID_MAX;
use crate::layout::{BlockRecord, HistoryMode, Version};
use serde::{Deserialize, Serialize};
use std::io::Read;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"SVMSNAPS";
/// The version of the file format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// What the chunks of a file make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A whole state.
    State,
    /// What changed since another state.
    Changes,
}

/// The state that a file of changes builds upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its version.
    pub version: Version,
    /// The number of its newest block.
    pub last_block: Option<u64>,
    /// Its state digest (incremental), when it is kept.
    #[serde(default, with = "optional_hex")]
    pub state_digest: Option<Hash>,
    /// The SHA-256 of its entries, when there is no state digest.
    #[serde(default, with = "optional_hex")]
    pub full_digest: Option<Hash>,
    /// When the parent is a file of changes too: its id, the SHA-256 at its end.
    #[serde(default, with = "optional_hex")]
    pub file: Option<Hash>,
}

/// What a snapshot file says of itself at its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// A whole state, or changes.
    pub content: Content,
    /// The backend that it was read from; any backend takes it.
    pub backend: String,
    /// The chain whose state it is.
    pub chain_id: u64,
    /// The version of the state.
    pub version: Version,
    /// The newest block at or before that version.
    pub block: Option<BlockHeader>,
    /// The state digest (incremental) at that version; `None` when it is not kept.
    #[serde(default, with = "optional_hex")]
    pub state_digest: Option<Hash>,
    /// Of changes: how much of the past the source keeps.
    pub history: Option<HistoryMode>,
    /// Of changes: the state that they build upon.
    pub parent: Option<Parent>,
    /// Entries in the source, about; for showing progress.
    pub entries_about: Option<u64>,
    /// The version of SuperVM that wrote the file.
    pub written_by: String,
}

/// A block's record, as the header has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// The block's number.
    pub number: u64,
    /// The version of its last commit.
    pub version: Version,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub timestamp: u64,
    /// The state digest after the block; zeros when it is not kept.
    #[serde(with = "hex::serde")]
    pub digest: Hash,
}

impl From<BlockRecord> for BlockHeader {
    fn from(record: BlockRecord) -> Self {
        let BlockRecord { number, version, timestamp, digest } = record;
        Self { number, version, timestamp, digest }
    }
}

impl From<BlockHeader> for BlockRecord {
    fn from(header: BlockHeader) -> Self {
        let BlockHeader { number, version, timestamp, digest } = header;
        Self { number, version, timestamp, digest }
    }
}

impl Header {
    /// The header's bytes; the last 32 are its hash.
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a header is plain data");
        let mut block = MAGIC.to_vec();
        block.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        seal(block, &json)
    }

    /// Reads a header and its hash.
    ///
    /// # Errors
    /// `Corruption` when it is cut, malformed or changed; `FormatMismatch` for a file of another kind or of a newer build; `Io`.
    pub(in super::super) fn read(reader: &mut dyn Read) -> Result<(Self, Hash)> {
        let mut before = [0; MAGIC.len() + 4];
        read_exact(reader, &mut before, "the header")?;
        let (magic, version) = before.split_at(MAGIC.len());
        if magic != MAGIC {
            let refused = "this is no snapshot file; `supervm db export` writes one";
            return Err(Error::new(ErrorKind::FormatMismatch, "read snapshot file", refused));
        }
        let version = u32::from_le_bytes(version.try_into().expect("four bytes are left"));
        if version == 0 || version > FORMAT_VERSION {
            let refused = format!(
                "the file has format version {version}; this build reads 1 to {FORMAT_VERSION}"
            );
            return Err(Error::new(ErrorKind::FormatMismatch, "read snapshot file", refused));
        }
        let (json, hash) = unseal(reader, &before, "the header")?;
        let header: Self = serde_json::from_slice(&json).map_err(|error| {
            damaged(format!("the header does not parse: {error}")).with_source(error)
        })?;
        header.check()?;
        Ok((header, hash))
    }

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<()> {
        let is_wrong = self.chain_id > CHAIN_ID_MAX
            || self.block.is_some_and(|block| block.version > self.version)
            || self.block.is_some_and(|block| self.denies_digest_of(&block))
            || (self.content == Content::Changes) != self.parent.is_some()
            || self.parent.as_ref().is_some_and(|parent| parent.version > self.version);
        if is_wrong { Err(damaged("the header contradicts itself")) } else { Ok(()) }
    }
}

impl Header {
    /// Is `block` the state's, and has another digest than the state?
    fn denies_digest_of(&self, block: &BlockHeader) -> bool {
        block.version == self.version
            && block.digest != Hash::default()
            && self.state_digest != Some(block.digest)
    }
}

/// An optional hash as hex digits or null.
mod optional_hex {
    use super::Hash;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        hash: &Option<Hash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        hash.map(hex::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Hash>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let mut hash = Hash::default();
        hex::decode_to_slice(text, &mut hash).map_err(de::Error::custom)?;
        Ok(Some(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            content: Content::State,
            backend: "lmdb".into(),
            chain_id: 7,
            version: Version(9),
            block: Some(BlockHeader {
                number: 3,
                version: Version(9),
                timestamp: 1_700_000_000,
                digest: [5; 32],
            }),
            state_digest: Some([5; 32]),
            history: None,
            parent: None,
            entries_about: Some(1),
            written_by: "0.1.0".into(),
        }
    }

    #[test]
    fn a_header_reads_back_with_its_hash() {
        let bytes = header().to_bytes();
        let (read, hash) = Header::read(&mut &bytes[..]).expect("own header");
        assert_eq!(read, header());
        assert_eq!(hash[..], bytes[bytes.len() - 32..]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_of_a_header_is_refused() {
        let bytes = header().to_bytes();
        for cut in 0..bytes.len() {
            assert!(Header::read(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(Header::read(&mut &changed[..]).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_header_that_contradicts_itself_is_refused_although_its_hash_is_right() {
        for wrong in [
            Header { version: Version(8), ..header() },
            Header { chain_id: u64::MAX, ..header() },
            Header { state_digest: Some([6; 32]), ..header() },
            Header { state_digest: None, ..header() },
            Header { content: Content::Changes, ..header() },
        ] {
            let error = Header::read(&mut &wrong.to_bytes()[..]).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        }
    }

    #[test]
    fn a_length_past_the_bound_is_refused_before_it_is_allocated() {
        let mut bytes = header().to_bytes();
        bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = Header::read(&mut &bytes[..]).expect_err("refused");
        assert!(error.message().contains("at most"), "{error}");
    }
}
