//! Syncs that take as long as a case wants.

use super::Calls;
use super::system::Observer;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The one gate of this process: the observer is a plain function.
static GATE: Mutex<Gate> = Mutex::new(Gate { is_closed: false, held: 0 });
static CHANGED: Condvar = Condvar::new();

struct Gate {
    is_closed: bool,
    /// Syncs that wait for it to open.
    held: usize,
}

/// Keeps the syncs of the files that are watched from returning, until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldSyncs(Calls);

impl HeldSyncs {
    pub(crate) fn begin(calls: Calls) -> Self {
        gate().is_closed = true;
        let observer: Observer = hold;
        calls.0.observe(Some(observer));
        Self(calls)
    }

    /// Is a sync held within `patience`?
    pub(crate) fn await_one(&self, patience: Duration) -> bool {
        let none_is_held = |gate: &mut Gate| gate.held == 0;
        let waited = CHANGED.wait_timeout_while(gate(), patience, none_is_held);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.0.0.observe(None);
        gate().is_closed = false;
        CHANGED.notify_all();
    }
}

fn gate() -> MutexGuard<'static, Gate> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn hold(_: i32, _: i64, _: usize) {
    let mut gate = gate();
    gate.held += 1;
    CHANGED.notify_all();
    let opened = CHANGED.wait_while(gate, |gate| gate.is_closed);
    opened.unwrap_or_else(PoisonError::into_inner).held -= 1;
}
