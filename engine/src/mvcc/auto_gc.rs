//! The thread that collects garbage.

use super::config::AutoGcConfig;
use super::inner::Inner;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The thread, when there is one. Dropping it stops the thread.
///
/// A pass looks at the stop flag between the shards of the index, so stopping takes as long as one shard.
#[derive(Default)]
pub(super) struct AutoGc(Mutex<Option<Running>>);

struct Running {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    inner: Arc<Inner>,
    config: Mutex<AutoGcConfig>,
    stop: AtomicBool,
}

impl AutoGc {
    /// Begins, or goes on with `config` when it runs already.
    pub(super) fn start(&self, inner: &Arc<Inner>, config: AutoGcConfig) {
        let mut running = self.0.lock();
        if let Some(running) = &*running {
            running.shared.update(config);
            return;
        }
        let shared = Arc::new(Shared {
            inner: Arc::clone(inner),
            config: Mutex::new(config),
            stop: AtomicBool::new(false),
        });
        shared.update(config);
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("supervm-gc".to_owned()).spawn(move || of_thread.run());
        // Without a thread garbage stays until someone collects it; that is no reason to fail.
        match thread {
            Ok(thread) => *running = Some(Running { shared, thread }),
            Err(error) => tracing::error!(%error, "no thread for garbage collection"),
        }
    }

    /// Ends the thread and waits for that; no effect without one.
    pub(super) fn stop(&self) {
        let Some(Running { shared, thread }) = self.0.lock().take() else { return };
        shared.inner.garbage.threshold.store(0, Ordering::Relaxed);
        shared.stop.store(true, Ordering::Relaxed);
        shared.wake();
        if thread.join().is_err() {
            tracing::error!("the thread for garbage collection panicked");
        }
    }

    /// Takes effect at once; no effect without a thread.
    pub(super) fn update(&self, config: AutoGcConfig) {
        if let Some(running) = &*self.0.lock() {
            running.shared.update(config);
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.lock().is_some()
    }
}

impl Drop for AutoGc {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for AutoGc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AutoGc({})", if self.is_running() { "running" } else { "stopped" })
    }
}

impl Shared {
    fn update(&self, config: AutoGcConfig) {
        *self.config.lock() = config;
        let threshold = config.version_threshold.unwrap_or(0);
        self.inner.garbage.threshold.store(threshold, Ordering::Relaxed);
        self.wake();
    }

    /// IMPORTANT: under the lock of what the thread waits for, or a wake-up just before it waits is lost.
    fn wake(&self) {
        let _is_wanted = self.inner.garbage.is_wanted.lock();
        self.inner.garbage.wanted.notify_all();
    }

    fn run(&self) {
        if self.config.lock().run_on_start {
            self.inner.collect(Some(&self.stop));
        }
        let mut last_pass = Instant::now();
        loop {
            if !self.wait(last_pass) {
                return;
            }
            self.inner.collect(Some(&self.stop));
            last_pass = Instant::now();
        }
    }

    /// Returns `true` when it is time for a pass, and `false` when it is time to end.
    fn wait(&self, last_pass: Instant) -> bool {
        let garbage = &self.inner.garbage;
        let mut is_wanted = garbage.is_wanted.lock();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            // `None` = later than time can be told.
            let due = last_pass.checked_add(self.config.lock().interval);
            // Who asked for it while a pass was running may have what they wanted from that one.
            let is_wanted_still = std::mem::take(&mut *is_wanted) && garbage.is_much();
            if is_wanted_still || due.is_some_and(|due| due <= Instant::now()) {
                return true;
            }
            match due {
                Some(due) => {
                    garbage.wanted.wait_until(&mut is_wanted, due);
                }
                None => garbage.wanted.wait(&mut is_wanted),
            }
        }
    }
}
