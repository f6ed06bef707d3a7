//! Nested savepoints.

use crate::support::{add, keys, kind, latest, number, set};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use supervm_engine::mvcc::MvccStore;
use supervm_engine::scheduler::{SAVEPOINTS_MAX, StateManager};
use supervm_plugin_sdk::ErrorKind;

const KEYS: u64 = 1_000;

fn key(number: u64) -> String {
    format!("key {number:04}")
}

#[test]
fn a_rollback_undoes_what_was_written_since_the_newest_savepoint() {
    let store = MvccStore::new();
    let mut state = StateManager::new(store.begin());
    set(state.txn(), "a", 1).unwrap();
    state.create_savepoint().unwrap();
    set(state.txn(), "a", 2).unwrap();
    set(state.txn(), "b", 2).unwrap();
    state.create_savepoint().unwrap();
    state.txn().delete(b"a").unwrap();
    set(state.txn(), "c", 3).unwrap();
    assert_eq!(state.depth(), 2);
    state.rollback().unwrap();
    assert_eq!((number(state.txn(), "a").unwrap(), number(state.txn(), "c").unwrap()), (2, 0));
    state.rollback().unwrap();
    assert_eq!((number(state.txn(), "a").unwrap(), state.depth()), (1, 0));
    state.into_txn().commit().unwrap();
    assert_eq!(keys(&store), ["a"]);
}

#[test]
fn what_a_savepoint_committed_goes_when_the_one_around_it_is_rolled_back() {
    let store = MvccStore::new();
    let mut state = StateManager::new(store.begin());
    state.create_savepoint().unwrap();
    set(state.txn(), "outer", 1).unwrap();
    state.create_savepoint().unwrap();
    set(state.txn(), "inner", 1).unwrap();
    state.commit().unwrap();
    assert_eq!((number(state.txn(), "inner").unwrap(), state.depth()), (1, 1));
    state.rollback().unwrap();
    assert_eq!(state.txn().writes_len(), 0);
}

#[test]
fn what_all_savepoints_committed_is_committed_by_the_transaction_and_by_nothing_before_it() {
    let store = MvccStore::new();
    let mut state = StateManager::new(store.begin());
    for _ in 0..3 {
        state.create_savepoint().unwrap();
        add(state.txn(), "a", 1).unwrap();
    }
    for depth in (0..3).rev() {
        state.commit().unwrap();
        assert_eq!((state.depth(), latest(&store, "a")), (depth, 0));
    }
    state.into_txn().commit().unwrap();
    assert_eq!(latest(&store, "a"), 3);
}

#[test]
fn open_savepoints_do_not_keep_the_transaction_from_committing_or_aborting() {
    let store = MvccStore::new();
    for commits in [true, false] {
        let mut state = StateManager::new(store.begin());
        state.create_savepoint().unwrap();
        set(state.txn(), if commits { "committed" } else { "aborted" }, 1).unwrap();
        match commits {
            true => drop(state.into_txn().commit().unwrap()),
            false => state.into_txn().abort(),
        }
    }
    assert_eq!(keys(&store), ["committed"]);
}

#[test]
fn what_was_read_before_a_rollback_still_conflicts() {
    let store = MvccStore::new();
    let mut state = StateManager::new(store.begin());
    state.create_savepoint().unwrap();
    number(state.txn(), "read").unwrap();
    state.rollback().unwrap();
    set(state.txn(), "written", 1).unwrap();
    let mut other = store.begin();
    set(&mut other, "read", 1).unwrap();
    other.commit().unwrap();
    assert_eq!(kind(state.into_txn().commit()), ErrorKind::Conflict);
}

#[test]
fn without_a_savepoint_there_is_nothing_to_roll_back_or_commit() {
    let mut state = StateManager::new(MvccStore::new().begin());
    set(state.txn(), "a", 1).unwrap();
    assert_eq!(kind(state.rollback()), ErrorKind::InvalidArgument);
    assert_eq!(kind(state.commit()), ErrorKind::InvalidArgument);
    assert_eq!(number(state.txn(), "a").unwrap(), 1);
    state.create_savepoint().unwrap();
    state.rollback().unwrap();
    assert_eq!(kind(state.rollback()), ErrorKind::InvalidArgument);
}

