//! The view that a call reads when nobody hands it one.

use crate::mvcc::MvccStore;
use crate::state::{StateRows, StateView, TxnView};
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

/// The state as it is at the call's first read; a call that reads nothing begins no transaction.
pub(super) struct CallView {
    store: MvccStore,
    begun: Option<TxnView>,
}

impl CallView {
    pub(super) fn new(store: MvccStore) -> Self {
        Self { store, begun: None }
    }

    fn beneath(&mut self) -> &mut TxnView {
        self.begun.get_or_insert_with(|| TxnView::new(self.store.begin_read_only()))
    }
}

impl StateView for CallView {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.beneath().get(key, value)
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        self.beneath().rows(range, direction)
    }
}
