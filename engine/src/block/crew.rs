//! Threads that work together with the caller's.
//!
//! A thread that sleeps takes 50 us to wake, or a millisecond where processors are shared with other machines: as long as a short block takes.
//! So a thread that has worked looks out for more work for a while before it sleeps.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// How long a thread looks out for more work, or for its turn, before it sleeps; longer than most commits take that have no disk to wait for.
pub(super) const PATIENCE: Duration = Duration::from_micros(200);

pub(super) struct Crew {
    /// The threads besides the caller's.
    pool: ThreadPool,
    /// How often there was work.
    calls: Arc<AtomicU64>,
}

impl Crew {
    /// A crew of `threads`, at least two, of which the caller's is one.
    pub(super) fn new(threads: usize) -> Result<Self> {
        let named = |nth| format!("supervm-block-{nth}");
        let pool = ThreadPoolBuilder::new().num_threads(threads - 1).thread_name(named).build();
        let pool = pool.map_err(|error| {
            Error::new(ErrorKind::Io, "start block executor", error.to_string())
                .with("threads", threads)
        })?;
        Ok(Self { pool, calls: Arc::default() })
    }

    /// Calls `work` on each thread, the caller's included, but on `most` at most; returns when all calls have.
    pub(super) fn work(&self, most: usize, work: &(dyn Fn() + Sync)) {
        let others = self.pool.current_num_threads().min(most.saturating_sub(1));
        self.pool.in_place_scope(|scope| {
            for _ in 0..others {
                scope.spawn(|_| work());
            }
            // IMPORTANT: after the work was handed out, for who looks out takes it now, or goes to sleep without it.
            self.calls.fetch_add(1, Ordering::Release);
            work();
        });
        let seen = self.calls.load(Ordering::Acquire);
        for _ in 0..others {
            let calls = Arc::clone(&self.calls);
            self.pool.spawn(move || look_out(&calls, seen));
        }
    }
}

/// Returns when there is more work, or after a while.
fn look_out(calls: &AtomicU64, seen: u64) {
    let begin = Instant::now();
    while calls.load(Ordering::Acquire) == seen && begin.elapsed() < PATIENCE {
        // Where threads are more than processors, others go first.
        yield_now();
    }
}
