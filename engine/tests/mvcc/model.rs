//! Random traces of everything, beside a model that keeps every state of the past as a map.
//!
//! The model says of each read what it gives and of each commit whether it is refused, exactly. Several transactions are open at once,
//! interleaved in one thread; garbage collection, eviction and reopening come between.
//!
//! `SUPERVM_TRACES` sets the number of traces (default 60), `SUPERVM_SEED` replays them.

use crate::support::{Random, is_conflict, number, over_memory, reopened, seed};
use std::collections::{BTreeMap, BTreeSet};
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{GcConfig, Isolation, MvccConfig, MvccStore, Savepoint, Txn};
use supervm_plugin_sdk::{Direction, KeyRange};
use tempfile::TempDir;

const STEPS: usize = 600;
const OPEN_MAX: usize = 6;
const KEYS: u64 = 24;

type Key = Vec<u8>;
type State = BTreeMap<Key, Vec<u8>>;
/// `None` = deleted.
type Writes = BTreeMap<Key, Option<Vec<u8>>>;

/// Every state there was: the one after each version, and the keys that it changed.
struct Model(Vec<(State, BTreeSet<Key>)>);

/// A transaction, and what the model knows of it.
struct Open {
    txn: Txn,
    version: usize,
    tracks_reads: bool,
    reads: BTreeSet<Key>,
    /// Start, end.
    ranges: Vec<(Key, Option<Key>)>,
    writes: Writes,
    savepoints: Vec<(Savepoint, Writes)>,
}

impl Model {
    fn last(&self) -> usize {
        self.0.len() - 1
    }

    /// What the transaction sees.
    fn view(&self, open: &Open) -> State {
        changed(&self.0[open.version].0, &open.writes)
    }

    fn refuses(&self, open: &Open) -> bool {
        let is_seen = |key: &Key| {
            let in_range = |(start, end): &(Key, Option<Key>)| {
                key >= start && end.as_ref().is_none_or(|end| key < end)
            };
            open.writes.contains_key(key)
                || open.reads.contains(key)
                || open.ranges.iter().any(in_range)
        };
        self.0[open.version + 1..].iter().any(|(_, changed)| changed.iter().any(is_seen))
    }

    fn commit(&mut self, open: &Open) {
        let state = changed(&self.0[self.last()].0, &open.writes);
        self.0.push((state, open.writes.keys().cloned().collect()));
    }
}

fn changed(state: &State, writes: &Writes) -> State {
    let mut state = state.clone();
    for (key, value) in writes {
        match value {
            Some(value) => drop(state.insert(key.clone(), value.clone())),
            None => drop(state.remove(key)),
        }
    }
    state
}

struct Trace {
    random: Random,
    store: Option<MvccStore>,
    dir: Option<TempDir>,
    config: MvccConfig,
    model: Model,
    open: Vec<Open>,
}

impl Trace {
    fn store(&self) -> &MvccStore {
        self.store.as_ref().unwrap()
    }

    fn key(&mut self) -> Key {
        let number = self.random.below(KEYS);
        format!("{number:02}").into_bytes()
    }

    fn step(&mut self) {
        if self.open.is_empty() || self.open.len() < OPEN_MAX && self.random.once_in(6) {
            return self.begin();
        }
        let at = self.random.below(self.open.len() as u64) as usize;
        match self.random.below(40) {
            0..10 => self.read(at),
            10..20 => self.write(at),
            20..24 => self.delete(at),
            24..28 => self.scan(at),
            28..32 => self.savepoint(at),
            32..36 => self.end(at),
            36..38 => drop(self.store().gc()),
            38 => drop(self.store().evict()),
            _ if self.random.once_in(4) => self.reopen(),
            _ => self.collect_all(),
        }
    }

    fn begin(&mut self) {
        let (txn, tracks_reads) = match self.random.below(5) {
            0 => (self.store().begin_read_only(), false),
            1 => (self.store().begin_with(Isolation::Snapshot), false),
            _ => (self.store().begin(), true),
        };
        let version = self.model.last();
        assert_eq!(txn.read_version(), Version(version as u64));
        self.open.push(Open {
            txn,
            version,
            tracks_reads,
            reads: BTreeSet::new(),
            ranges: Vec::new(),
            writes: BTreeMap::new(),
            savepoints: Vec::new(),
        });
    }

    fn read(&mut self, at: usize) {
        let key = self.key();
        let open = &mut self.open[at];
        let expected = self.model.view(open).get(&key).cloned();
        assert_eq!(open.txn.read(&key).unwrap(), expected, "{key:?} at {}", open.version);
        if open.tracks_reads && !open.writes.contains_key(&key) {
            open.reads.insert(key);
        }
    }

    fn write(&mut self, at: usize) {
        let key = self.key();
        let value = vec![self.random.next() as u8; self.random.below(30) as usize];
        let open = &mut self.open[at];
        let outcome = open.txn.write(&key, &value);
        assert_eq!(outcome.is_err(), open.txn.is_read_only());
        if outcome.is_ok() {
            open.writes.insert(key, Some(value));
        }
    }

