//! The full digest of chain state, from entries as they pass by.

use super::format::Hash;
use crate::layout::split_record;
use crate::storage::Rows;
use sha2::{Digest as _, Sha256};
use supervm_plugin_sdk::Result;

/// Bytes that are collected before they are hashed; a call of the hasher for each entry would cost more than its bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// Appends an entry as the digest of clause 23 takes it.
#[inline]
pub(super) fn put_hashed(key: &[u8], value: &[u8], hashed: &mut Vec<u8>) {
    hashed.extend_from_slice(&(key.len() as u32).to_le_bytes());
    hashed.extend_from_slice(key);
    hashed.extend_from_slice(&(value.len() as u32).to_le_bytes());
    hashed.extend_from_slice(value);
}

/// The SHA-256 of clause 23 over entries in key order.
#[derive(Debug, Clone, Default)]
pub(super) struct FullDigest {
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl FullDigest {
    #[inline]
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        put_hashed(key, value, &mut self.buffer);
        if self.buffer.len() >= BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Adds entries that [`put_hashed`] appended to `hashed`.
    pub(super) fn put_all(&mut self, hashed: &[u8]) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        self.hasher.update(hashed);
    }

    pub(super) fn finish(mut self) -> Hash {
        self.hasher.update(&self.buffer);
        self.hasher.finalize().into()
    }
}

/// The full digest of what `rows` of the area of latest values hold; `on_row` is told the bytes of each.
pub(super) fn digest_latest(mut rows: Rows, mut on_row: impl FnMut(usize)) -> Result<Hash> {
    let mut digest = FullDigest::default();
    while let Some((stored, record)) = rows.next()? {
        let (_, value) = split_record(record)?;
        digest.put(&stored[2..], value);
        on_row(stored.len() + record.len());
    }
    Ok(digest.finish())
}
