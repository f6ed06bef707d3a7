//! The snapshot digest: what a file says, whatever wrote it.
//!
//! ```text
//! snapshot digest   SHA-256 of facts | full digest | number of chunks u64 | SHA-256 of content*
//! content           of a chunk: SHA-256 of kind u32 | entries u32 | its entries before compression
//! ```
//!
//! Integers are little-endian. Where a chunk ends follows from the entries, and a reader checks it,
//! so the digest depends neither on the backend nor on the threads or the level of compression.

use super::{Content, FORMAT_VERSION, Hash, Header, Kind};
use crate::layout::HistoryMode;
use sha2::{Digest as _, Sha256};

const TAG: &[u8; 16] = b"SuperVM snapshot";

/// The hash of a chunk's entries, which depends on nothing but them.
pub(in super::super) fn content_hash(kind: Kind, entries: u32, raw: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update((kind as u32).to_le_bytes());
    hasher.update(entries.to_le_bytes());
    hasher.update(raw);
    hasher.finalize().into()
}

/// A snapshot digest in the making.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct SnapshotDigest {
    content: Sha256,
    chunks: u64,
}

impl SnapshotDigest {
    /// Adds the [`content_hash`] of the next chunk.
    pub(in super::super) fn add(&mut self, content: &Hash) {
        self.content.update(content);
        self.chunks += 1;
    }

    /// The digest of the chunks that were added, under `header`.
    pub(in super::super) fn finish(self, header: &Header, full_digest: &Hash) -> Hash {
        let mut facts = facts(header);
        facts.extend_from_slice(full_digest);
        put_number(self.chunks, &mut facts);
        facts.extend_from_slice(&self.content.finalize());
        Sha256::digest(facts).into()
    }
}

/// Everything that a header says of the state. The backend, the estimate of entries and the writer
/// say nothing of it, and a reader takes nothing from them.
fn facts(header: &Header) -> Vec<u8> {
    let Header { content, chain_id, version, block, state_digest, history, parent, .. } = header;
    let mut facts = TAG.to_vec();
    facts.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    let content = match content {
        Content::State => 1_u32,
        Content::Changes => 2,
    };
    facts.extend_from_slice(&content.to_le_bytes());
    put_number(*chain_id, &mut facts);
    put_number(version.0, &mut facts);
    put_optional(block.as_ref(), &mut facts, |block, facts| {
        [block.number, block.version.0, block.timestamp]
            .into_iter()
            .for_each(|number| put_number(number, facts));
        put_hash(block.digest.as_ref(), facts);
    });
    put_hash(state_digest.as_ref(), &mut facts);
    put_optional(history.as_ref(), &mut facts, |history, facts| {
        let (mode, blocks) = match history {
            HistoryMode::None => (0, 0),
            HistoryMode::Window { blocks } => (1, *blocks),
            HistoryMode::Archive => (2, 0),
        };
        put_number(mode, facts);
        put_number(blocks, facts);
    });
    put_optional(parent.as_ref(), &mut facts, |parent, facts| {
        put_number(parent.version.0, facts);
        put_optional(parent.last_block.as_ref(), facts, |number, facts| put_number(*number, facts));
        put_hash(parent.state_digest.as_ref(), facts);
        put_hash(parent.full_digest.as_ref(), facts);
        put_hash(parent.file.as_ref(), facts);
    });
    facts
}

fn put_number(number: u64, facts: &mut Vec<u8>) {
    facts.extend_from_slice(&number.to_le_bytes());
}

fn put_hash(hash: Option<&Hash>, facts: &mut Vec<u8>) {
    put_optional(hash, facts, |hash, facts| facts.extend_from_slice(hash));
}

/// A byte that says whether there is something, and then that.
fn put_optional<T>(value: Option<&T>, facts: &mut Vec<u8>, put: impl FnOnce(&T, &mut Vec<u8>)) {
    facts.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, facts);
    }
}
