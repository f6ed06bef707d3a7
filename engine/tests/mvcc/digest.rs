//! The digest of the state that commits keep up to date.

use crate::probe::{Panel, panel};
use crate::support::{
    Random, delete, eventually, is_conflict, keys, kind, over_memory, put, remove, reopened, seed,
    storage, storage_with, write,
};
use std::sync::Arc;
use std::thread;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::layout::{HistoryMode, Meta};
use supervm_engine::mvcc::{Block, CommitOptions, Isolation, MvccConfig, MvccStore};
use supervm_engine::storage::Storage;
use supervm_plugin_sdk::{Direction, Durability, Effect, ErrorKind, KeyRange, OpenMode};
use tempfile::TempDir;

fn with_digest() -> MvccConfig {
    MvccConfig { digest: true, ..MvccConfig::default() }
}

/// Of what the store holds, from all of it.
fn recomputed(store: &MvccStore) -> StateAccumulator {
    let mut accumulator = StateAccumulator::default();
    let all = |key: &[u8], value: &[u8]| {
        accumulator.add(key, value);
        true
    };
    store.begin_read_only().visit(KeyRange::ALL, Direction::Forward, all).unwrap();
    accumulator
}

/// What the storage has.
fn kept(store: &MvccStore) -> StateAccumulator {
    let meta = Meta::read(store.storage().unwrap()).unwrap();
    StateAccumulator::from_bytes(&meta.accumulator).unwrap()
}

fn end_block(store: &MvccStore, number: u64) -> [u8; 32] {
    let block = Some(Block { number, timestamp: 0 });
    store.begin().commit_with(CommitOptions { block, ..CommitOptions::default() }).unwrap();
    store.last_block().unwrap().digest
}

#[test]
fn the_digest_kept_is_the_digest_recomputed() {
    let mut random = Random(seed());
    let (mut store, dir) = over_memory(with_digest());
    for round in 1..=300 {
        let mut txn = store.begin();
        for _ in 0..random.below(5) {
            let key = random.below(40).to_string();
            match random.below(4) {
                0 => delete(&mut txn, &key),
                1 => write(&mut txn, &key, ""),
                _ => write(&mut txn, &key, &"x".repeat(random.below(40) as usize)),
            }
        }
        txn.commit().unwrap();
        if random.once_in(10) {
            store.gc();
            store.evict();
        }
        if random.once_in(30) {
            store = reopened(store, &dir, with_digest());
        }
        if random.once_in(10) {
            let expected = recomputed(&store);
            assert_eq!(end_block(&store, round), expected.digest());
            assert_eq!(kept(&store), expected, "round {round}");
        }
    }
}

#[test]
fn a_refused_commit_does_not_change_the_digest() {
    let (store, _dir) = over_memory(with_digest());
    put(&store, &[("k", "1")]);
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let mut loser = store.begin_with(isolation);
        write(&mut loser, "k", "loser");
        write(&mut loser, "new", "loser");
        put(&store, &[("k", "2")]);
        assert!(is_conflict(loser.commit()));
    }
    assert_eq!(end_block(&store, 1), recomputed(&store).digest());
}

#[test]
fn concurrent_commits_leave_the_digest_of_what_they_left() {
    let (store, _dir) = over_memory(with_digest());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                let mut random = Random(thread);
                for n in 0..300 {
                    let mut txn = store.begin();
                    write(&mut txn, &random.below(20).to_string(), &n.to_string());
                    delete(&mut txn, &random.below(20).to_string());
                    let _ = is_conflict(txn.commit());
                }
            });
        }
    });
    assert_eq!(kept(&store), recomputed(&store));
    assert_eq!(end_block(&store, 1), recomputed(&store).digest());
}

#[test]
fn a_digest_that_was_not_kept_before_is_computed_when_the_store_is_opened() {
    let (store, dir) = over_memory(MvccConfig::default());
    put(&store, &[("a", "1"), ("b", "2"), ("c", "3")]);
    remove(&store, "b");
    assert_eq!(end_block(&store, 1), [0; 32], "not kept");
    let store = reopened(store, &dir, with_digest());
    put(&store, &[("d", "4")]);
    assert_eq!(end_block(&store, 2), recomputed(&store).digest());
}

