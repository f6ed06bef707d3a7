//! Turns: what may run beside other calls, and what runs alone.
//!
//! Calls that may conflict with each other share a turn. A block, a deployment, and a call that conflicted too often each have one alone, so
//! that nothing is deployed, and no call commits, while a block runs.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

thread_local! {
    /// The turns that this thread has, by the numbers of what they are turns of.
    static HELD: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The turns of one runtime.
pub(super) struct Turns {
    number: u64,
    lock: RwLock<()>,
}

/// A turn; ends when it is dropped.
pub(super) struct Turn<'a> {
    number: u64,
    _guard: Guard<'a>,
}

#[expect(dead_code, reason = "held, not read")]
enum Guard<'a> {
    Shared(RwLockReadGuard<'a, ()>),
    Alone(RwLockWriteGuard<'a, ()>),
}

impl Turns {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), lock: RwLock::new(()) }
    }

    /// A turn beside others, once nothing runs alone.
    ///
    /// # Errors
    /// As [`alone`](Self::alone).
    pub(super) fn shared(&self, operation: &'static str) -> Result<Turn<'_>> {
        self.begin(operation, || Guard::Shared(self.lock.read()))
    }

    /// A turn alone, once nothing else runs.
    ///
    /// # Errors
    /// `InvalidArgument` on a thread that has a turn: it would wait for itself.
    pub(super) fn alone(&self, operation: &'static str) -> Result<Turn<'_>> {
        self.begin(operation, || Guard::Alone(self.lock.write()))
    }

    fn begin<'a>(
        &self,
        operation: &'static str,
        wait: impl FnOnce() -> Guard<'a>,
    ) -> Result<Turn<'a>> {
        if HELD.with_borrow(|held| held.contains(&self.number)) {
            let refused = "a call of this runtime is being committed on this thread; begin after it has ended";
            return Err(Error::new(ErrorKind::InvalidArgument, operation, refused));
        }
        let guard = wait();
        HELD.with_borrow_mut(|held| held.push(self.number));
        Ok(Turn { number: self.number, _guard: guard })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|number| *number != self.number));
    }
}
