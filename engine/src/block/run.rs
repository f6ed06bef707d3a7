//! One block being run.

use super::executor::{Ran, Transactions};
use super::limits::BlockLimits;
use super::merged::{Merged, Writes};
use super::pace::Pace;
use super::stats::BlockStats;
use super::trace::Trace;
use super::turns::Turns;
use super::view::BlockView;
use crate::panics;
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// How far ahead of the last merged transaction others are run.
const WINDOW: usize = 64;
/// A worker takes as many transactions at once as run in about this time, so that short ones are not dearer to hand out than to run,
const BURST: Duration = Duration::from_micros(5);
/// but no more than this: none of them sees what the others of a burst write.
const BURST_TRANSACTIONS_MAX: usize = 5;

pub(super) struct Run<'a, T: Transactions> {
    transactions: &'a T,
    limits: BlockLimits,
    merged: Arc<Merged>,
    /// For each transaction the one whose writes it says it needs.
    predecessors: Vec<Option<usize>>,
    turns: Turns,
    /// What waits for its turn.
    slots: Vec<Mutex<Slot<T::Output>>>,
    /// Whoever holds it merges. What stands above is read all the time, and the lock is tried as often.
    merging: CachePadded<Mutex<Merging<T::Output>>>,
}

/// What is known of a transaction that is not merged.
enum Slot<T> {
    /// Nobody has taken it, or somebody runs it.
    Empty,
    /// It was taken, and nothing was gained by running it ahead.
    InTurn,
    /// It was run ahead; what it did and what that rests on.
    Ahead(Trace, Result<Prepared<T>>),
}

/// What a run of a transaction came to, ready to be merged.
struct Prepared<T> {
    output: T,
    writes: Writes,
}

struct Merging<T> {
    outputs: Vec<T>,
    /// What the merged transactions change together; see [`BlockLimits`].
    block_bytes: usize,
    stats: BlockStats,
    pace: Pace,
    failure: Option<Error>,
}

impl<'a, T: Transactions> Run<'a, T> {
    pub(super) fn new(
        transactions: &'a T,
        merged: &Arc<Merged>,
        predecessors: Vec<Option<usize>>,
        pace: Pace,
    ) -> Self {
        let count = transactions.len();
        let limit = limit(0, &pace).min(count);
        let stats = BlockStats { transactions: count as u64, ..BlockStats::default() };
        let outputs = Vec::with_capacity(count);
        let merging = Merging { outputs, block_bytes: 0, stats, pace, failure: None };
        Self {
            transactions,
            limits: transactions.limits().bounded(),
            merged: Arc::clone(merged),
            predecessors,
            turns: Turns::new(count, limit),
            slots: (0..count).map(|_| Mutex::new(Slot::Empty)).collect(),
            merging: CachePadded::new(Mutex::new(merging)),
        }
    }

    /// Will the whole block run one by one?
    pub(super) fn is_one_by_one(&self) -> bool {
        self.merging.lock().pace.one_by_one() >= self.transactions.len()
    }

    /// Runs all transactions on this thread, each at its turn.
    pub(super) fn one_by_one(&self, view: &BlockView) {
        let worker = &mut self.transactions.worker();
        let mut merging = self.merging.lock();
        let count = self.transactions.len();
        for index in 0..count {
            merging.stats.in_turn += 1;
            let ran = self.run(worker, index, view, true);
            if !self.merge(&mut merging, index, ran) {
                return;
            }
        }
        merging.pace.ran_one_by_one(count);
    }

    /// Runs and merges transactions until none is left; called by several threads.
    pub(super) fn work(&self, view: &BlockView) {
        let worker = &mut self.transactions.worker();
        let mut burst = 1;
        loop {
            // Before the first transaction that runs one by one, nobody has taken one.
            self.merge_all(worker, view);
            if self.turns.is_over() {
                return;
            }
            let Some(taken) = self.turns.take(burst) else {
                self.turns.wait();
                continue;
            };
            let (count, start) = (taken.len(), Instant::now());
            for index in taken {
                let ran = self.run_ahead(worker, index, view);
                *self.slots[index].lock() = ran;
            }
            burst = next_burst(count, start.elapsed());
        }
    }

    /// What was done, in the transactions' order.
    pub(super) fn finish(self) -> Result<(Vec<T::Output>, BlockStats, Pace)> {
        let Merging { outputs, stats, pace, failure, .. } = self.merging.into_inner().into_inner();
        match failure {
            Some(failure) => Err(failure),
            None => Ok((outputs, stats, pace)),
        }
    }

