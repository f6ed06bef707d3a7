//! The view that a call reads when nobody hands it one.

use crate::state::StateView;
use crate::storage::{Snapshot, Storage};
use std::cell::OnceCell;
use supervm_plugin_sdk::{ByteBuf, Capability, Cursor, Direction, KeyRange, Result};

/// The storage as it is at the call's first read; a call that reads nothing opens no snapshot.
///
/// On a backend without snapshots each read is of its own moment.
pub(super) struct CallView {
    storage: Storage,
    snapshot: OnceCell<Snapshot>,
}

impl CallView {
    pub(super) fn new(storage: Storage) -> Self {
        Self { storage, snapshot: OnceCell::new() }
    }

    fn beneath(&self) -> Result<&dyn StateView> {
        if !self.storage.capabilities().has(Capability::Snapshot) {
            return Ok(&self.storage);
        }
        if self.snapshot.get().is_none() {
            let opened = self.storage.snapshot()?;
            return Ok(self.snapshot.get_or_init(|| opened));
        }
        Ok(self.snapshot.get().expect("it is there"))
    }
}

impl StateView for CallView {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.beneath()?.get(key, value)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        self.beneath()?.cursor(range, direction)
    }
}
