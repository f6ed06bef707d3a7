//! The keys that a version changed.

use super::key::{STATE_KEY_BYTES_MAX, change_log_key};
use super::{Version, corrupt};
use supervm_plugin_sdk::{Error, WriteBatch};

/// Bytes of a part of the list, about; a long list has several, so that reading one takes little memory.
const PART_BYTES: usize = 64 << 10;

const _: () = assert!(STATE_KEY_BYTES_MAX <= u16::MAX as usize);

/// Appends to `batch` the list of the keys that `version` changed.
pub fn put_changed_keys<'a>(
    batch: &mut WriteBatch,
    version: Version,
    keys: impl IntoIterator<Item = &'a [u8]>,
) {
    let mut list = ChangeLogWriter::new(version);
    keys.into_iter().for_each(|key| list.push(key, batch));
    list.finish(batch);
}

/// A list of changed keys in the making, whose parts may go to different batches.
#[derive(Debug)]
pub(crate) struct ChangeLogWriter {
    version: Version,
    part: Vec<u8>,
    number: u32,
}

impl ChangeLogWriter {
    /// The list of the keys that `version` changed.
    pub(crate) fn new(version: Version) -> Self {
        Self { version, part: Vec::new(), number: 0 }
    }

    /// Adds `key`; appends the part to `batch` when that is full.
    pub(crate) fn push(&mut self, key: &[u8], batch: &mut WriteBatch) {
        self.part.extend_from_slice(&(key.len() as u16).to_be_bytes());
        self.part.extend_from_slice(key);
        if self.part.len() >= PART_BYTES {
            self.put(batch);
        }
    }

    /// Appends what is left to `batch`.
    pub(crate) fn finish(mut self, batch: &mut WriteBatch) {
        if !self.part.is_empty() {
            self.put(batch);
        }
    }

    fn put(&mut self, batch: &mut WriteBatch) {
        batch.put(&change_log_key(self.version, self.number), &self.part);
        self.part.clear();
        self.number += 1;
    }
}

/// The keys in one part of such a list; ends after an error.
#[derive(Debug, Clone)]
pub struct ChangedKeys<'a> {
    rest: &'a [u8],
}

impl<'a> ChangedKeys<'a> {
    /// Reads `part`, a value of the area [`Area::ChangeLog`](super::Area::ChangeLog).
    pub fn new(part: &'a [u8]) -> Self {
        Self { rest: part }
    }

    /// The part of the list that was not read yet; itself a list.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for ChangedKeys<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = self.rest.split_first_chunk().and_then(|(length, rest)| {
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        let Some((key, rest)) = parsed else {
            let error = corrupt("a list of changed keys", self.rest);
            self.rest = &[];
            return Some(Err(error));
        };
        self.rest = rest;
        Some(Ok(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervm_plugin_sdk::Operation;

    #[test]
    fn a_long_list_has_parts_that_read_back_in_order() {
        let keys: Vec<_> = (0..20_000_u32).map(|number| number.to_be_bytes()).collect();
        let mut batch = WriteBatch::new();
        put_changed_keys(&mut batch, Version(7), keys.iter().map(|key| &key[..]));
        assert!(batch.len() > 1, "{}", batch.len());
        let mut read = Vec::new();
        for (number, operation) in batch.iter().enumerate() {
            let Operation::Put { key, value } = operation else { panic!("{operation:?}") };
            assert_eq!(key, change_log_key(Version(7), number as u32));
            for key in ChangedKeys::new(value) {
                read.push(key.expect("own list").to_vec());
            }
        }
        assert_eq!(read, keys);
    }

    #[test]
    fn a_cut_list_is_an_error_and_then_ends() {
        let mut keys = ChangedKeys::new(b"\x00\x01a\x00\x05bc");
        assert_eq!(keys.next().expect("there").expect("whole"), b"a");
        assert_eq!(keys.rest(), b"\x00\x05bc");
        assert!(keys.next().expect("there").is_err());
        assert!(keys.next().is_none());
    }
}
