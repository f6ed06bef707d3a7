//! What a storage has to contain: an ordered map that applies the same batches.

use crate::check::Row;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use supervm_plugin_sdk::{Direction, KeyRange, Operation, WriteBatch};

/// The content that the contract asks for after a sequence of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Oracle(BTreeMap<Vec<u8>, Vec<u8>>);

impl Oracle {
    pub(crate) fn apply(&mut self, batch: &WriteBatch) {
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => drop(self.0.insert(key.into(), value.into())),
                Operation::Delete { key } => drop(self.0.remove(key)),
                Operation::DeleteRange { range } => self.0.retain(|key, _| !range.contains(key)),
            }
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    /// The entries of `range`, in `direction`.
    pub(crate) fn rows(&self, range: KeyRange<'_>, direction: Direction) -> Vec<Row> {
        let inside = self.0.iter().filter(|(key, _)| range.contains(key));
        let mut rows: Vec<_> = inside.map(|(key, value)| (key.clone(), value.clone())).collect();
        if direction == Direction::Reverse {
            rows.reverse();
        }
        rows
    }

    pub(crate) fn digest(&self) -> String {
        digest(self.0.iter())
    }
}

/// The digest of entries in key order (clause 23), in hex.
pub(crate) fn digest<K: AsRef<[u8]>, V: AsRef<[u8]>>(rows: impl Iterator<Item = (K, V)>) -> String {
    let mut hasher = Sha256::new();
    for (key, value) in rows {
        for part in [key.as_ref(), value.as_ref()] {
            hasher.update((part.len() as u32).to_le_bytes());
            hasher.update(part);
        }
    }
    hex(&hasher.finalize())
}

/// `bytes` as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_keys_from_values() {
        let one = digest([(b"a".as_slice(), b"bc".as_slice())].into_iter());
        let other = digest([(b"ab".as_slice(), b"c".as_slice())].into_iter());
        assert_ne!(one, other);
        let nothing = digest(std::iter::empty::<(&[u8], &[u8])>());
        assert!(nothing.starts_with("e3b0c44298fc1c14"), "SHA-256 of nothing: {nothing}");
    }

    #[test]
    fn a_range_takes_what_the_same_batch_put_before_it() {
        let mut batch = WriteBatch::new();
        batch.put(b"a", b"1");
        batch.delete_range(KeyRange::ALL);
        batch.put(b"b", b"2");
        let mut oracle = Oracle::default();
        oracle.apply(&batch);
        assert_eq!(
            oracle.rows(KeyRange::ALL, Direction::Forward),
            [(b"b".to_vec(), b"2".to_vec())]
        );
    }
}
