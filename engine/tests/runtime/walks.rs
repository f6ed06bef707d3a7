//! Ordered walks over what a transaction sees.

use supervm_engine::mvcc::MvccStore;
use supervm_engine::state::{StateView, TxnView};
use supervm_plugin_sdk::{Direction, ErrorKind, KeyRange};

/// Keys "b", "d", "f" and "h", of which a transaction walks `passed` and the one after them; then another writes `changed`.
fn conflicts(direction: Direction, passed: usize, changed: &[u8]) -> bool {
    let store = MvccStore::new();
    let mut txn = store.begin();
    for key in [b"b", b"d", b"f", b"h"] {
        txn.write(key, b"old").unwrap();
    }
    txn.commit().unwrap();
    let mut view = TxnView::new(store.begin());
    let mut rows = view.rows(KeyRange::new(b"a", Some(b"i")), direction).unwrap();
    for _ in 0..passed {
        assert!(rows.peek().unwrap().is_some());
        rows.advance();
    }
    rows.peek().unwrap();
    let mut other = store.begin();
    other.write(changed, b"new").unwrap();
    other.commit().unwrap();
    drop(rows);
    let mut txn = view.into_txn().unwrap();
    txn.write(b"elsewhere", b"").unwrap();
    txn.commit().is_err_and(|error| error.kind() == ErrorKind::Conflict)
}

#[test]
fn a_walk_conflicts_with_changes_as_far_as_it_came_and_no_further() {
    for (passed, direction, within, beyond) in [
        (0, Direction::Forward, [b"a", b"b"], [b"c", b"h"]),
        (1, Direction::Forward, [b"b", b"c"], [b"e", b"f"]),
        (0, Direction::Reverse, [b"h", b"h"], [b"g", b"a"]),
        (1, Direction::Reverse, [b"g", b"f"], [b"e", b"b"]),
        (4, Direction::Forward, [b"a", b"h"], [b"i", b"j"]),
        (4, Direction::Reverse, [b"a", b"h"], [b"i", b"j"]),
    ] {
        for key in within {
            assert!(conflicts(direction, passed, key), "{direction:?} {passed} {key:?}");
        }
        for key in beyond {
            assert!(!conflicts(direction, passed, key), "{direction:?} {passed} {key:?}");
        }
    }
}

#[test]
fn rows_see_the_transactions_own_writes_and_its_moment() {
    let store = MvccStore::new();
    let mut txn = store.begin();
    for key in [b"a", b"b", b"c"] {
        txn.write(key, b"old").unwrap();
    }
    txn.commit().unwrap();
    let mut txn = store.begin();
    txn.delete(b"b").unwrap();
    txn.write(b"d", b"own").unwrap();
    let mut other = store.begin();
    other.write(b"a", b"later").unwrap();
    other.write(b"e", b"later").unwrap();
    other.commit().unwrap();
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut view = TxnView::new(txn);
        let mut rows = view.rows(KeyRange::ALL, direction).unwrap();
        let mut found = Vec::new();
        while let Some((key, value)) = rows.peek().unwrap() {
            found.push((key.to_vec(), value.to_vec()));
            rows.advance();
        }
        if direction == Direction::Reverse {
            found.reverse();
        }
        let expected = [("a", "old"), ("c", "old"), ("d", "own")];
        assert_eq!(found, expected.map(|(key, value)| (key.into(), value.into())));
        drop(rows);
        txn = view.into_txn().unwrap();
    }
}
