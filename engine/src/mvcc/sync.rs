//! The locks that the store and the schedulers are made of.
//!
//! With the feature `shuttle` a test's scheduler controls them: `parking_lot` is then Shuttle's crate of that shape, which has no
//! condition variable.

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::Condvar;

#[cfg(feature = "shuttle")]
pub(crate) use any_time::Condvar;

#[cfg(feature = "shuttle")]
mod any_time {
    use parking_lot::MutexGuard;
    use std::time::Instant;

    /// A condition variable that wakes at any time, which every waiter has to expect of one.
    #[derive(Default)]
    pub(crate) struct Condvar;

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn notify_all(&self) {}

        pub(crate) fn notify_one(&self) {}

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
        }

        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) {
            self.wait(guard);
        }
    }
}
