//! Who runs which transaction next, and waiting for a turn.

use super::crew::PATIENCE;
use crate::sync::Condvar;
use crossbeam_utils::{Backoff, CachePadded};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Hands out the transactions of a block, each once, in order.
pub(super) struct Turns {
    count: usize,
    /// The next transaction that is taken.
    next: CachePadded<AtomicUsize>,
    /// Transactions below it may be taken.
    limit: CachePadded<AtomicUsize>,
    is_over: AtomicBool,
    waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Turns {
    pub(super) fn new(count: usize, limit: usize) -> Self {
        Self {
            count,
            next: CachePadded::default(),
            limit: CachePadded::new(AtomicUsize::new(limit)),
            is_over: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Takes the next transactions, at most `most`; `None` while none may be taken.
    pub(super) fn take(&self, most: usize) -> Option<Range<usize>> {
        let mut next = self.next.load(Ordering::Acquire);
        loop {
            let end = (next + most).min(self.limit.load(Ordering::Acquire));
            if end <= next {
                return None;
            }
            match self.next.compare_exchange_weak(next, end, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(next..end),
                Err(newer) => next = newer,
            }
        }
    }

    /// Takes the transaction at `index` if it is the next one, whatever the limit; for who merges.
    pub(super) fn take_at(&self, index: usize) -> bool {
        self.next.compare_exchange(index, index + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Lets transactions below `limit` be taken.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit.min(self.count), Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 && self.may_go_on() {
            self.wake();
        }
    }

    /// Ends the block, all of it merged or not.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Waits until there may be something to take, or the block is over.
    pub(super) fn wait(&self) {
        let (backoff, begin) = (Backoff::new(), Instant::now());
        while begin.elapsed() < PATIENCE {
            if self.may_go_on() {
                return;
            }
            // Spins at first, and soon lets others go first each time.
            backoff.snooze();
        }
        let mut locked = self.lock.lock();
        // IMPORTANT: before the last look, so that whoever changes something after it wakes this thread.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !self.may_go_on() {
            self.changed.wait(&mut locked);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn may_go_on(&self) -> bool {
        self.is_over() || self.next.load(Ordering::SeqCst) < self.limit.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        // Whoever has looked and not begun to wait holds the lock.
        drop(self.lock.lock());
        self.changed.notify_all();
    }
}
