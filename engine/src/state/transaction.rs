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
