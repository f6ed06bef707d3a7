//! The portable snapshot file: what its bytes are.
//!
//! ```text
//! file     header | chunk* | trailer
//! header   "SVMSNAPS" | format version u32 | length u32 | JSON | SHA-256 of all before, 32 bytes
//! chunk    "SVCH" | kind u32 | number u64 | entries u32 | raw length u32 | packed length u32 | 0 u32
//!          | SHA-256 of the 32 bytes before and the packed bytes, 32 bytes | packed bytes (one zstd frame)
//! entry    key length u16 | value length u32 | key | value
//! trailer  "SVTR" | length u32 | JSON | SHA-256 of all of the trailer before, 32 bytes
//! ```
//!
//! Integers are little-endian. The raw bytes of a chunk are its entries, all of one kind. Kinds come in the order of their numbers and keys
//! ascend within a kind, so that a reader needs no index, no memory and no way back. Every length is checked against a bound before
//! anything is allocated for it.
//!
//! A chunk ends with the first entry that brings it to 1 MiB, or with the last of its kind, and with no other: the snapshot digest
//! rests on it.
//!
//! The chain of hashes makes of the chunks one whole: it begins with the header's hash, and each chunk replaces it by the SHA-256 of
//! (chain | the chunk's hash). The trailer holds its end.

mod header;
mod chunk;
mod content;
mod trailer;

pub(super) use chunk::{
    CHUNK_HEADER_BYTES, CHUNK_MAGIC, CHUNK_RAW_BYTES, ChunkHeader, Entries, Kind, put_entry,
};
pub(super) use content::{SnapshotDigest, content_hash};
pub use header::{BlockHeader, Content, FORMAT_VERSION, Header, Parent};
pub(super) use trailer::TRAILER_MAGIC;
pub use trailer::{Counts, Trailer};

use sha2::{Digest as _, Sha256};
use std::io::Read;
use supervm_plugin_sdk::{Error, ErrorKind};

/// Bytes of a SHA-256.
pub(super) const HASH_BYTES: usize = 32;
/// A SHA-256.
pub(super) type Hash = [u8; HASH_BYTES];

/// Largest JSON of a header or a trailer that is read, bytes.
const JSON_BYTES_MAX: usize = 64 << 10;

/// The next link of the chain of hashes.
pub(super) fn chained(chain: &Hash, hash: &Hash) -> Hash {
    Sha256::new().chain_update(chain).chain_update(hash).finalize().into()
}

/// The file is not what it should be; the operation names what was being read.
pub(super) fn damaged(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corruption, "read snapshot file", message)
}

/// Fills `bytes` from `reader`; where the file ends early, `what` says in what.
pub(super) fn read_exact(reader: &mut dyn Read, bytes: &mut [u8], what: &str) -> Result<(), Error> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged(format!("the file is cut: it ends in {what}")),
        _ => Error::io("read snapshot file", error).with("while reading", what),
    })
}

/// Appends `length | JSON | SHA-256 of all of block`, where `block` holds what comes before.
fn seal(mut block: Vec<u8>, json: &[u8]) -> Vec<u8> {
    block.extend_from_slice(&(json.len() as u32).to_le_bytes());
    block.extend_from_slice(json);
    let hash = Sha256::digest(&block);
    block.extend_from_slice(&hash);
    block
}

/// Reads `length | JSON | SHA-256` after `before`, which was read; returns the JSON and the hash.
fn unseal(
    reader: &mut dyn Read,
    before: &[u8],
    what: &'static str,
) -> Result<(Vec<u8>, Hash), Error> {
    let mut length = [0; 4];
    read_exact(reader, &mut length, what)?;
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > JSON_BYTES_MAX {
        return Err(damaged(format!("{what} says it has {bytes} bytes; at most {JSON_BYTES_MAX}")));
    }
    let mut json = vec![0; bytes];
    read_exact(reader, &mut json, what)?;
    let mut hash = [0; HASH_BYTES];
    read_exact(reader, &mut hash, what)?;
    let computed =
        Sha256::new().chain_update(before).chain_update(length).chain_update(&json).finalize();
    if computed[..] != hash[..] {
        return Err(damaged(format!("the bytes of {what} do not match their SHA-256")));
    }
    Ok((json, hash))
}
