//! A key as the block has it so far.

use crate::keyed::keyed;
use crate::mvcc::{self, Value, change_bytes};
use parking_lot::{Mutex, MutexGuard};
use triomphe::Arc;

/// Which transaction of the block a value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Writer(u32);

impl Writer {
    /// None: the state before the block.
    pub(super) const BEFORE_BLOCK: Self = Self(0);

    /// The transaction at `index`.
    pub(super) fn transaction(index: usize) -> Self {
        Self(index as u32 + 1)
    }

    /// Is it the state before the block, or one of the first `count` transactions?
    pub(super) fn is_within(self, count: usize) -> bool {
        self.0 as usize <= count
    }
}

/// A key with its newest merged value; clones are the same cell.
#[derive(Clone)]
pub(super) struct Cell(Arc<Content>);

struct Content {
    key: Box<[u8]>,
    slot: Mutex<Slot>,
}

/// What a cell holds.
pub(super) struct Slot {
    pub(super) value: Value,
    pub(super) writer: Writer,
    /// The key's cell in the store, when it was met on the way to the value before the block.
    pub(super) stored: Option<mvcc::Cell>,
}

impl Slot {
    /// What a block that changes `block_bytes` changes when it writes `value` to this key too.
    pub(super) fn block_bytes_with(&self, key: &[u8], value: &Value, block_bytes: usize) -> usize {
        debug_assert!(self.value.is_loaded(), "what is merged was prepared");
        let (old, new) = (self.value.len(), value.len());
        match self.writer {
            Writer::BEFORE_BLOCK => block_bytes + change_bytes(key, old, new),
            // The key is counted, with what was there before the block; of the last value only the newest.
            _ => block_bytes + new - old,
        }
    }
}

impl Cell {
    /// A cell whose value has not been asked for.
    pub(super) fn new(key: &[u8]) -> Self {
        let slot = Slot { value: Value::UNLOADED, writer: Writer::BEFORE_BLOCK, stored: None };
        Self(Arc::new(Content { key: key.into(), slot: Mutex::new(slot) }))
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.0.key
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.slot.lock()
    }

    pub(super) fn writer(&self) -> Writer {
        self.lock().writer
    }
}

keyed!(Cell);