    fn run_ahead(&self, worker: &mut T::Worker, index: usize, view: &BlockView) -> Slot<T::Output> {
        if self.predecessors[index].is_some_and(|before| before >= self.merged.front()) {
            return Slot::InTurn;
        }
        let ran = self.run(worker, index, view, false);
        Slot::Ahead(view.take_trace(), ran)
    }

    fn run(
        &self,
        worker: &mut T::Worker,
        index: usize,
        view: &BlockView,
        is_exact: bool,
    ) -> Result<Prepared<T::Output>> {
        view.begin(is_exact);
        caught(index, || {
            let Ran { output, writes } = self.transactions.run(worker, index, view)?;
            // IMPORTANT: by who runs it, so that who merges others meanwhile waits for no backend.
            Ok(Prepared { output, writes: view.prepare(&writes)? })
        })
    }

    /// Merges what waits for its turn, unless somebody else does.
    fn merge_all(&self, worker: &mut T::Worker, view: &BlockView) {
        loop {
            let Some(mut merging) = self.merging.try_lock() else { return };
            while self.merge_next(&mut merging, worker, view) {}
            self.let_run(&merging.pace);
            drop(merging);
            // Whoever put something there meanwhile found the lock taken.
            if !self.is_next_waiting() {
                return;
            }
        }
    }

    fn is_next_waiting(&self) -> bool {
        let next = self.slots.get(self.merged.front());
        !self.turns.is_over() && next.is_some_and(|slot| !matches!(*slot.lock(), Slot::Empty))
    }

    /// Merges the next transaction, if it was run ahead or is to be run one by one; `false` otherwise.
    fn merge_next(
        &self,
        merging: &mut Merging<T::Output>,
        worker: &mut T::Worker,
        view: &BlockView,
    ) -> bool {
        let index = self.merged.front();
        if self.turns.is_over() || index == self.slots.len() {
            self.turns.end();
            return false;
        }
        let slot = std::mem::replace(&mut *self.slots[index].lock(), Slot::Empty);
        let Merging { stats, pace, .. } = merging;
        let ran = match slot {
            Slot::Ahead(trace, Ok(ran)) if self.merged.is_current(&trace) => {
                stats.ran_ahead += 1;
                pace.ran_ahead(false);
                Ok(ran)
            }
            Slot::Ahead(..) => {
                stats.reruns += 1;
                pace.ran_ahead(true);
                self.let_run(pace);
                self.run(worker, index, view, true)
            }
            Slot::InTurn => {
                stats.in_turn += 1;
                self.let_run(pace);
                self.run(worker, index, view, true)
            }
            Slot::Empty if pace.one_by_one() > 0 && self.turns.take_at(index) => {
                stats.in_turn += 1;
                pace.ran_one_by_one(1);
                self.run(worker, index, view, true)
            }
            Slot::Empty => return false,
        };
        self.merge(merging, index, ran)
    }

    /// Lets others take as many transactions as may be run ahead of what is merged. Not after each merge, for the others look at it all the time.
    fn let_run(&self, pace: &Pace) {
        self.turns.set_limit(limit(self.merged.front(), pace));
    }

    /// Merges what a transaction did, unless that is too much; a failure ends the block, and is `false`.
    fn merge(
        &self,
        merging: &mut Merging<T::Output>,
        index: usize,
        ran: Result<Prepared<T::Output>>,
    ) -> bool {
        let merged = ran.and_then(|Prepared { output, writes }| {
            match self.merged.merge(index, writes, &mut merging.block_bytes, &self.limits) {
                None => Ok(output),
                Some(refusal) => {
                    caught(index, || Ok(self.transactions.refuse(index, output, &refusal)))
                }
            }
        });
        match merged {
            Ok(output) => {
                merging.outputs.push(output);
                true
            }
            Err(error) => {
                merging.failure = Some(error.with("transaction", index));
                self.turns.end();
                false
            }
        }
    }
}

/// What `run` gives; a panic is an error.
fn caught<R>(index: usize, run: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let message = format!("transaction {index} panicked: {}", panics::message(payload));
        Err(Error::new(ErrorKind::Internal, "run block", message))
    })
}

/// Up to where transactions may be taken when `front` are merged. None while they run one by one: who merges takes them.
fn limit(front: usize, pace: &Pace) -> usize {
    if pace.one_by_one() > 0 { front } else { front + WINDOW }
}

/// How many transactions to take when `count` took `time`.
fn next_burst(count: usize, time: Duration) -> usize {
    let within = BURST.as_nanos() * count as u128 / time.as_nanos().max(1);
    within.clamp(1, BURST_TRANSACTIONS_MAX as u128) as usize
}
