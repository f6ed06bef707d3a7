//! Transactions from any thread.

use super::events::EventLog;
use super::retry::{Jitter, RetryPolicy};
use super::stats::{ExecutionStats, Tally, is_conflict};
use crate::layout::Version;
use crate::mvcc::{Clock, Isolation, MvccStore, Txn};
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use supervm_plugin_sdk::Result;

/// How a [`ParallelScheduler`] works.
#[derive(Debug, Clone)]
pub struct ParallelConfig {
    /// How a transaction is tried again after a conflict.
    pub retry: RetryPolicy,
    /// What it rests by before a retry; a manual clock does not rest.
    pub clock: Clock,
    /// Where the random part of the rest begins; `None` = somewhere else each time.
    pub seed: Option<u64>,
    /// Most threads that one batch of reads is divided among, the caller's included; 0 means 1. Default: as many as the machine runs at once.
    pub threads: usize,
}

impl Default for ParallelConfig {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            clock: Clock::default(),
            seed: None,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
        }
    }
}

/// Runs closures as transactions of one store, each as a whole or not at all, and counts how they end.
///
/// Cheap to clone; every clone is the same scheduler. Every method may be called from any thread, and works on the caller's, so what is called from
/// several threads runs in parallel. A panic of a closure is an error of kind `Internal`; nothing of what the closure wrote stays.
///
/// # Examples
/// ```
/// use supervm_engine::mvcc::MvccStore;
/// use supervm_engine::scheduler::ParallelScheduler;
/// let scheduler = ParallelScheduler::new(MvccStore::new());
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             scheduler.execute_with_retry(|txn| {
///                 let count = txn.read(b"count")?.map_or(0, |value| value[0]);
///                 txn.write(b"count", &[count + 1])
///             })
///         });
///     }
/// });
/// assert_eq!(scheduler.batch_read(&["count"])?, [Some(vec![4])]);
/// assert_eq!(scheduler.get_stats().success_rate(), 1.0);
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
#[derive(Clone)]
pub struct ParallelScheduler(Arc<Shared>);

struct Shared {
    store: MvccStore,
    config: ParallelConfig,
    jitter: Jitter,
    tally: Tally,
    events: EventLog,
}

impl ParallelScheduler {
    /// A scheduler of transactions of `store`, with the default configuration.
    pub fn new(store: MvccStore) -> Self {
        Self::new_with_config(store, ParallelConfig::default())
    }

    /// A scheduler of transactions of `store`.
    pub fn new_with_config(store: MvccStore, config: ParallelConfig) -> Self {
        let jitter = Jitter::new(config.seed);
        let (tally, events) = (Tally::default(), EventLog::default());
        Self(Arc::new(Shared { store, config, jitter, tally, events }))
    }

    /// The store whose transactions these are.
    pub fn store(&self) -> &MvccStore {
        &self.0.store
    }

    /// What became of all executions so far. Each call of a method that begins with `execute` or `batch` is one.
    pub fn get_stats(&self) -> ExecutionStats {
        self.0.tally.stats()
    }

    /// Runs `read` on the state of one version, the newest. The fast way to read: nothing is remembered of it, and it never conflicts.
    ///
    /// # Errors
    /// What `read` fails with; `ReadOnly` for a write or a deletion in it, though `read` may pass over that. `Internal` when it panics.
    pub fn execute_with_snapshot<T>(&self, read: impl FnOnce(&mut Txn) -> Result<T>) -> Result<T> {
        let mut txn = self.0.store.begin_read_only();
        self.once("execute with snapshot", move || read(&mut txn))
    }

    /// Runs `run` in a serializable transaction and commits that; again, after a rest, when another transaction got in its way.
    ///
    /// # Behavior
    /// - The outcome is that of some order of all such executions, one by one.
    /// - `run` may be called several times; all but the last leave nothing in the store. What `run` does elsewhere stays, so emit events after
    ///   this has returned.
    /// - An error of `run`, a conflict apart, ends the execution at once and aborts the transaction.
    ///
    /// # Errors
    /// `Conflict` when every try that [`RetryPolicy::tries_max`] allows was refused; what `run` and the commit fail with otherwise. `Internal` when
    /// `run` panics.
    pub fn execute_with_retry<T>(&self, run: impl FnMut(&mut Txn) -> Result<T>) -> Result<T> {
        self.transact("execute with retry", run).map(|(value, _)| value)
    }

    /// Runs `operations` in their order as one transaction, as [`execute_with_retry`](Self::execute_with_retry) does: all of them take effect, or
    /// none. Returns what each returned.
    ///
    /// # Errors
    /// As [`execute_with_retry`](Self::execute_with_retry), with the number of the operation that failed, which begin at 0.
    pub fn execute_batch<T, F>(&self, operations: &mut [F]) -> Result<Vec<T>>
    where
        F: FnMut(&mut Txn) -> Result<T>,
    {
        let run = |txn: &mut Txn| {
            let numbered = operations.iter_mut().enumerate();
            let run_one = |(number, operation): (usize, &mut F)| {
                operation(txn).map_err(|error| error.with("failed_operation", number))
            };
            numbered.map(run_one).collect()
        };
        self.transact("execute batch", run).map(|(values, _)| values)
    }

    /// As [`execute_with_retry`](Self::execute_with_retry), with the version of what was written.
    pub(super) fn transact<T>(
        &self,
        operation: &'static str,
        mut run: impl FnMut(&mut Txn) -> Result<T>,
    ) -> Result<(T, Version)> {
        let Shared { store, config, jitter, tally, .. } = &*self.0;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut txn = store.begin_with(Isolation::Serializable);
            let read_version = txn.read_version();
            let outcome = tally.attempt(operation, || {
                let value = run(&mut txn)?;
                Ok((value, txn.commit()?))
            });
            if !is_conflict(&outcome) || tries >= config.retry.tries_max {
                return tally.ended(outcome);
            }
            config.clock.sleep(jitter.below(config.retry.delay_bound(tries)));
            // What it conflicts with may still be on its way to the disk.
            store.wait_for_newer(read_version);
            tally.retries.add(1);
        }
    }

    /// Runs what cannot conflict.
    pub(super) fn once<T>(
        &self,
        operation: &'static str,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let tally = &self.0.tally;
        tally.ended(tally.attempt(operation, run))
    }

    pub(super) fn events(&self) -> &EventLog {
        &self.0.events
    }

    pub(super) fn threads(&self) -> usize {
        self.0.config.threads.max(1)
    }
}

impl fmt::Debug for ParallelScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelScheduler")
            .field("store", &self.0.store)
            .field("config", &self.0.config)
            .field("stats", &self.get_stats())
            .finish_non_exhaustive()
    }
}
