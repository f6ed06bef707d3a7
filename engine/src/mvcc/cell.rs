//! A key and its versions.

use super::value::Value;
use crate::keyed::keyed;
use crate::layout::{VERSION_MAX, Version};
use parking_lot::{Mutex, MutexGuard};
use thin_vec::ThinVec;
use triomphe::ThinArc;

/// A key's stable place in memory: whoever has a clone finds the key's versions without a look-up.
///
/// One allocation holds the count, the lock, the newest version and the key.
#[derive(Clone)]
pub(crate) struct Cell(ThinArc<Mutex<Chain>, u8>);

/// An older version of a key.
struct Entry {
    version: Version,
    value: Value,
}

/// The versions of a key, the newest in place.
///
/// Invariants:
/// 1. Versions rise from the oldest to the newest.
/// 2. Only the newest can be unloaded, and then there are no older ones.
pub(super) struct Chain {
    head: Head,
    newest: Value,
    /// From the oldest to the newest.
    older: ThinVec<Entry>,
}

/// The newest version, with two marks in the bits that no version uses.
#[derive(Clone, Copy)]
struct Head(u64);

const _: () = assert!(VERSION_MAX.0 <= Head::VERSION);

impl Head {
    /// The cell was asked for since the eviction hand last passed it.
    const USED: u64 = 1 << 63;
    /// The cell is in the key order of a store in memory.
    const LISTED: u64 = 1 << 62;
    const VERSION: u64 = !(Self::USED | Self::LISTED);

    fn has(self, mark: u64) -> bool {
        self.0 & mark != 0
    }

    fn set(&mut self, mark: u64, is_set: bool) {
        self.0 = if is_set { self.0 | mark } else { self.0 & !mark };
    }

    fn version(self) -> Version {
        Version(self.0 & Self::VERSION)
    }

    fn set_version(&mut self, version: Version) {
        debug_assert!(version <= VERSION_MAX);
        self.0 = self.0 & !Self::VERSION | version.0 & Self::VERSION;
    }
}

/// Places for older versions that a chain keeps after a pass of garbage collection removed some,
/// so that a key that is written again and again needs no allocation. A pass that removes none
/// gives them back.
const SPARE_MAX: usize = 4;

#[cfg(not(feature = "shuttle"))]
const _: () = assert!(size_of::<Mutex<Chain>>() <= 40);

impl Cell {
    /// A cell for `key` whose value is not known yet, or known to be absent.
    pub(super) fn new(key: &[u8], value: Value) -> Self {
        let chain = Chain { head: Head(0), newest: value, older: ThinVec::new() };
        Self(ThinArc::from_header_and_slice(Mutex::new(chain), key))
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.0.slice
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Chain> {
        self.0.header.header.lock()
    }

    /// Number of clones, this one included.
    pub(super) fn references(&self) -> usize {
        ThinArc::strong_count(&self.0)
    }

    /// Identity of the cell, equal for all of its clones.
    #[inline]
    pub(super) fn id(&self) -> usize {
        ThinArc::as_ptr(&self.0).addr()
    }
}

impl Chain {
    /// The newest version; [`Version::ZERO`] for a key that was never written.
    #[inline]
    pub(super) fn newest_version(&self) -> Version {
        self.head.version()
    }

    /// The value at the newest version.
    #[inline]
    pub(super) fn newest(&self) -> &Value {
        &self.newest
    }

    #[inline]
    pub(super) fn is_loaded(&self) -> bool {
        self.newest.is_loaded()
    }

    /// Fills in what the backend has.
    pub(super) fn load(&mut self, version: Version, value: Value) {
        debug_assert!(!self.is_loaded(), "a loaded cell knows better than the backend");
        self.head.set_version(version);
        self.newest = value;
    }

    /// Marks the cell as asked for, which spares it one pass of the eviction hand.
    #[inline]
    pub(super) fn mark_used(&mut self) {
        self.head.set(Head::USED, true);
    }

    /// Takes the mark that [`mark_used`](Self::mark_used) left; `true` when there was one.
    pub(super) fn take_used(&mut self) -> bool {
        let was_used = self.head.has(Head::USED);
        self.head.set(Head::USED, false);
        was_used
    }

    #[inline]
    pub(super) fn is_listed(&self) -> bool {
        self.head.has(Head::LISTED)
    }

    pub(super) fn set_listed(&mut self, is_listed: bool) {
        self.head.set(Head::LISTED, is_listed);
    }