#[test]
fn a_digest_that_was_not_kept_for_a_while_is_right_when_it_is_kept_again() {
    let (store, dir) = over_memory(with_digest());
    put(&store, &[("a", "1")]);
    let store = reopened(store, &dir, MvccConfig::default());
    put(&store, &[("b", "2")]);
    let store = reopened(store, &dir, with_digest());
    put(&store, &[("c", "3")]);
    assert_eq!(keys(&mut store.begin()), ["a", "b", "c"]);
    assert_eq!(end_block(&store, 1), recomputed(&store).digest());
}

#[test]
fn the_digest_does_not_depend_on_history_or_on_the_order_of_commits() {
    let (one, _dir_one) = over_memory(with_digest());
    let config = MvccConfig { history: Some(HistoryMode::Archive), ..with_digest() };
    let (two, _dir_two) = over_memory(config);
    put(&one, &[("a", "1"), ("b", "2")]);
    put(&two, &[("b", "0"), ("c", "3")]);
    remove(&two, "c");
    put(&two, &[("b", "2")]);
    put(&two, &[("a", "1")]);
    assert_eq!(end_block(&one, 1), end_block(&two, 1));
}

/// A directory of the probe, whose content outlives the storage; dropping a store without closing it is a kill.
struct Place {
    panel: Arc<Panel>,
    name: &'static str,
    dir: TempDir,
}

impl Place {
    fn new(name: &'static str) -> Self {
        Self { panel: panel(name), name, dir: tempfile::tempdir().unwrap() }
    }

    fn storage(&self) -> Storage {
        storage("probe", self.dir.path(), &format!("panel = \"{}\"", self.name))
    }

    fn open(&self, config: MvccConfig) -> MvccStore {
        MvccStore::open(self.storage(), config).unwrap()
    }

    /// What a store finds that is opened next.
    fn accumulator(&self) -> Vec<u8> {
        self.panel.content().get(&b"m/accumulator"[..]).cloned().unwrap_or_default()
    }
}

#[test]
fn a_digest_that_is_computed_at_an_opening_is_there_at_the_next_one() {
    let place = Place::new("computed once");
    let store = place.open(MvccConfig::default());
    for n in 0..50 {
        put(&store, &[(&n.to_string(), "1")]);
    }
    drop(store);
    place.panel.take_written();
    let before = place.panel.cursors();
    drop(place.open(with_digest()));
    // Each opening also looks for an unfinished commit.
    assert_eq!(place.panel.cursors(), before + 2, "a scan of the state");
    let written = place.panel.take_written();
    let all: Vec<_> = written.iter().map(|one| (one.operations, one.durability)).collect();
    assert_eq!(all, [(1, Durability::Synced)], "the sum, as durable as the storage");
    let store = place.open(with_digest());
    assert_eq!(place.panel.cursors(), before + 3, "no further scan");
    assert_eq!(place.panel.take_written(), []);
    assert_eq!(kept(&store), recomputed(&store));
}

#[test]
fn opening_an_empty_state_for_its_digest_writes_nothing() {
    let place = Place::new("empty");
    drop(place.open(with_digest()));
    assert_eq!(place.panel.take_written(), []);
    assert!(place.accumulator().is_empty());
}

#[test]
fn a_computed_digest_that_cannot_be_written_fails_the_opening_and_the_next_one_computes_it() {
    for effect in [Effect::NotApplied, Effect::Applied, Effect::Unknown] {
        let name = format!("unwritten digest {effect:?}");
        let place = Place::new(Box::leak(name.into_boxed_str()));
        put(&place.open(MvccConfig::default()), &[("a", "1")]);
        place.panel.fail_writes(Some(effect));
        let failed = MvccStore::open(place.storage(), with_digest());
        assert_eq!(kind(failed), ErrorKind::Io);
        place.panel.fail_writes(None);
        let store = place.open(with_digest());
        assert_eq!(kept(&store), recomputed(&store));
    }
}

