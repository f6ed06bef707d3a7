//! Chunks on their way to a file and back: packing, hashing, and checking of everything that a chunk alone can tell.

use super::format::{
    CHUNK_RAW_BYTES, ChunkHeader, Entries, Hash, Header, Kind, content_hash, damaged,
};
use crate::digest::StateAccumulator;
use crate::layout::{Area, BlockRecord, Version, split_record};
use crate::storage::put_hashed;
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use supervm_plugin_sdk::{Error, ErrorKind, Result, WriteBatch};
use zstd::bulk::{Compressor, Decompressor};

const VERSION_BYTES: usize = 8;

/// A chunk that is to be packed.
#[derive(Debug)]
pub(super) struct RawChunk {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) entries: u32,
    pub(super) raw: Vec<u8>,
}

/// A chunk as a file has it.
#[derive(Debug)]
pub(super) struct PackedChunk {
    pub(super) header: ChunkHeader,
    pub(super) hash: Hash,
    pub(super) packed: Vec<u8>,
    /// Hash of the entries; of a chunk that was read, all zeros until it is unpacked.
    pub(super) content: Hash,
}

thread_local! {
    // A context is some megabytes that are worth keeping from one chunk to the next.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs a chunk at zstd's `level`.
pub(super) fn pack(chunk: &RawChunk, level: i32) -> Result<PackedChunk> {
    let packed = COMPRESSOR
        .with_borrow_mut(|kept| {
            let compressor = match kept {
                Some((of, compressor)) if *of == level => compressor,
                _ => &mut kept.insert((level, Compressor::new(level)?)).1,
            };
            compressor.compress(&chunk.raw)
        })
        .map_err(|error| Error::io("compress chunk", error))?;
    let header = ChunkHeader {
        kind: chunk.kind,
        number: chunk.number,
        entries: chunk.entries,
        raw_bytes: chunk.raw.len() as u32,
        packed_bytes: packed.len() as u32,
    };
    let hash = header.hash(&packed);
    let content = content_hash(chunk.kind, chunk.entries, &chunk.raw);
    Ok(PackedChunk { header, hash, packed, content })
}

/// What is wanted of a chunk beyond its being right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The version that every entry comes after.
    pub(super) after: Version,
    /// The newest version that an entry may have.
    pub(super) version: Version,
    /// The operations that write its entries into a storage.
    pub(super) batch: bool,
    /// What its entries add to the state digest.
    pub(super) accumulator: bool,
}

impl Wanted {
    /// Nothing beyond the checks of a file with this header.
    pub(super) fn of(header: &Header) -> Self {
        let (after, version) = (header.after(), header.version);
        Self { after, version, batch: false, accumulator: false }
    }
}

/// A chunk that was found right.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) header: ChunkHeader,
    pub(super) hash: Hash,
    pub(super) content: Hash,
    pub(super) raw: Vec<u8>,
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
    /// Entries of chain state as the full digest takes them.
    pub(super) hashed: Vec<u8>,
    pub(super) batch: WriteBatch,
    pub(super) accumulator: StateAccumulator,
}

/// Unpacks a chunk and checks it.
///
/// # Errors
/// `Corruption`, with the chunk's number.
pub(super) fn decode(chunk: PackedChunk, wanted: Wanted) -> Result<Decoded> {
    let number = chunk.header.number;
    decode_chunk(chunk, wanted).map_err(|error| error.with("chunk", number))
}

fn decode_chunk(chunk: PackedChunk, wanted: Wanted) -> Result<Decoded> {
    let PackedChunk { header, hash, packed, .. } = chunk;
    // IMPORTANT: the hash comes first; nothing but what the writer of the file made reaches the decompressor.
    if header.hash(&packed) != hash {
        return Err(damaged("the bytes of the chunk do not match their SHA-256"));
    }
    let raw = unpack(&header, &packed)?;
    let mut decoded = Decoded {
        header,
        hash,
        content: content_hash(header.kind, header.entries, &raw),
        raw: Vec::new(),
        first: Vec::new(),
        last: Vec::new(),
        hashed: Vec::new(),
        batch: WriteBatch::new(),
        accumulator: StateAccumulator::default(),
    };
    if header.kind == Kind::State {
        decoded.hashed.reserve(raw.len() + 2 * header.entries as usize);
    }
    let mut entries = 0;
    let mut last: &[u8] = &[];
    let mut stored = Vec::new();
    let mut rest = Entries::new(header.kind, &raw);
    loop {
        let read = raw.len() - rest.bytes_left();
        let Some(entry) = rest.next() else { break };
        let (key, value) = entry?;
        if read >= CHUNK_RAW_BYTES {
            return Err(damaged("the chunk goes on after the entry that closes it"));
        }
        if entries == 0 {
            decoded.first.extend_from_slice(key);
        }
        entries += 1;
        last = key;
        check_entry(header.kind, key, value, &wanted)?;
        decoded.take(key, value, wanted, &mut stored)?;
    }
    if entries != header.entries {
        return Err(damaged("the chunk does not have the entries that it says"));
    }
    decoded.last.extend_from_slice(last);
    decoded.raw = raw;
    Ok(decoded)
}

