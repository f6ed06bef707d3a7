//! The header: what the file holds, and where it came from.

use super::{Hash, damaged, read_exact, seal, unseal};
use crate::config::CHAIN_ID_MAX;
use crate::layout::{BlockRecord, HistoryMode, VERSION_MAX, Version};
use serde::{Deserialize, Serialize};
use std::io::Read;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// The digest in a block's record when none is kept.
const NO_DIGEST: Hash = [0; 32];
const MAGIC: &[u8; 8] = b"SVMSNAPS";
/// The version of the file format that this build writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 2;

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
    /// The state digest after the block; absent when it is not kept, and when the state is of a
    /// later version, because nothing in the file would bear it out.
    #[serde(default, with = "optional_hex")]
    pub digest: Option<Hash>,
}

impl BlockHeader {
    /// A block's record, as the header of a state at `version` with this state digest has it.
    pub(in super::super) fn of(
        record: BlockRecord,
        version: Version,
        state_digest: Option<Hash>,
    ) -> Self {
        let BlockRecord { number, version: at, timestamp, digest } = record;
        let is_borne_out = at == version && state_digest.is_some();
        let digest = (is_borne_out && digest != NO_DIGEST).then_some(digest);
        Self { number, version: at, timestamp, digest }
    }
}

impl From<BlockHeader> for BlockRecord {
    fn from(header: BlockHeader) -> Self {
        let BlockHeader { number, version, timestamp, digest } = header;
        Self { number, version, timestamp, digest: digest.unwrap_or(NO_DIGEST) }
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
    /// `Corruption` when it is cut, malformed or changed; `FormatMismatch` for a file of another kind or of
    /// another version of the format; `Io`.
    pub(in super::super) fn read(reader: &mut dyn Read) -> Result<(Self, Hash)> {
        let mut before = [0; MAGIC.len() + 4];
        read_exact(reader, &mut before, "the header")?;
        let (magic, version) = before.split_at(MAGIC.len());
        if magic != MAGIC {
            let refused = "this is no snapshot file; `supervm db export` writes one";
            return Err(Error::new(ErrorKind::FormatMismatch, "read snapshot file", refused));
        }
        let version = u32::from_le_bytes(version.try_into().expect("four bytes are left"));
        check_format(version)?;
        let (json, hash) = unseal(reader, &before, "the header")?;
        let header: Self = serde_json::from_slice(&json).map_err(|error| {
            damaged(format!("the header does not parse: {error}")).with_source(error)
        })?;
        header.check()?;
        Ok((header, hash))
    }

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<()> {
        if self.version > VERSION_MAX {
            let refused = format!("the version is {}; at most {VERSION_MAX}", self.version);
            return Err(damaged(refused));
        }
        if let Some(block) = self.block {
            BlockRecord::from(block).check_bounds("read snapshot file", ErrorKind::Corruption)?;
            self.check_block(&block)?;
        }
        let has_changes = self.content == Content::Changes;
        let is_wrong = self.chain_id > CHAIN_ID_MAX
            || has_changes != self.parent.is_some()
            || has_changes != self.history.is_some()
            || self.history == Some(HistoryMode::Window { blocks: 0 })
            || self.parent.as_ref().is_some_and(|parent| parent.version > self.version);
        if is_wrong { Err(damaged("the header contradicts itself")) } else { Ok(()) }
    }

    /// Refuses a block that is not of this state, and a digest that no entry bears out.
    fn check_block(&self, block: &BlockHeader) -> Result<()> {
        if block.version > self.version {
            return Err(damaged("the header contradicts itself: its block comes after its state"));
        }
        match block.digest {
            None => Ok(()),
            Some(_) if block.version < self.version => Err(damaged(format!(
                "the header has the digest of block {} at version {}, which does not cover a state at version {}",
                block.number, block.version, self.version
            ))),
            digest if digest == self.state_digest => Ok(()),
            Some(_) => Err(damaged("the header contradicts itself: its block has another digest")),
        }
    }

    /// Commits after the newest block; the block's digest covers the state when there are none.
    pub fn versions_after_block(&self) -> Option<u64> {
        self.block.map(|block| self.version.0.saturating_sub(block.version.0))
    }

    /// Version after which everything in the chunks came about.
    pub(in super::super) fn after(&self) -> Version {
        self.parent.as_ref().map_or(Version::ZERO, |parent| parent.version)
    }
}

/// Refuses every version of the format but this build's.
fn check_format(version: u32) -> Result<()> {
    let refused = match version {
        FORMAT_VERSION => return Ok(()),
        1 => "the file has format version 1, in which no digest covers the version, the block and the contracts; export the state again".to_owned(),
        other => format!("the file has format version {other}; this build reads {FORMAT_VERSION}"),
    };
    Err(Error::new(ErrorKind::FormatMismatch, "read snapshot file", refused))
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
                digest: Some([5; 32]),
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
            Header { version: Version(10), ..header() },
            Header { version: Version(VERSION_MAX.0 + 1), block: None, ..header() },
            Header { history: Some(HistoryMode::Archive), ..header() },
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