#[test]
fn a_storage_that_is_open_for_reading_is_opened_with_a_digest_that_it_does_not_have() {
    let (store, dir) = over_memory(MvccConfig::default());
    put(&store, &[("a", "1")]);
    store.storage().unwrap().close().unwrap();
    drop(store);
    for digest in [true, false] {
        let storage = storage_with("memory", dir.path(), "", OpenMode::ReadOnly);
        let config = MvccConfig { digest, ..MvccConfig::default() };
        let store = MvccStore::open(storage.clone(), config).unwrap();
        assert_eq!(keys(&mut store.begin_read_only()), ["a"]);
        assert!(Meta::read(&storage).unwrap().accumulator.is_empty(), "nothing is written");
        storage.close().unwrap();
    }
}

#[test]
fn opening_without_a_digest_leaves_the_one_that_is_kept() {
    let place = Place::new("left");
    put(&place.open(with_digest()), &[("a", "1")]);
    let before = place.accumulator();
    place.panel.take_written();
    let store = place.open(MvccConfig::default());
    // None of these changes the state.
    assert_eq!(end_block(&store, 1), [0; 32], "not known");
    store.set_history_mode(HistoryMode::Archive).unwrap();
    let mut loser = store.begin();
    loser.read(b"a").unwrap();
    drop(loser);
    drop(store);
    assert!(place.accumulator() == before, "the sum is as it was");
    let cursors = place.panel.cursors();
    let store = place.open(with_digest());
    assert_eq!(
        place.panel.cursors(),
        cursors + 1,
        "no scan, but the look for an unfinished commit"
    );
    assert_eq!(kept(&store), recomputed(&store));
    assert_eq!(end_block(&store, 2), recomputed(&store).digest());
}

#[test]
fn the_first_change_without_a_digest_ends_the_kept_one_in_its_own_batch_and_once() {
    let place = Place::new("ended");
    put(&place.open(with_digest()), &[("a", "1")]);
    let store = place.open(MvccConfig::default());
    place.panel.take_written();
    put(&store, &[("b", "1")]);
    put(&store, &[("c", "1")]);
    let operations: Vec<_> = place.panel.take_written().iter().map(|one| one.operations).collect();
    assert_eq!(operations, [3, 2], "the key and the version, and the end of the sum once");
    assert!(place.accumulator().is_empty());
    // As after a kill: neither the store nor its storage is closed.
    std::mem::forget(store);
    let place = Place { dir: tempfile::tempdir().unwrap(), ..place };
    let store = place.open(with_digest());
    assert_eq!(kept(&store), recomputed(&store));
}

#[test]
fn a_group_of_several_commits_ends_the_kept_digest() {
    let place = Place::new("ended by a group");
    put(&place.open(with_digest()), &[("a", "1")]);
    let store = place.open(MvccConfig::default());
    let gate = place.panel.hold_writes();
    thread::scope(|scope| {
        let begun = place.panel.writes_begun();
        // It does not change the state, and those behind it gather in the next batch.
        scope.spawn(|| store.set_history_mode(HistoryMode::Archive).unwrap());
        eventually("a write waits", || place.panel.writes_begun() > begun);
        for key in ["b", "c", "d"] {
            let store = &store;
            scope.spawn(move || put(store, &[(key, "1")]));
        }
        eventually("commits wait", || store.metrics().cells >= 3);
        drop(gate);
    });
    assert!(place.accumulator().is_empty());
    drop(store);
    let store = place.open(with_digest());
    assert_eq!(keys(&mut store.begin()), ["a", "b", "c", "d"]);
    assert_eq!(kept(&store), recomputed(&store));
}

#[test]
fn a_failed_first_change_without_a_digest_leaves_a_digest_that_is_right() {
    for effect in [Effect::NotApplied, Effect::Applied] {
        let name = format!("failed change {effect:?}");
        let place = Place::new(Box::leak(name.into_boxed_str()));
        put(&place.open(with_digest()), &[("a", "1")]);
        let store = place.open(MvccConfig::default());
        place.panel.fail_writes(Some(effect));
        let mut txn = store.begin();
        write(&mut txn, "b", "1");
        assert_eq!(kind(txn.commit()), ErrorKind::Io);
        drop(store);
        place.panel.fail_writes(None);
        assert_eq!(place.accumulator().is_empty(), effect == Effect::Applied);
        let store = place.open(with_digest());
        assert_eq!(kept(&store), recomputed(&store), "{effect:?}");
    }
}
