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

/// The SHA-256 of a state's entries; shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of what is ahead of `rows`, which go forward.
    pub(super) fn of(mut rows: Rows) -> Result<Self> {
        let mut hasher = Sha256::new();
        while let Some((key, value)) = rows.next()? {
            hasher.update((key.len() as u32).to_le_bytes());
            hasher.update(key);
            hasher.update((value.len() as u32).to_le_bytes());
            hasher.update(value);
        }
        Ok(Self(hasher.finalize().into()))
    }
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