    fn delete(&mut self, at: usize) {
        let key = self.key();
        let open = &mut self.open[at];
        if open.txn.delete(&key).is_ok() {
            open.writes.insert(key, None);
        }
    }

    fn scan(&mut self, at: usize) {
        let (start, end) = (self.key(), self.key());
        let end = (!self.random.once_in(4)).then_some(end);
        let direction = match self.random.once_in(2) {
            true => Direction::Forward,
            false => Direction::Reverse,
        };
        let limit = 1 + self.random.below(8) as usize;
        let open = &mut self.open[at];
        let range = KeyRange::new(&start, end.as_deref());
        let found = open.txn.scan(range, direction, limit).unwrap();
        let view = self.model.view(open);
        let mut expected: Vec<_> =
            view.into_iter().filter(|(key, _)| range.contains(key)).collect();
        if direction == Direction::Reverse {
            expected.reverse();
        }
        expected.truncate(limit);
        assert_eq!(found, expected, "{range:?} {direction:?} {limit} at {}", open.version);
        if open.tracks_reads && !range.is_empty() {
            let last = (found.len() == limit).then(|| found[limit - 1].0.clone());
            open.ranges.push(match (last, direction) {
                (None, _) => (start, end),
                (Some(last), Direction::Forward) => (start, Some([&last[..], &[0]].concat())),
                (Some(last), Direction::Reverse) => (last, end),
            });
        }
    }

    fn savepoint(&mut self, at: usize) {
        let open = &mut self.open[at];
        let which = match open.savepoints.len() {
            0 => 0,
            there => self.random.below(there as u64) as usize,
        };
        match self.random.below(4) {
            0 if !open.savepoints.is_empty() => {
                open.txn.release(open.savepoints[which].0).unwrap();
                open.savepoints.truncate(which);
            }
            1 | 2 if !open.savepoints.is_empty() => {
                open.txn.rollback_to(open.savepoints[which].0).unwrap();
                open.savepoints.truncate(which + 1);
                open.writes = open.savepoints[which].1.clone();
            }
            _ => open.savepoints.push((open.txn.savepoint(), open.writes.clone())),
        }
        assert_eq!(open.txn.writes_len(), open.writes.len());
    }

    fn end(&mut self, at: usize) {
        let open = self.open.swap_remove(at);
        if self.random.once_in(5) {
            return open.txn.abort();
        }
        if open.writes.is_empty() {
            assert_eq!(open.txn.commit().unwrap(), Version(open.version as u64));
            return;
        }
        let is_refused = self.model.refuses(&open);
        if !is_refused {
            self.model.commit(&open);
        }
        let outcome = open.txn.commit();
        if !is_refused {
            let version = Version(self.model.last() as u64);
            assert_eq!(*outcome.as_ref().unwrap(), version);
        }
        assert_eq!(is_conflict(outcome), is_refused, "begun at {}", open.version);
    }

    /// With nobody reading, one version a key is left.
    fn collect_all(&mut self) {
        self.open.clear();
        self.store().gc();
        if self.config.gc == GcConfig::default() {
            let state = &self.model.0[self.model.last()].0;
            assert!(self.store().total_versions() <= state.len() as u64);
            assert_eq!(self.store().metrics().old_versions, 0);
        }
    }

    fn reopen(&mut self) {
        let Some(dir) = &self.dir else { return };
        self.open.clear();
        let store = self.store.take().unwrap();
        self.store = Some(reopened(store, dir, self.config.clone()));
    }
}

fn play(seed: u64, is_over_backend: bool) {
    let mut random = Random(seed);
    let gc = match random.below(3) {
        0 => GcConfig { versions_max: Some(2), ..GcConfig::default() },
        1 => GcConfig { blocks: Some(2), ..GcConfig::default() },
        _ => GcConfig::default(),
    };
    let memory_bytes_max = if random.once_in(2) { 2_000 } else { 1 << 20 };
    let config = MvccConfig { gc, memory_bytes_max, ..MvccConfig::default() };
    let (store, dir) = match is_over_backend {
        false => (MvccStore::in_memory(config.clone()), None),
        true => {
            let (store, dir) = over_memory(config.clone());
            (store, Some(dir))
        }
    };
    let model = Model(vec![(State::new(), BTreeSet::new())]);
    let mut trace = Trace { random, store: Some(store), dir, config, model, open: Vec::new() };
    for _ in 0..STEPS {
        trace.step();
    }
    let last = &trace.model.0[trace.model.last()].0;
    let left = trace.store().begin().scan(KeyRange::ALL, Direction::Forward, usize::MAX).unwrap();
    assert_eq!(left, last.clone().into_iter().collect::<Vec<_>>());
}

fn play_many(is_over_backend: bool) {
    let seed = seed();
    for trace in 0..number("SUPERVM_TRACES", 60) {
        // Shown when the trace fails.
        println!("SUPERVM_SEED={} SUPERVM_TRACES=1", seed.wrapping_add(trace));
        play(seed.wrapping_add(trace), is_over_backend);
    }
}

#[test]
fn a_store_in_memory_does_what_the_model_says() {
    play_many(false);
}

#[test]
fn a_store_over_a_backend_does_what_the_model_says() {
    play_many(true);
}
