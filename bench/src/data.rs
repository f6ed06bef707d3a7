//! What is stored, and what is read and written: the same in every run.

use crate::random::{SplitMix, Zipf};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Operations of one written batch.
pub const BATCH_ENTRIES: usize = 1_000;
/// Bytes of every key.
pub const KEY_BYTES: usize = 32;
/// The exponent of the skewed order of reading.
pub const ZIPF_EXPONENT: f64 = 0.99;

/// Entries of one batch while a storage is filled. A batch has to stay below the contract's limit of 64 MiB.
const FILL_ENTRIES: usize = 10_000;
const SEED: u64 = 0x5375_7065_7256_4d01;

/// A key as it is stored.
pub type Key = [u8; KEY_BYTES];

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    /// Entries.
    pub keys: usize,
    /// Bytes of one entry, its key and its value; more than [`KEY_BYTES`].
    pub row_bytes: usize,
}

/// An entry as it is written.
#[derive(Debug, Clone)]
pub struct Put {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Vec<u8>,
}

/// A key, and what has to be read for it.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// The key.
    pub key: Key,
    /// The [`checksum`] of its value.
    pub checksum: u64,
}

/// In which proportion keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each key once, in random order.
    Uniform,
    /// Some keys much more often than others: Zipf's distribution with [`ZIPF_EXPONENT`].
    Zipf,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Entries.
    pub entries: u64,
    /// Bytes of what was read of them.
    pub bytes: u64,
    /// The sum of the [`checksum`]s of everything read.
    pub checksum: u64,
}

impl Total {
    /// Counts an entry of a scan.
    #[inline]
    pub fn add_row(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.bytes += (key.len() + value.len()) as u64;
        self.checksum = self.checksum.wrapping_add(checksum(key)).wrapping_add(checksum(value));
    }

    /// Counts the answer for a key.
    #[inline]
    pub fn add_value(&mut self, value: &[u8]) {
        self.entries += 1;
        self.bytes += value.len() as u64;
        self.checksum = self.checksum.wrapping_add(checksum(value));
    }
}

/// The content of a storage. Values are made when they are needed, because those of a large storage would fill the memory.
#[derive(Debug)]
pub struct Data {
    shape: Shape,
    /// In ascending order.
    keys: Vec<Key>,
    /// Of the value that each key has at first.
    checksums: Vec<u64>,
}

impl Data {
    /// The content of that shape.
    pub fn generate(shape: Shape) -> Self {
        let mut random = SplitMix::new(SEED);
        let mut keys = vec![[0; KEY_BYTES]; shape.keys];
        keys.iter_mut().for_each(|key| random.fill(key));
        keys.sort_unstable();
        let mut data = Self { shape, keys, checksums: Vec::new() };
        let mut value = vec![0; data.value_bytes()];
        data.checksums = (0..shape.keys)
            .map(|index| {
                write_value(&mut value, index, 0);
                checksum(&value)
            })
            .collect();
        data
    }

    /// How much it is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The keys, in ascending order.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Everything that is stored at first, in batches and in the order of the keys.
    pub fn fill(&self) -> impl Iterator<Item = Vec<Put>> {
        let starts = (0..self.keys.len()).step_by(FILL_ENTRIES);
        starts.map(|start| {
            let end = (start + FILL_ENTRIES).min(self.keys.len());
            (start..end).map(|index| self.put(index, 0)).collect()
        })
    }

    /// A batch of [`BATCH_ENTRIES`] values for stored keys at random. Each `version` gives other values; 0 those that are there
    /// at first.
    pub fn rewrite(&self, random: &mut SplitMix, version: u64) -> Vec<Put> {
        (0..BATCH_ENTRIES).map(|_| self.put(random.below(self.keys.len()), version)).collect()
    }

    /// Keys to read: all of them for [`Order::Uniform`], as many for [`Order::Zipf`].
    pub fn queries(&self, order: Order) -> Vec<Query> {
        let mut random = SplitMix::new(SEED + 1);
        let mut indices: Vec<usize> = (0..self.keys.len()).collect();
        random.shuffle(&mut indices);
        if order == Order::Zipf {
            // The frequent ones lie anywhere among the keys.
            let zipf = Zipf::new(indices.len(), ZIPF_EXPONENT);
            indices = (0..indices.len()).map(|_| indices[zipf.sample(&mut random)]).collect();
        }
        let query = |index: usize| Query { key: self.keys[index], checksum: self.checksums[index] };
        indices.into_iter().map(query).collect()
    }

    /// What a scan over the entries `range`, counted in the order of the keys, sees at first.
    pub fn total(&self, range: Range<usize>) -> Total {
        let mut total =
            Total { bytes: (range.len() * self.shape.row_bytes) as u64, ..Total::default() };
        total.entries = range.len() as u64;
        for index in range {
            let row = checksum(&self.keys[index]).wrapping_add(self.checksums[index]);
            total.checksum = total.checksum.wrapping_add(row);
        }
        total
    }

    fn put(&self, index: usize, version: u64) -> Put {
        let mut value = vec![0; self.value_bytes()];
        write_value(&mut value, index, version);
        Put { key: self.keys[index], value }
    }

    fn value_bytes(&self) -> usize {
        self.shape.row_bytes - KEY_BYTES
    }
}

fn write_value(value: &mut [u8], index: usize, version: u64) {
    SplitMix::new(SEED ^ (version << 32) ^ index as u64).fill(value);
}

/// A sum over every byte and the length: nothing that is read can be optimised away, and at a few nanoseconds for 100 bytes it
/// does not hide what is measured.
#[inline]
pub fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(bytes.len() as u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { keys: 2_500, row_bytes: 124 };

    #[test]
    fn a_scan_of_what_is_filled_in_sees_the_total() {
        let data = Data::generate(SHAPE);
        let mut seen = Total::default();
        data.fill().flatten().for_each(|put| seen.add_row(&put.key, &put.value));
        assert_eq!(seen, data.total(0..SHAPE.keys));
    }

    #[test]
    fn uniform_queries_read_each_key_once_and_zipf_ones_some_more_often() {
        let data = Data::generate(SHAPE);
        let distinct = |order| {
            let mut keys: Vec<Key> = data.queries(order).iter().map(|query| query.key).collect();
            assert_eq!(keys.len(), SHAPE.keys);
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        };
        assert_eq!(distinct(Order::Uniform), SHAPE.keys);
        assert!(distinct(Order::Zipf) < SHAPE.keys / 2);
    }

    #[test]
    fn a_rewrite_changes_values_and_no_keys() {
        let data = Data::generate(SHAPE);
        let batch = data.rewrite(&mut SplitMix::new(1), 1);
        assert_eq!(batch.len(), BATCH_ENTRIES);
        for put in batch {
            let index = data.keys().binary_search(&put.key).expect("a stored key");
            assert_ne!(checksum(&put.value), data.checksums[index]);
        }
    }
}
