//! The digest of a state (clause 23).
//!
//! SHA-256 over every entry in key order; nothing comes before the first or after the last. Equal content gives an equal
//! digest on every backend.
//!
//! ```text
//! digest = SHA-256(entry*)     entry = key length u32 LE | key | value length u32 LE | value
//! ```

use super::Rows;
use sha2::{Digest as _, Sha256};
use std::fmt;
use supervm_plugin_sdk::Result;

/// Bytes that are collected before they are hashed; a call of the hasher for each entry would cost more than its bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The SHA-256 of a state's entries; shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of what is ahead of `rows`, which go forward.
    pub(super) fn of(mut rows: Rows) -> Result<Self> {
        let mut digest = DigestBuilder::default();
        while let Some((key, value)) = rows.next()? {
            digest.add(key, value);
        }
        Ok(digest.finish())
    }
}

/// A digest in the making, for entries that come one by one.
///
/// # Examples
/// ```
/// use supervm_engine::storage::DigestBuilder;
/// let mut digest = DigestBuilder::default();
/// digest.add(b"a", b"1");
/// digest.add(b"b", b"2");
/// assert!(digest.finish().to_string().starts_with("7afadf78"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct DigestBuilder {
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl DigestBuilder {
    /// Adds the next entry; entries come in key order.
    #[inline]
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        put_hashed(key, value, &mut self.buffer);
        if self.buffer.len() >= BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Adds entries that [`put_hashed`] appended to `hashed`.
    pub(crate) fn add_hashed(&mut self, hashed: &[u8]) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        self.hasher.update(hashed);
    }

    /// The digest of what was added.
    pub fn finish(mut self) -> Digest {
        self.hasher.update(&self.buffer);
        Digest(self.hasher.finalize().into())
    }
}

/// Appends an entry as the digest takes it.
#[inline]
pub(crate) fn put_hashed(key: &[u8], value: &[u8], hashed: &mut Vec<u8>) {
    hashed.extend_from_slice(&(key.len() as u32).to_le_bytes());
    hashed.extend_from_slice(key);
    hashed.extend_from_slice(&(value.len() as u32).to_le_bytes());
    hashed.extend_from_slice(value);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
