//! What a scheduler counts, and how it keeps panics to themselves.

use crate::mvcc::Counter;
use crate::panics;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// What became of what a scheduler was given to execute: transactions, batches or tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ExecutionStats {
    /// Executions that succeeded, however many tries they took.
    pub successful: u64,
    /// Executions that ended in an error or a panic.
    pub failed: u64,
    /// Tries that panicked. A panic is not tried again, so each of them is one of `failed`.
    pub panicked: u64,
    /// Tries that were refused because another transaction got there first.
    pub conflicts: u64,
    /// Tries after an execution's first.
    pub retries: u64,
    /// Tasks that one thread took from another thread's queue.
    pub stolen: u64,
}

impl ExecutionStats {
    /// Executions that have ended.
    pub fn executions(&self) -> u64 {
        self.successful + self.failed
    }

    /// The part of the executions that succeeded, from 0 to 1; 1 when there was none, because nothing has failed.
    pub fn success_rate(&self) -> f64 {
        match self.executions() {
            0 => 1.0,
            executions => self.successful as f64 / executions as f64,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.successful += other.successful;
        self.failed += other.failed;
        self.panicked += other.panicked;
        self.conflicts += other.conflicts;
        self.retries += other.retries;
        self.stolen += other.stolen;
    }
}

/// [`ExecutionStats`] that many threads add to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    successful: Counter,
    failed: Counter,
    panicked: Counter,
    conflicts: Counter,
    pub(super) retries: Counter,
    pub(super) stolen: Counter,
}

impl Tally {
    /// Tries `run` once: counts a conflict, and turns a panic into an error.
    ///
    /// `AssertUnwindSafe`: a transaction is dropped by the panic, and with it all that it wrote; what else the caller shares with `run` is
    /// theirs to judge.
    pub(super) fn attempt<T>(
        &self,
        operation: &'static str,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
            self.panicked.add(1);
            let message = format!("panicked: {}", panics::message(payload));
            Err(Error::new(ErrorKind::Internal, operation, message))
        });
        if is_conflict(&outcome) {
            self.conflicts.add(1);
        }
        outcome
    }

    /// Counts how an execution ended.
    pub(super) fn ended<T>(&self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(_) => self.successful.add(1),
            Err(_) => self.failed.add(1),
        }
        outcome
    }

    pub(super) fn stats(&self) -> ExecutionStats {
        ExecutionStats {
            successful: self.successful.get(),
            failed: self.failed.get(),
            panicked: self.panicked.get(),
            conflicts: self.conflicts.get(),
            retries: self.retries.get(),
            stolen: self.stolen.get(),
        }
    }
}

/// Returns `true` for a conflict, or for a transaction that became too old for memory: a new one may
/// meet neither.
pub(super) fn is_conflict<T>(outcome: &Result<T>) -> bool {
    let begins_anew = [ErrorKind::Conflict, ErrorKind::SnapshotExpired];
    outcome.as_ref().is_err_and(|error| begins_anew.contains(&error.kind()))
}
