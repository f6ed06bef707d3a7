//! Permission to run: as many calls at once as the instance pool has room for.

use crate::sync::Condvar;
use parking_lot::Mutex;

/// Counts free places. Whoever finds none waits, so that a full pool is never an error.
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
        let mut free = self.free.lock();
        while *free == 0 {
            self.returned.wait(&mut free);
        }
        *free -= 1;
        Permit(self)
    }
}

/// A place in the pool.
pub(super) struct Permit<'a>(&'a Permits);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.returned.notify_one();
    }
}
