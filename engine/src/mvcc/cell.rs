//! A key and its versions.

use super::value::Value;
use crate::keyed::keyed;
use crate::layout::Version;
use parking_lot::{Mutex, MutexGuard};
use thin_vec::ThinVec;
use triomphe::ThinArc;

/// A key's stable place in memory: whoever has a clone finds the key's versions without a look-up.
///
/// One allocation holds the count, the lock, the newest version and the key.
#[derive(Clone)]
pub(crate) struct Cell(ThinArc<Mutex<Chain>, u8>);

/// One version of a key.
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) value: Value,
}

/// The versions of a key, the newest in place.
///
/// Invariants:
/// 1. Versions rise from the oldest to the newest.
/// 2. Only the newest can be unloaded, and then there are no older ones.
pub(super) struct Chain {
    newest: Entry,
    /// From the oldest to the newest.
    older: ThinVec<Entry>,
}

/// Places for older versions that a chain keeps when some were removed, so that a key that is written again and again needs no
/// allocation; when none was removed since, it gives them back.
const SPARE_MAX: usize = 4;

#[cfg(not(feature = "shuttle"))]
const _: () = assert!(size_of::<Mutex<Chain>>() <= 40);

impl Cell {
    /// A cell for `key` whose value is not known yet, or known to be absent.
    pub(super) fn new(key: &[u8], value: Value) -> Self {
        let newest = Entry { version: Version::ZERO, value };
        let chain = Chain { newest, older: ThinVec::new() };
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

    /// How many clones there are.
    pub(super) fn references(&self) -> usize {
        ThinArc::strong_count(&self.0)
    }

    /// Tells cells apart; equal for clones of one.
    #[inline]
    pub(super) fn id(&self) -> usize {
        ThinArc::as_ptr(&self.0).addr()
    }
}

impl Chain {
    #[inline]
    pub(super) fn newest(&self) -> &Entry {
        &self.newest
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.newest.value.is_loaded()
    }

    /// Fills in what the backend has.
    pub(super) fn load(&mut self, version: Version, value: Value) {
        debug_assert!(!self.is_loaded(), "a loaded cell knows better than the backend");
        self.newest = Entry { version, value };
    }

    /// The value as of `version`; `None` when the key did not exist.
    #[inline]
    pub(super) fn at(&self, version: Version) -> Option<&Value> {
        debug_assert!(self.is_loaded());
        if self.newest.version <= version {
            return Some(&self.newest.value);
        }
        self.older.iter().rev().find(|entry| entry.version <= version).map(|entry| &entry.value)
    }

    /// Puts a newer version in front. Returns the bytes that the one before it takes as an older version.
    pub(super) fn install(&mut self, version: Version, value: Value) -> usize {
        debug_assert!(self.newest.version < version, "versions rise");
        let before = std::mem::replace(&mut self.newest, Entry { version, value });
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

    /// Versions that exist; a key that was never written has none.
    pub(super) fn versions(&self) -> usize {
        let is_placeholder = self.newest.version == Version::ZERO;
        self.older.len() + usize::from(!is_placeholder)
    }

    /// Does the key exist in its newest version?
    pub(super) fn is_absent(&self) -> bool {
        self.newest.value.is_loaded() && self.newest.value.bytes().is_none()
    }

    /// Is the newest version the only one?
    pub(super) fn is_single(&self) -> bool {
        self.older.is_empty()
    }

    /// Removes the oldest versions: all but the newest at or below `floor` of those at or below it, and of those that `watermark` allows so
    /// many that `most` stay. Returns how many went and the bytes that they took.
    pub(super) fn prune(
        &mut self,
        floor: Version,
        watermark: Version,
        most: usize,
    ) -> (usize, usize) {
        let superseded_by = |limit: Version| {
            // Entry i is superseded by entry i + 1, the last one by the newest.
            let next = self.older.iter().skip(1).chain(std::iter::once(&self.newest));
            next.take(self.older.len()).take_while(|entry| entry.version <= limit).count()
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
