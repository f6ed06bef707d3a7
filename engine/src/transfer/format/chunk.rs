//! Chunks and the entries in them.

use super::{HASH_BYTES, Hash, damaged};
use crate::layout::STATE_KEY_BYTES_MAX;
use sha2::{Digest as _, Sha256};
use supervm_plugin_sdk::{KEY_BYTES_MAX, Result, VALUE_BYTES_MAX};

pub(in super::super) const CHUNK_MAGIC: [u8; 4] = *b"SVCH";
/// The part of a chunk's header that its hash covers.
const HASHED_BYTES: usize = 32;
pub(in super::super) const CHUNK_HEADER_BYTES: usize = HASHED_BYTES + HASH_BYTES;
/// A chunk is closed when it has so many raw bytes.
pub(in super::super) const CHUNK_RAW_BYTES: usize = 1 << 20;
const ENTRY_HEADER_BYTES: usize = 6;
/// Most raw bytes of a chunk: the entry that closes it may be the largest.
pub(in super::super) const CHUNK_RAW_BYTES_MAX: usize =
    CHUNK_RAW_BYTES + ENTRY_HEADER_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX;
/// Most packed bytes of a chunk: what zstd makes at most of so many raw ones.
const CHUNK_PACKED_BYTES_MAX: usize = CHUNK_RAW_BYTES_MAX + (CHUNK_RAW_BYTES_MAX >> 8) + 64;
const CODE_ADDRESS_BYTES: usize = 20;
const NUMBER_BYTES: usize = 8;

/// What the entries of a chunk are, in the order in which they come in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(in super::super) enum Kind {
    /// Key of chain state; version u64 BE, value.
    State = 1,
    /// Key of chain state that was deleted; nothing.
    Deleted = 2,
    /// Ordered key and superseding version, as in `h/`; version u64 BE, old value.
    History = 3,
    /// Version u64 BE and part u32 BE, as in `l/`; list of changed keys.
    ChangeLog = 4,
    /// Number u64 BE; a block's record, as in `b/`.
    Blocks = 5,
    /// Address, 20 bytes; WASM.
    Code = 6,
    /// Address, 20 bytes; nothing.
    CodeIndex = 7,
}

impl Kind {
    fn from_code(code: u32) -> Option<Self> {
        use Kind::{Blocks, ChangeLog, Code, CodeIndex, Deleted, History, State};
        let all = [State, Deleted, History, ChangeLog, Blocks, Code, CodeIndex];
        all.into_iter().find(|kind| *kind as u32 == code)
    }

    /// May an entry of this kind have these lengths?
    fn accepts(self, key_bytes: usize, value_bytes: usize) -> bool {
        let (key, value) = match self {
            Self::State => (1..=STATE_KEY_BYTES_MAX, NUMBER_BYTES..=VALUE_BYTES_MAX),
            Self::Deleted => (1..=STATE_KEY_BYTES_MAX, 0..=0),
            Self::History => (1..=KEY_BYTES_MAX - 2, NUMBER_BYTES..=VALUE_BYTES_MAX),
            Self::ChangeLog => (12..=12, 0..=VALUE_BYTES_MAX),
            Self::Blocks => (NUMBER_BYTES..=NUMBER_BYTES, 48..=48),
            Self::Code => (CODE_ADDRESS_BYTES..=CODE_ADDRESS_BYTES, 0..=VALUE_BYTES_MAX),
            Self::CodeIndex => (CODE_ADDRESS_BYTES..=CODE_ADDRESS_BYTES, 0..=0),
        };
        key.contains(&key_bytes) && value.contains(&value_bytes)
    }
}

/// What stands before the packed bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct ChunkHeader {
    pub(in super::super) kind: Kind,
    /// From 0.
    pub(in super::super) number: u64,
    pub(in super::super) entries: u32,
    pub(in super::super) raw_bytes: u32,
    pub(in super::super) packed_bytes: u32,
}

impl ChunkHeader {
    fn hashed_part(&self) -> [u8; HASHED_BYTES] {
        let mut bytes = [0; HASHED_BYTES];
        bytes[..4].copy_from_slice(&CHUNK_MAGIC);
        bytes[4..8].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.entries.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.packed_bytes.to_le_bytes());
        bytes
    }

    /// Is the chunk closed by its size, and not by the end of its kind?
    pub(in super::super) fn is_full(&self) -> bool {
        self.raw_bytes as usize >= CHUNK_RAW_BYTES
    }

    /// Bytes that the chunk has in a file.
    pub(in super::super) fn file_bytes(&self) -> u64 {
        CHUNK_HEADER_BYTES as u64 + u64::from(self.packed_bytes)
    }

    /// The hash of a chunk with this header.
    pub(in super::super) fn hash(&self, packed: &[u8]) -> Hash {
        Sha256::new().chain_update(self.hashed_part()).chain_update(packed).finalize().into()
    }

    /// The header's bytes.
    pub(in super::super) fn to_bytes(self, hash: &Hash) -> [u8; CHUNK_HEADER_BYTES] {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        bytes[..HASHED_BYTES].copy_from_slice(&self.hashed_part());
        bytes[HASHED_BYTES..].copy_from_slice(hash);
        bytes
    }

    /// Reads a header of chunk `number`, whose magic number was looked at, and checks its lengths.
    ///
    /// # Errors
    /// `Corruption`.
    pub(in super::super) fn parse(
        bytes: &[u8; CHUNK_HEADER_BYTES],
        number: u64,
    ) -> Result<(Self, Hash)> {
        let word =
            |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("within the header"));
        let wrong = |what: &str| damaged(format!("{what} of the chunk is out of bounds"));
        let kind = Kind::from_code(word(4)).ok_or_else(|| wrong("the kind"))?;
        let found = u64::from_le_bytes(*bytes[8..].first_chunk().expect("within the header"));
        if found != number {
            return Err(damaged(format!("the chunk says it is number {found}")));
        }
        let header =
            Self { kind, number, entries: word(16), raw_bytes: word(20), packed_bytes: word(24) };
        if header.raw_bytes as usize > CHUNK_RAW_BYTES_MAX {
            return Err(wrong("the raw length"));
        }
        if header.packed_bytes as usize > CHUNK_PACKED_BYTES_MAX {
            return Err(wrong("the packed length"));
        }
        let entries_max = header.raw_bytes as usize / (ENTRY_HEADER_BYTES + 1);
        if header.entries == 0 || header.entries as usize > entries_max || word(28) != 0 {
            return Err(wrong("the count of entries"));
        }
        let hash = *bytes.last_chunk().expect("the header ends in the hash");
        Ok((header, hash))
    }
}