#[test]
fn more_savepoints_than_may_be_open_are_refused() {
    let mut state = StateManager::new(MvccStore::new().begin());
    for depth in 0..SAVEPOINTS_MAX {
        assert_eq!(state.depth(), depth);
        state.create_savepoint().unwrap();
        add(state.txn(), "depth", 1).unwrap();
    }
    assert_eq!(kind(state.create_savepoint()), ErrorKind::Busy);
    for depth in (0..SAVEPOINTS_MAX as u64).rev() {
        state.rollback().unwrap();
        assert_eq!(number(state.txn(), "depth").unwrap(), depth);
    }
}

#[test]
fn a_savepoint_over_a_thousand_keys_rolls_back_overwrites_deletions_and_new_keys() {
    let store = MvccStore::new();
    let mut opening = store.begin();
    (0..KEYS).for_each(|at| set(&mut opening, &key(at), at).unwrap());
    opening.commit().unwrap();
    let mut state = StateManager::new(store.begin());
    (0..KEYS).for_each(|at| add(state.txn(), &key(at), 1).unwrap());
    state.create_savepoint().unwrap();
    for at in 0..KEYS {
        match at % 3 {
            0 => set(state.txn(), &key(at), 7).unwrap(),
            1 => state.txn().delete(key(at).as_bytes()).unwrap(),
            _ => set(state.txn(), &key(KEYS + at), 7).unwrap(),
        }
    }
    state.rollback().unwrap();
    assert_eq!(state.txn().writes_len(), KEYS as usize);
    for at in 0..KEYS {
        assert_eq!(number(state.txn(), &key(at)).unwrap(), at + 1);
        assert_eq!(number(state.txn(), &key(KEYS + at)).unwrap(), 0);
    }
    state.into_txn().commit().unwrap();
    assert_eq!((keys(&store).len(), latest(&store, &key(9))), (KEYS as usize, 10));
}

#[derive(Debug, Clone)]
enum Step {
    Set(u64, u64),
    Delete(u64),
    Create,
    Rollback,
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_u64, 1..1_000_u64).prop_map(|(at, value)| Step::Set(at, value)),
        2 => (0..40_u64).prop_map(Step::Delete),
        2 => Just(Step::Create),
        1 => Just(Step::Rollback),
        1 => Just(Step::Commit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nested_savepoints_are_a_stack_of_copies(steps in vec(step(), 0..120)) {
        let store = MvccStore::new();
        let mut opening = store.begin();
        (0..20).for_each(|at| set(&mut opening, &key(at), at + 1).unwrap());
        opening.commit().unwrap();
        let mut state = StateManager::new(store.begin());
        let mut model: BTreeMap<_, _> = (0..20_u64).map(|at| (at, at + 1)).collect();
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Set(at, value) => {
                    set(state.txn(), &key(at), value).unwrap();
                    model.insert(at, value);
                }
                Step::Delete(at) => {
                    state.txn().delete(key(at).as_bytes()).unwrap();
                    model.remove(&at);
                }
                Step::Create => {
                    state.create_savepoint().unwrap();
                    copies.push(model.clone());
                }
                Step::Rollback => match copies.pop() {
                    Some(copy) => {
                        state.rollback().unwrap();
                        model = copy;
                    }
                    None => prop_assert!(state.rollback().is_err()),
                },
                Step::Commit => prop_assert_eq!(state.commit().is_ok(), copies.pop().is_some()),
            }
            prop_assert_eq!(state.depth(), copies.len());
            for at in 0..40 {
                let expected = model.get(&at).copied().unwrap_or(0);
                prop_assert_eq!(number(state.txn(), &key(at)).unwrap(), expected);
            }
        }
        state.into_txn().commit().unwrap();
        let expected: Vec<_> = model.keys().map(|at| key(*at)).collect();
        prop_assert_eq!(keys(&store), expected);
    }
}
