//! A storage of chain state that is written beside an oracle.
//!
//! The writer makes the batches of commits from the layout alone, so that it is a second opinion on what commits write.

use crate::backend::Backend;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::history::{AsOf, History, PruneOptions, PruneReport, PruneTarget};
use supervm_engine::layout::{
    BlockRecord, HistoryMode, Meta, Version, block_key, history_key, latest_key, put_changed_keys,
    put_record,
};
use supervm_engine::storage::{DigestBuilder, Storage};
use supervm_plugin_sdk::{ByteBuf, Direction, Durability, ErrorKind, KeyRange, Result, WriteBatch};
use tempfile::TempDir;

/// A state: each key with the version that wrote it, and its value.
pub(crate) type State = BTreeMap<Vec<u8>, (Version, Vec<u8>)>;

/// What a commit does to keys: `Some` sets, `None` deletes.
pub(crate) type Changes<'a> = [(&'a [u8], Option<&'a [u8]>)];

/// What the oracle remembers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    /// The state as of each version.
    pub(crate) states: BTreeMap<Version, State>,
    /// The keys that each version changed.
    pub(crate) changed: BTreeMap<Version, BTreeSet<Vec<u8>>>,
    pub(crate) blocks: BTreeMap<u64, BlockRecord>,
    /// The oldest version that can be read while old values are kept.
    pub(crate) floor: Version,
    pub(crate) mode: HistoryMode,
    accumulator: StateAccumulator,
}

pub(crate) struct World {
    // Dropped in this order: the directory after what is open in it.
    pub(crate) history: History,
    pub(crate) storage: Storage,
    pub(crate) dir: TempDir,
    backend: Backend,
    pub(crate) oracle: Oracle,
}

impl Oracle {
    pub(crate) fn last(&self) -> Version {
        self.states.keys().next_back().copied().unwrap_or_default()
    }

    pub(crate) fn oldest(&self) -> Version {
        if self.mode.keeps_old_values() { self.floor } else { self.last() }
    }

    pub(crate) fn state(&self, version: Version) -> State {
        self.states.get(&version).cloned().unwrap_or_default()
    }

    /// The versions that can be read.
    pub(crate) fn readable(&self) -> impl Iterator<Item = Version> + use<> {
        (self.oldest().0..=self.last().0).map(Version)
    }
}

impl World {
    /// An empty state that keeps everything.
    pub(crate) fn archive(backend: &Backend) -> Self {
        Self::new(backend, HistoryMode::Archive)
    }

    pub(crate) fn new(backend: &Backend, mode: HistoryMode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = backend.open(dir.path());
        let history = History::new(storage.clone()).unwrap();
        history.set_mode(mode).unwrap();
        let oracle = Oracle { mode, ..Oracle::default() };
        Self { history, storage, dir, backend: backend.clone(), oracle }
    }

    /// Closes the storage for `meanwhile`, which gets its directory, and opens it anew.
    pub(crate) fn reopen_after(self, meanwhile: impl FnOnce(&std::path::Path)) -> Self {
        let Self { history, storage, dir, backend, oracle } = self;
        drop(history);
        storage.close().unwrap();
        drop(storage);
        meanwhile(dir.path());
        let storage = backend.open(dir.path());
        let history = History::new(storage.clone()).unwrap();
        Self { history, storage, dir, backend, oracle }
    }

    pub(crate) fn commit(&mut self, changes: &Changes<'_>) -> Version {
        self.commit_with(changes, None)
    }

    /// A commit that ends block `number`, ten seconds after the one before it.
    pub(crate) fn block(&mut self, number: u64, changes: &Changes<'_>) -> Version {
        self.commit_with(changes, Some((number, 10 * number)))
    }

    pub(crate) fn commit_with(
        &mut self,
        changes: &Changes<'_>,
        block: Option<(u64, u64)>,
    ) -> Version {
        let oracle = &mut self.oracle;
        let mut state = oracle.state(oracle.last());
        let version = oracle.last().next();
        let changes: BTreeMap<_, _> = changes.iter().copied().collect();
        let (mut batch, mut stored, mut record) = (WriteBatch::new(), Vec::new(), Vec::new());
        for (key, value) in &changes {
            let before = state.remove(*key);
            if let Some((written, value)) = &before {
                oracle.accumulator.remove(key, value);
                if oracle.mode.keeps_old_values() {
                    history_key(key, version, &mut stored);
                    put_record(*written, value, &mut record);
                    batch.put(&stored, &record);
                }
            }
            latest_key(key, &mut stored);
            if let Some(value) = value {
                put_record(version, value, &mut record);
                batch.put(&stored, &record);
                oracle.accumulator.add(key, value);
                state.insert(key.to_vec(), (version, value.to_vec()));
            } else {
                batch.delete(&stored);
            }
        }
        if oracle.mode.keeps_old_values() {
            put_changed_keys(&mut batch, version, changes.keys().copied());
        }
        Meta::put_last_version(&mut batch, version);
        Meta::put_accumulator(&mut batch, &oracle.accumulator.to_bytes());
        if let Some((number, timestamp)) = block {
            let digest = oracle.accumulator.digest();
            let record = BlockRecord { number, version, timestamp, digest };
            batch.put(&block_key(number), &record.to_bytes());
            Meta::put_last_block(&mut batch, number);
            oracle.blocks.insert(number, record);
        }
        self.storage.write(&batch, Durability::Buffered).unwrap();
        oracle.changed.insert(version, changes.keys().map(|key| key.to_vec()).collect());
        oracle.states.insert(version, state);
        version
    }