/// Appends an entry to the raw bytes of a chunk.
#[inline]
pub(in super::super) fn put_entry(key: &[u8], value: &[u8], raw: &mut Vec<u8>) {
    let mut header = [0; ENTRY_HEADER_BYTES];
    header[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
    header[2..].copy_from_slice(&(value.len() as u32).to_le_bytes());
    raw.extend_from_slice(&header);
    raw.extend_from_slice(key);
    raw.extend_from_slice(value);
}

/// The entries in the raw bytes of a chunk, checked; ends after an error.
#[derive(Debug, Clone)]
pub(in super::super) struct Entries<'a> {
    kind: Kind,
    rest: &'a [u8],
    last: &'a [u8],
}

impl<'a> Entries<'a> {
    pub(in super::super) fn new(kind: Kind, raw: &'a [u8]) -> Self {
        Self { kind, rest: raw, last: &[] }
    }

    /// Raw bytes that are not read yet.
    pub(in super::super) fn bytes_left(&self) -> usize {
        self.rest.len()
    }

    fn split(&self) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let (key_bytes, rest) = self.rest.split_first_chunk()?;
        let (value_bytes, rest) = rest.split_first_chunk()?;
        let key_bytes = usize::from(u16::from_le_bytes(*key_bytes));
        let value_bytes = u32::from_le_bytes(*value_bytes) as usize;
        if !self.kind.accepts(key_bytes, value_bytes) {
            return None;
        }
        let (key, rest) = rest.split_at_checked(key_bytes)?;
        let (value, rest) = rest.split_at_checked(value_bytes)?;
        Some((key, value, rest))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.split().filter(|(key, _, _)| *key > self.last);
        let Some((key, value, rest)) = split else {
            self.rest = &[];
            return Some(Err(damaged("an entry of the chunk is malformed or out of order")));
        };
        self.rest = rest;
        self.last = key;
        Some(Ok((key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> ChunkHeader {
        ChunkHeader { kind: Kind::State, number: 3, entries: 2, raw_bytes: 40, packed_bytes: 30 }
    }

    #[test]
    fn a_chunk_header_reads_back() {
        let hash = header().hash(b"packed");
        assert_eq!(
            ChunkHeader::parse(&header().to_bytes(&hash), 3).expect("own"),
            (header(), hash)
        );
        assert!(ChunkHeader::parse(&header().to_bytes(&hash), 4).is_err(), "another number");
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_anything_is_allocated() {
        for wrong in [
            ChunkHeader { raw_bytes: CHUNK_RAW_BYTES_MAX as u32 + 1, ..header() },
            ChunkHeader { packed_bytes: CHUNK_PACKED_BYTES_MAX as u32 + 1, ..header() },
            ChunkHeader { entries: 0, ..header() },
            ChunkHeader { entries: 6, ..header() },
        ] {
            let bytes = wrong.to_bytes(&[0; 32]);
            assert!(ChunkHeader::parse(&bytes, 3).is_err(), "{wrong:?}");
        }
        let mut kind = header().to_bytes(&[0; 32]);
        kind[4] = 99;
        assert!(ChunkHeader::parse(&kind, 3).is_err());
    }

    #[test]
    fn entries_read_back_and_malformed_ones_are_refused() {
        let mut raw = Vec::new();
        put_entry(b"a", b"versions!", &mut raw);
        put_entry(b"b", b"versions", &mut raw);
        let read: Result<Vec<_>> = Entries::new(Kind::State, &raw).collect();
        let expected: [(&[u8], &[u8]); 2] = [(b"a", b"versions!"), (b"b", b"versions")];
        assert_eq!(read.expect("own"), expected);
        let is_refused = |raw: &[u8]| Entries::new(Kind::State, raw).any(|entry| entry.is_err());
        for cut in (1..raw.len()).filter(|cut| *cut != 16) {
            assert!(is_refused(&raw[..cut]), "cut at {cut}");
        }
        let malformed: [(&[u8], &[u8]); 3] =
            [(b"b", b"versions"), (b"c", b"short"), (&[b'x'; 433], b"versions")];
        for (key, value) in malformed {
            let mut raw = raw.clone();
            put_entry(key, value, &mut raw);
            assert!(is_refused(&raw), "{key:?}");
        }
    }
}
