//! The sum.

use super::sum::{Change, Sum, VECTOR_BYTES};
use crate::layout::{Meta, split_latest};
use crate::storage::Rows;
use sha2::{Digest as _, Sha256};
use std::fmt;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Bytes of an accumulator in a storage.
pub const ACCUMULATOR_BYTES: usize = VECTOR_BYTES;

/// The sum of the vectors of a set of entries; equal for equal sets, whatever the order of additions and removals was.
///
/// 3 KiB. The default is the empty set. What is removed has to have been added, with the same value: the accumulator cannot tell,
/// and would then be that of no set.
///
/// # Examples
/// ```
/// use supervm_engine::digest::StateAccumulator;
/// let (mut one, mut other) = (StateAccumulator::default(), StateAccumulator::default());
/// one.add(b"a", b"1");
/// one.add(b"b", b"2");
/// other.add(b"b", b"2");
/// other.add(b"c", b"3");
/// other.add(b"a", b"1");
/// other.remove(b"c", b"3");
/// assert_eq!(one.digest(), other.digest());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StateAccumulator {
    sum: Box<Sum>,
}

impl fmt::Debug for StateAccumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateAccumulator({})", hex::encode(self.digest()))
    }
}

impl StateAccumulator {
    /// The sum of what `rows` of the area of latest values hold; `on_row` is told the bytes of each.
    pub(crate) fn of_latest(mut rows: Rows, mut on_row: impl FnMut(usize)) -> Result<Self> {
        let mut sum = Self::default();
        while let Some((stored, record)) = rows.next()? {
            let (key, _, value) = split_latest(stored, record)?;
            sum.add(key, value);
            on_row(stored.len() + record.len());
        }
        Ok(sum)
    }

    /// The digest of the sum that `meta` has; `None` when none is kept.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn kept_digest(meta: &Meta) -> Result<Option<[u8; 32]>> {
        if meta.accumulator.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::from_bytes(&meta.accumulator)?.digest()))
    }

    /// Adds the entry `key` with `value`.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.sum.change(Change::Add, key, value);
    }

    /// Removes the entry `key` with `value`, which was added before.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.sum.change(Change::Remove, key, value);
    }

    /// Adds what was added to `delta` and removes what was removed from it.
    ///
    /// Changes may so be summed up on several threads, each from the empty set, and merged in any order.
    pub fn merge(&mut self, delta: &Self) {
        self.sum.merge(Change::Add, &delta.sum);
    }

    /// The digest of the set, 32 bytes.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.sum.to_bytes()).into()
    }

    /// The sum itself, [`ACCUMULATOR_BYTES`] bytes, to go on from.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sum.to_bytes().to_vec()
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) gave; no bytes are the empty set.
    ///
    /// # Errors
    /// `Corruption` at any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let stored: &[u8; VECTOR_BYTES] = bytes.try_into().map_err(|_| {
            let refused = format!("an accumulator has {ACCUMULATOR_BYTES} bytes or none");
            Error::new(ErrorKind::Corruption, "read accumulator", refused)
                .with("length", bytes.len())
        })?;
        Ok(Self { sum: Box::new(Sum::from_bytes(stored)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sum<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> StateAccumulator {
        let mut sum = StateAccumulator::default();
        entries.into_iter().for_each(|(key, value)| sum.add(key, value));
        sum
    }

    /// Digests of a program of its own, in another language, over RFC 8439's ChaCha20.
    #[test]
    fn known_sets_have_known_digests() {
        let all: Vec<u8> = (0..=255).collect();
        let entries: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b""), (b"key", &all)];
        let known = [
            "e80232b4d18d0bb7e794be263ba937626f383f9917d4b8a737ba893a8f752293",
            "f29d080df3e0cc192384150143344c9d4a916b5d6a8e1a9a17663ef7d4972c32",
            "ccb014f64394ba313087848a8d6d9fc374fc22fdd956ba20b171e319f1b81174",
            "19c53fd55205b57e4d7a7b4d930cb1e63071ca14d7f91b2a468995ec260510fe",
        ];
        for (count, known) in known.into_iter().enumerate() {
            let sum = sum(entries.into_iter().take(count));
            assert_eq!(hex::encode(sum.digest()), known, "of the first {count} entries");
        }
    }

    #[test]
    fn bytes_go_from_key_to_value_and_change_the_digest() {
        let sets: [&[(&[u8], &[u8])]; 6] = [
            &[],
            &[(b"a", b"")],
            &[(b"a", b"b")],
            &[(b"ab", b"")],
            &[(b"a", b"b"), (b"b", b"a")],
            &[(b"a", b"b"), (b"a", b"b")],
        ];
        let digests: Vec<_> = sets.iter().map(|set| sum(set.iter().copied()).digest()).collect();
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "set {index}");
        }
    }

    #[test]
    fn stored_bytes_read_back_and_other_lengths_are_corruption() {
        let empty = StateAccumulator::default();
        assert_eq!(StateAccumulator::from_bytes(&[]).expect("the empty set"), empty);
        let one = sum([(&b"a"[..], &b"1"[..])]);
        for sum in [&empty, &one] {
            let bytes = sum.to_bytes();
            assert_eq!(bytes.len(), ACCUMULATOR_BYTES);
            assert_eq!(&StateAccumulator::from_bytes(&bytes).expect("own bytes"), sum);
        }
        for length in [1, ACCUMULATOR_BYTES - 1, ACCUMULATOR_BYTES + 1] {
            let error = StateAccumulator::from_bytes(&vec![0; length]).expect_err("no sum");
            assert_eq!(error.kind(), ErrorKind::Corruption);
        }
    }

    fn entries() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..9);
        prop::collection::vec((bytes(), bytes()), 0..12)
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(entries in entries(), turn in 0_usize..12) {
            let middle = turn.min(entries.len());
            let mut turned = entries.clone();
            turned.reverse();
            turned.rotate_left(middle);
            let of = |entries: &[(Vec<u8>, Vec<u8>)]| {
                sum(entries.iter().map(|(key, value)| (&key[..], &value[..])))
            };
            prop_assert_eq!(of(&entries), of(&turned));
            let (left, right) = entries.split_at(middle);
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(merged, of(&entries));
        }

        #[test]
        fn a_removal_takes_back_an_addition(kept in entries(), gone in entries()) {
            let kept: BTreeMap<_, _> = kept.into_iter().collect();
            let expected = sum(kept.iter().map(|(key, value)| (&key[..], &value[..])));
            let mut changed = expected.clone();
            gone.iter().for_each(|(key, value)| changed.add(key, value));
            gone.iter().rev().for_each(|(key, value)| changed.remove(key, value));
            prop_assert_eq!(&changed, &expected);
            let mut delta = StateAccumulator::default();
            kept.iter().for_each(|(key, value)| delta.remove(key, value));
            changed.merge(&delta);
            prop_assert_eq!(changed, StateAccumulator::default());
        }
    }
}