    /// The value as of `version`; `None` when the key did not exist.
    #[inline]
    pub(super) fn at(&self, version: Version) -> Option<&Value> {
        debug_assert!(self.is_loaded());
        if self.newest_version() <= version {
            return Some(&self.newest);
        }
        self.older.iter().rev().find(|entry| entry.version <= version).map(|entry| &entry.value)
    }

    /// Puts a newer version in front. Returns the bytes that the previous one takes as an older
    /// version.
    pub(super) fn install(&mut self, version: Version, value: Value) -> usize {
        let before = Entry {
            version: self.newest_version(),
            value: std::mem::replace(&mut self.newest, value),
        };
        debug_assert!(before.version < version, "versions rise");
        self.head.set_version(version);
        // That a key was absent before its first version needs no entry.
        if before.version == Version::ZERO && before.value.bytes().is_none() {
            return 0;
        }
        if self.older.len() == self.older.capacity() {
            // Small steps: most keys have few versions, and there are many keys.
            self.older.reserve_exact(1 + self.older.len() / 4);
        }
        self.older.push(before);
        size_of::<Entry>()
    }

    /// Number of versions; 0 for a key that was never written.
    pub(super) fn versions(&self) -> usize {
        let is_placeholder = self.newest_version() == Version::ZERO;
        self.older.len() + usize::from(!is_placeholder)
    }

    /// Returns `true` when the key is known not to exist in its newest version.
    pub(super) fn is_absent(&self) -> bool {
        self.newest.is_loaded() && self.newest.bytes().is_none()
    }

    /// Returns `true` when there is no version but the newest.
    pub(super) fn is_single(&self) -> bool {
        self.older.is_empty()
    }

    /// Removes the oldest versions: of those at or below `floor` all but the newest, and of those
    /// that `watermark` allows as many as leave `most`. Returns the number of removed versions and
    /// the bytes that they took.
    pub(super) fn prune(
        &mut self,
        floor: Version,
        watermark: Version,
        most: usize,
    ) -> (usize, usize) {
        let newest = self.newest_version();
        let superseded_by = |limit: Version| {
            // Entry i is superseded by entry i + 1, the last one by the newest.
            let next = self.older.iter().skip(1).map(|entry| entry.version);
            let next = next.chain(std::iter::once(newest)).take(self.older.len());
            next.take_while(|version| *version <= limit).count()
        };
        let too_many = (self.older.len() + 1).saturating_sub(most.max(1));
        let count = superseded_by(floor).max(superseded_by(watermark).min(too_many));
        let freed = self.older.drain(..count);
        let bytes = freed.map(|entry| size_of::<Entry>() + entry.value.heap_bytes()).sum();
        let spare_max = if count == 0 { 0 } else { SPARE_MAX };
        if self.older.capacity() - self.older.len() > spare_max {
            self.older.shrink_to_fit();
        }
        (count, bytes)
    }
}

keyed!(Cell);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_versions_do_not_touch_each_other() {
        let cell = Cell::new(b"key", Value::UNLOADED);
        let mut chain = cell.lock();
        chain.mark_used();
        chain.set_listed(true);
        assert_eq!(chain.newest_version(), Version::ZERO);
        chain.load(Version(7), Value::new(b"loaded"));
        chain.install(Version((1 << 62) - 1), Value::new(b"newest"));
        assert_eq!(chain.newest_version(), Version((1 << 62) - 1));
        assert!(chain.take_used() && !chain.take_used() && chain.is_listed());
        chain.set_listed(false);
        assert_eq!((chain.newest_version().0, chain.is_listed()), ((1 << 62) - 1, false));
    }

    #[test]
    fn a_chain_keeps_a_few_places_while_versions_come_and_gives_them_back_afterwards() {
        let cell = Cell::new(b"key", Value::new(b"first"));
        let mut chain = cell.lock();
        let places_after = |chain: &mut Chain, versions: std::ops::Range<u64>| {
            versions.for_each(|version| {
                chain.install(Version(version), Value::new(b"next"));
            });
            let (removed, _) = chain.prune(Version::MAX, Version::MAX, usize::MAX);
            (removed, chain.older.capacity())
        };
        assert_eq!(places_after(&mut chain, 1..1_001), (1_000, 0), "so many are not kept");
        assert_eq!(places_after(&mut chain, 1_001..1_004), (3, 3));
        assert_eq!(places_after(&mut chain, 1_004..1_006), (2, 3));
        assert_eq!(places_after(&mut chain, 1_006..1_006), (0, 0));
    }
}
