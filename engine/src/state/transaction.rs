//! State as a transaction sees it.

use super::view::{StateRows, StateView};
use crate::mvcc::{Txn, TxnRows};
use parking_lot::Mutex;
use std::sync::Arc;
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

/// A view of the state that a transaction sees, with what it wrote before. What is read is read by the transaction, so that a serializable
/// one conflicts with whoever changes it.
///
/// Clones are views of the same transaction, and so are the rows that they give.
#[derive(Debug, Clone)]
pub struct TxnView(Arc<Mutex<Txn>>);

impl TxnView {
    /// The view of `txn`.
    pub fn new(txn: Txn) -> Self {
        Self(Arc::new(Mutex::new(txn)))
    }

    /// The transaction; `None` while there are other clones, or rows.
    pub fn into_txn(self) -> Option<Txn> {
        Arc::into_inner(self.0).map(Mutex::into_inner)
    }
}

impl StateView for TxnView {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.0.lock().read_with(key, |found| found.map(|found| value.set(found)).is_some())
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        let rows = self.0.lock().rows(range, direction)?;
        Ok(Box::new(TransactionRows { txn: Arc::clone(&self.0), rows }))
    }
}

struct TransactionRows {
    txn: Arc<Mutex<Txn>>,
    rows: TxnRows,
}

impl StateRows for TransactionRows {
    fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.rows.peek(&mut self.txn.lock())
    }

    fn advance(&mut self) {
        self.rows.advance();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mvcc::MvccStore;
    use supervm_plugin_sdk::ErrorKind;

    /// Keys "b", "d", "f" and "h", of which a transaction walks `passed` and the one after them; then another writes `changed`.
    fn conflicts(direction: Direction, passed: usize, changed: &[u8]) -> bool {
        let store = MvccStore::new();
        let mut txn = store.begin();
        for key in [b"b", b"d", b"f", b"h"] {
            txn.write(key, b"old").expect("in memory");
        }
        txn.commit().expect("alone");
        let mut view = TxnView::new(store.begin());
        let mut rows = view.rows(KeyRange::new(b"a", Some(b"i")), direction).expect("in memory");
        for _ in 0..passed {
            assert!(rows.peek().expect("in memory").is_some());
            rows.advance();
        }
        rows.peek().expect("in memory");
        let mut other = store.begin();
        other.write(changed, b"new").expect("in memory");
        other.commit().expect("first");
        drop(rows);
        let mut txn = view.into_txn().expect("the only view");
        txn.write(b"elsewhere", b"").expect("in memory");
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
            txn.write(key, b"old").expect("in memory");
        }
        txn.commit().expect("alone");
        let mut txn = store.begin();
        txn.delete(b"b").expect("in memory");
        txn.write(b"d", b"own").expect("in memory");
        let mut other = store.begin();
        other.write(b"a", b"later").expect("in memory");
        other.write(b"e", b"later").expect("in memory");
        other.commit().expect("first");
        for direction in [Direction::Forward, Direction::Reverse] {
            let mut view = TxnView::new(txn);
            let mut rows = view.rows(KeyRange::ALL, direction).expect("in memory");
            let mut found = Vec::new();
            while let Some((key, value)) = rows.peek().expect("in memory") {
                found.push((key.to_vec(), value.to_vec()));
                rows.advance();
            }
            if direction == Direction::Reverse {
                found.reverse();
            }
            let expected = [("a", "old"), ("c", "old"), ("d", "own")];
            assert_eq!(found, expected.map(|(key, value)| (key.into(), value.into())));
            drop(rows);
            txn = view.into_txn().expect("the only view");
        }
    }
}