impl Decoded {
    /// The entries.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries::new(self.header.kind, &self.raw)
    }

    fn take(
        &mut self,
        key: &[u8],
        value: &[u8],
        wanted: Wanted,
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        if self.header.kind == Kind::State {
            let (_, of_state) = split_record(value)?;
            put_hashed(key, of_state, &mut self.hashed);
            if wanted.accumulator {
                self.accumulator.add(key, of_state);
            }
        }
        if wanted.batch
            && let Some(area) = area(self.header.kind)
        {
            stored.clear();
            stored.extend_from_slice(area.prefix());
            stored.extend_from_slice(key);
            self.batch.put(stored, value);
        }
        Ok(())
    }
}

/// The area of a storage that entries of this kind are put into; `None` for those that are not put.
pub(super) fn area(kind: Kind) -> Option<Area> {
    match kind {
        Kind::State => Some(Area::Latest),
        Kind::History => Some(Area::History),
        Kind::ChangeLog => Some(Area::ChangeLog),
        Kind::Blocks => Some(Area::Blocks),
        Kind::Code => Some(Area::Code),
        Kind::Deleted | Kind::CodeIndex => None,
    }
}

/// Decompresses into a buffer of the length that the header says, so that no chunk becomes larger than its bound.
fn unpack(header: &ChunkHeader, packed: &[u8]) -> Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(header.raw_bytes as usize);
    DECOMPRESSOR
        .with_borrow_mut(|kept| {
            let decompressor = match kept {
                Some(decompressor) => decompressor,
                None => kept.insert(Decompressor::new()?),
            };
            decompressor.decompress_to_buffer(packed, &mut raw)
        })
        .map_err(|error| damaged(format!("the chunk does not decompress: {error}")))?;
    if raw.len() != header.raw_bytes as usize {
        return Err(damaged("the chunk does not decompress to the length that it says"));
    }
    Ok(raw)
}

/// Refuses what no store of chain state has.
fn check_entry(kind: Kind, key: &[u8], value: &[u8], wanted: &Wanted) -> Result<()> {
    let is_within = |version| version > wanted.after && version <= wanted.version;
    let (is_right, version) = match kind {
        Kind::State => {
            let (version, _) = split_record(value)?;
            (is_within(version), version)
        }
        Kind::History => {
            let (written, _) = split_record(value)?;
            let superseded = version_at(key, key.len().saturating_sub(VERSION_BYTES))?;
            let is_right = is_within(superseded) && written > Version::ZERO && written < superseded;
            (is_right, superseded)
        }
        Kind::ChangeLog => {
            let version = version_at(key, 0)?;
            (is_within(version), version)
        }
        Kind::Blocks => {
            let number = version_at(key, 0)?.0;
            let block = BlockRecord::from_bytes(number, value)?;
            (is_within(block.version), block.version)
        }
        Kind::Code => return check_code(key, value),
        Kind::Deleted | Kind::CodeIndex => return Ok(()),
    };
    if is_right {
        return Ok(());
    }
    let message = "an entry of the chunk has a version that the state never had";
    Err(damaged(message).with("version", version))
}

/// The big-endian number in `key` from `at` on.
fn version_at(key: &[u8], at: usize) -> Result<Version> {
    let bytes = key.get(at..).and_then(|bytes| bytes.first_chunk::<VERSION_BYTES>());
    let bytes = bytes.ok_or_else(|| damaged("the key of an entry of the chunk is too short"))?;
    Ok(Version(u64::from_be_bytes(*bytes)))
}

/// Is `wasm` the contract of `address`? No state digest covers contracts; their addresses do.
pub(super) fn check_code(address: &[u8], wasm: &[u8]) -> Result<()> {
    let hash = Sha256::digest(wasm);
    if hash[..].starts_with(address) {
        return Ok(());
    }
    let message = "the code is not the contract of its address";
    Err(Error::new(ErrorKind::Corruption, "check contract", message)
        .with("address", hex::encode(address)))
}

/// An empty buffer for the raw bytes of a chunk.
pub(super) fn raw_buffer() -> Vec<u8> {
    Vec::with_capacity(CHUNK_RAW_BYTES + (64 << 10))
}
