//! What a read as of a version reads from.

use super::pruned;
use crate::layout::{Meta, Version};
use crate::storage::{Rows, Snapshot, Storage};
use supervm_plugin_sdk::{ByteBuf, Capability, Cursor, Direction, KeyRange, Result};

/// A read view of a storage of chain state.
pub(crate) enum View {
    /// One moment: everything is consistent.
    Moment(Snapshot),
    /// On a backend without snapshots: what there is when it is read.
    ///
    /// As of a version it reads the same, because what a version needs goes from the latest values to the old ones in one batch and
    /// stays there until it is pruned. Two rules follow: the latest value is read *before* the old ones, or it could be missed on its
    /// way; and after the old ones were read, the version must still be readable, or what was not found may have been pruned.
    Live(Storage),
}

impl View {
    /// A view of this moment.
    pub(crate) fn new(storage: &Storage) -> Result<Self> {
        if storage.capabilities().has(Capability::Snapshot) {
            Ok(Self::Moment(storage.snapshot()?))
        } else {
            Ok(Self::Live(storage.clone()))
        }
    }

    pub(crate) fn meta(&self) -> Result<Meta> {
        match self {
            Self::Moment(snapshot) => Meta::read_with(|key| snapshot.get(key)),
            Self::Live(storage) => Meta::read(storage),
        }
    }

    /// Is everything that is read of the moment at which the view was made?
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Moment(_))
    }

    #[inline]
    pub(super) fn get_into(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        match self {
            Self::Moment(snapshot) => snapshot.get_into(key, value),
            Self::Live(storage) => storage.get_into(key, value),
        }
    }

    pub(crate) fn rows(&self, range: KeyRange<'_>, direction: Direction) -> Result<Rows> {
        self.cursor(range, direction).map(Rows::new)
    }

    /// As [`rows`](Self::rows), forward, for the sake of the first one.
    pub(super) fn first_row(&self, range: KeyRange<'_>) -> Result<Rows> {
        self.cursor(range, Direction::Forward).map(Rows::one_at_first)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        match self {
            Self::Moment(snapshot) => snapshot.cursor(range, direction),
            Self::Live(storage) => storage.cursor(range, direction),
        }
    }

    /// Was `version` still readable, after old values were read?
    pub(super) fn confirm(&self, version: Version) -> Result<()> {
        let Self::Live(storage) = self else { return Ok(()) };
        let floor = Meta::read(storage)?.oldest_version();
        if version < floor { Err(pruned(version, floor)) } else { Ok(()) }
    }
}
