//! What is found by its key: by the key's hash for one, in the keys' order for many.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::RwLock;
use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::Bound;
use supervm_plugin_sdk::{Direction, KeyRange};

/// A table in `SHARDS` parts, a power of two, each with a lock of its own.
pub(crate) struct Sharded<T, const SHARDS: usize> {
    /// Random for each table, so that nobody can choose keys that collide.
    hasher: foldhash::fast::RandomState,
    shards: Box<[RwLock<HashTable<T>>]>,
}

impl<T: Clone + Borrow<[u8]>, const SHARDS: usize> Sharded<T, SHARDS> {
    /// An empty table, whose parts have room for `capacity` items each before they grow.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            shards: (0..SHARDS).map(|_| RwLock::new(HashTable::with_capacity(capacity))).collect(),
        }
    }

    /// The hash of `key`, which is this table's own.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The item of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        self.shard_of(hash).read().find(hash, |item| item.borrow() == key).cloned()
    }

    /// The item of `key`, made by `make` when there is none; the item's part of the table is locked meanwhile.
    #[inline]
    pub(crate) fn get_or_insert(&self, key: &[u8], make: impl FnOnce() -> T) -> T {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard_of(hash);
        if let Some(item) = shard.read().find(hash, |item| item.borrow() == key) {
            return item.clone();
        }
        let mut shard = shard.write();
        let rehash = |item: &T| self.hasher.hash_one(item.borrow());
        match shard.entry(hash, |item| item.borrow() == key, rehash) {
            Entry::Occupied(there) => there.get().clone(),
            Entry::Vacant(place) => place.insert(make()).get().clone(),
        }
    }

    /// Asks `decide` about the item of `key`, with the item's part of the table locked, and removes
    /// the item for `Some(true)`. Returns what `decide` said; `None` when there is no item.
    pub(crate) fn remove_if(
        &self,
        key: &[u8],
        decide: impl FnOnce(&T) -> Option<bool>,
    ) -> Option<bool> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard_of(hash).write();
        let item = shard.find_entry(hash, |item| item.borrow() == key).ok()?;
        let decision = decide(item.get());
        if decision == Some(true) {
            item.remove();
        }
        decision
    }

    /// One part of the table, by its number.
    pub(crate) fn shard(&self, number: usize) -> &RwLock<HashTable<T>> {
        &self.shards[number]
    }

    fn shard_of(&self, hash: u64) -> &RwLock<HashTable<T>> {
        // The table uses the lowest and the highest bits.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }
}

/// Appends to `page` the first of `ordered` in `range` and `direction`, at most `most`; `false` when the range has no more.
pub(crate) fn take_page<T: Clone + Ord + Borrow<[u8]>>(
    ordered: &BTreeSet<T>,
    range: KeyRange<'_>,
    direction: Direction,
    most: usize,
    page: &mut Vec<T>,
) -> bool {
    if range.is_empty() {
        return false;
    }
    let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
    let found = ordered.range::<[u8], _>((Bound::Included(range.start), end));
    let before = page.len();
    match direction {
        Direction::Forward => page.extend(found.take(most).cloned()),
        Direction::Reverse => page.extend(found.rev().take(most).cloned()),
    }
    page.len() - before == most
}

/// Lets a type with a method `key` be found by its key, and order by it.
macro_rules! keyed {
    ($type:ty) => {
        impl std::borrow::Borrow<[u8]> for $type {
            #[inline]
            fn borrow(&self) -> &[u8] {
                self.key()
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.key() == other.key()
            }
        }

        impl Eq for $type {}

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.key().cmp(other.key())
            }
        }
    };
}

pub(crate) use keyed;