    pub(crate) fn as_of(&self, version: Version) -> AsOf {
        self.history.as_of(version).unwrap()
    }

    /// Prunes to the end, and lets the oracle know.
    pub(crate) fn prune(&mut self, target: PruneTarget) -> PruneReport {
        let report = self.history.prune(target, PruneOptions::default(), &mut |_| {}).unwrap();
        self.oracle.floor = report.floor;
        report
    }

    /// Every version that can be read reads as the oracle says, by key and by scans, and every other one is refused.
    pub(crate) fn check(&self) {
        for version in 0..self.oracle.oldest().0 {
            let refused = self.history.as_of(Version(version));
            assert_eq!(kind(refused), ErrorKind::VersionPruned, "as of {version}");
        }
        assert_eq!(kind(self.history.as_of(self.oracle.last().next())), ErrorKind::InvalidArgument);
        for version in self.oracle.readable() {
            self.check_state(&self.as_of(version));
        }
        assert_eq!(self.history.floor().unwrap(), self.oracle.oldest());
    }

    /// `as_of` has what the oracle remembers of its version, and nothing else.
    pub(crate) fn check_state(&self, as_of: &AsOf) {
        let expected = self.oracle.state(as_of.version());
        let mut value = ByteBuf::new();
        for key in self.keys() {
            let found = as_of.get_versioned(&key).unwrap();
            let context = format!("{} as of {}", hex(&key), as_of.version());
            assert_eq!(found.as_ref(), expected.get(&key), "{context}");
            let found = as_of.get_into(&key, &mut value).unwrap().then(|| value.to_vec());
            assert_eq!(found, expected.get(&key).map(|(_, value)| value.clone()), "{context}");
        }
        check_scan(as_of, &expected, KeyRange::ALL, Direction::Forward);
        if self.backend.lacks_reverse_cursors().is_none() {
            check_scan(as_of, &expected, KeyRange::ALL, Direction::Reverse);
        }
    }

    /// Every key that ever was.
    pub(crate) fn keys(&self) -> BTreeSet<Vec<u8>> {
        self.oracle.changed.values().flatten().cloned().collect()
    }

    /// Storage keys in an area, by its prefix.
    pub(crate) fn stored(&self, prefix: &[u8]) -> usize {
        self.storage.scan(prefix, usize::MAX).unwrap().len()
    }
}

/// A scan of `range` lends exactly what `state` has there, in order.
pub(crate) fn check_scan(as_of: &AsOf, state: &State, range: KeyRange<'_>, direction: Direction) {
    let bounds =
        (Bound::Included(range.start), range.end.map_or(Bound::Unbounded, Bound::Excluded));
    let within =
        |(key, entry): (&Vec<u8>, &(Version, Vec<u8>))| (key.clone(), entry.0, entry.1.clone());
    let mut expected: Vec<_> = if range.is_empty() {
        Vec::new()
    } else {
        state.range::<[u8], _>(bounds).map(within).collect()
    };
    if direction == Direction::Reverse {
        expected.reverse();
    }
    let mut rows = as_of.rows(range, direction).unwrap();
    let mut found = Vec::new();
    while let Some((key, version, value)) = rows.next().unwrap() {
        found.push((key.to_vec(), version, value.to_vec()));
    }
    assert_eq!(found, expected, "{direction:?} {range:?} as of {}", as_of.version());
    assert_eq!(rows.next().unwrap(), None, "the end stays the end");
}

pub(crate) fn digest_of(state: &State) -> String {
    let mut digest = DigestBuilder::default();
    state.iter().for_each(|(key, (_, value))| digest.add(key, value));
    digest.finish().to_string()
}

pub(crate) fn accumulator_of(state: &State) -> StateAccumulator {
    let mut accumulator = StateAccumulator::default();
    state.iter().for_each(|(key, (_, value))| accumulator.add(key, value));
    accumulator
}

pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
