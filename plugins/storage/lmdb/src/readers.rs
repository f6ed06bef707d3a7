//! Read transactions that are kept between two calls of `get`.
//!
//! Beginning a read transaction allocates it, takes a lock that all threads share and searches a table for a free slot. One
//! that was kept is as good as a new one as long as nothing was committed since it began, so each slot here keeps one
//! and replaces it when it is older than the last commit.
//!
//! A kept transaction holds back the reuse of the pages of its own version, and LMDB never reuses those of the last commit
//! anyway. So a kept reader costs space only while it is old; after each commit [`Readers::advance`] ends the old ones.

use heed::{RoTxn, WithoutTls};
use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_plugin_sdk::Result;

/// Calls of `get` that run at the same time; one more waits until one of them ends.
pub(crate) const GET_READERS: usize = 96;

/// A read transaction that owns its environment and may move between threads.
pub(crate) type ReadTxn = RoTxn<'static, WithoutTls>;

pub(crate) struct Readers {
    slots: Box<[Slot]>,
    /// The id of the last commit that a `get` has to see.
    committed: AtomicUsize,
}

/// Alone on its cache lines, so that two threads in two slots do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
struct Slot(Mutex<Option<ReadTxn>>);

impl Readers {
    /// No reader begun; the storage's last commit is `committed`.
    pub(crate) fn new(committed: usize) -> Self {
        let slots = (0..GET_READERS).map(|_| Slot::default()).collect();
        Self { slots, committed: AtomicUsize::new(committed) }
    }

    /// Runs `read` in a transaction that sees every commit told to [`advance`](Self::advance) (clause 14); `begin` makes one.
    #[inline]
    pub(crate) fn read<T>(
        &self,
        begin: impl FnOnce() -> Result<ReadTxn>,
        read: impl FnOnce(&ReadTxn) -> Result<T>,
    ) -> Result<T> {
        let committed = self.committed.load(Ordering::Acquire);
        let mut slot = self.free_slot();
        if let Some(kept) = &*slot
            && kept.id() >= committed
        {
            return read(kept);
        }
        // The old one ends first, so that a slot never has two readers of the table.
        *slot = None;
        read(slot.insert(begin()?))
    }

    /// `committed` is the last commit. Called by the writer, before it returns to its caller.
    pub(crate) fn advance(&self, committed: usize) {
        // IMPORTANT: published first, so that no slot keeps an older transaction once it was looked at below.
        self.committed.store(committed, Ordering::Release);
        for slot in &self.slots {
            // A slot in use is looked at after the next commit.
            if let Some(mut slot) = slot.0.try_lock() {
                let _ended = slot.take_if(|kept| kept.id() < committed);
            }
        }
    }

    #[inline]
    fn free_slot(&self) -> MutexGuard<'_, Option<ReadTxn>> {
        let own = thread_number() % GET_READERS;
        if let Some(slot) = self.slots[own].0.try_lock() {
            return slot;
        }
        self.other_free_slot(own)
    }

    #[cold]
    fn other_free_slot(&self, own: usize) -> MutexGuard<'_, Option<ReadTxn>> {
        let (before, from) = self.slots.split_at(own);
        let free = from.iter().chain(before).find_map(|slot| slot.0.try_lock());
        // A `get` holds its slot for one lookup and waits for nothing meanwhile, so this wait is short.
        free.unwrap_or_else(|| self.slots[own].0.lock())
    }
}

/// The number of this thread, so that each begins with a slot of its own.
#[inline]
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let next = THREADS.fetch_add(1, Ordering::Relaxed);
            number.set(Some(next));
            next
        })
    })
}
