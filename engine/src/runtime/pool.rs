//! Permission to run: as many calls at once as the instance pool has room for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Counts free places. Whoever finds none waits, so that a full pool is never an error.
#[derive(Debug)]
pub(super) struct Permits {
    free: Mutex<u32>,
    returned: Condvar,
}

impl Permits {
    pub(super) fn new(places: u32) -> Self {
        Self { free: Mutex::new(places), returned: Condvar::new() }
    }

    /// Waits for a place and takes it until the permit is dropped.
    pub(super) fn acquire(&self) -> Permit<'_> {
        let free = self.returned.wait_while(self.lock(), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Permit(self)
    }

    /// A count is never half-changed, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, u32> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the pool.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a Permits);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.returned.notify_one();
    }
}
