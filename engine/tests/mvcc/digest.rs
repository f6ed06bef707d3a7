//! The digest of the state that commits keep up to date.

use crate::support::{Random, is_conflict, keys, over_memory, put, remove, reopened, seed, write};
use supervm_engine::digest::StateAccumulator;
use supervm_engine::layout::{HistoryMode, Meta};
use supervm_engine::mvcc::{Block, CommitOptions, Isolation, MvccConfig, MvccStore};
use supervm_plugin_sdk::{Direction, KeyRange};

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
                0 => crate::support::delete(&mut txn, &key),
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
                    crate::support::delete(&mut txn, &random.below(20).to_string());
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
