//! Threads that have nothing to do, asleep until there is something.

use crate::sync::Condvar;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

pub(super) struct Idle {
    asleep: AtomicUsize,
    lock: Mutex<()>,
    woken: Condvar,
}

impl Idle {
    pub(super) fn new() -> Self {
        Self { asleep: AtomicUsize::new(0), lock: Mutex::new(()), woken: Condvar::new() }
    }

    /// Sleeps until `is_over` holds; whoever makes it hold has to wake.
    pub(super) fn sleep_until(&self, is_over: impl Fn() -> bool) {
        let mut guard = self.lock.lock();
        // IMPORTANT: said before the look, and a waker changes things before it asks who sleeps; so one of the two sees the other.
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while !is_over() {
            self.woken.wait(&mut guard);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }

    /// Does anyone sleep, or is about to, who may not have seen what the caller has changed?
    #[inline]
    pub(super) fn anyone_sleeps(&self) -> bool {
        // IMPORTANT: what the caller changed has left its processor before it asks. A push to a thread's own queue is no more than a release.
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::SeqCst) > 0
    }

    pub(super) fn wake_one(&self) {
        if self.anyone_sleeps() {
            let _between_look_and_wait = self.lock.lock();
            self.woken.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        if self.anyone_sleeps() {
            let _between_look_and_wait = self.lock.lock();
            self.woken.notify_all();
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn a_thread_that_sleeps_looks_once_before_and_once_each_time_that_it_is_woken() {
        let (idle, is_over, looks) = (Idle::new(), AtomicBool::new(false), AtomicUsize::new(0));
        let wait_for_looks = |count| {
            while looks.load(Ordering::SeqCst) < count {
                thread::yield_now();
            }
            // The one that looked holds the lock until it waits.
            drop(idle.lock.lock());
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                idle.sleep_until(|| {
                    looks.fetch_add(1, Ordering::SeqCst);
                    is_over.load(Ordering::SeqCst)
                });
            });
            wait_for_looks(1);
            assert!(idle.anyone_sleeps());
            idle.wake_one();
            wait_for_looks(2);
            is_over.store(true, Ordering::SeqCst);
            idle.wake_all();
        });
        assert_eq!(looks.into_inner(), 3);
        assert!(!idle.anyone_sleeps());
    }
}
