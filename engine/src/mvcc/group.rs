//! Group commit: one write to the backend for all transactions that wait.
//!
//! Whoever commits finds either nobody writing, and then becomes the *writer*; or somebody writing, and then waits. The writer writes the
//! oldest batch that waits, which need not have its own commit, and goes on until its own is written and some more: while
//! the disk syncs one batch the next one collects commits, and the disk does not wait until another thread has woken and taken
//! over. After [`SERVED_MAX`] batches for others the writer's own commit returns, and one of those who wait takes over.
//!
//! A version becomes visible when the batch that has it is written, and with it all before it. A write that fails publishes
//! nothing: what was installed for it stays invisible, and the store takes no more commits.

use super::commit::poisoned;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use super::sequencer::GroupBatch;
use crate::layout::{BlockRecord, Meta, Version};
use crate::sync::Condvar;
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use supervm_plugin_sdk::{Durability, Error, Result};

/// Batches that a writer writes at most after that with its own commit: what it waits longer at worst, once in so many times.
const SERVED_MAX: u32 = 8;

pub(super) struct Group {
    /// Held by the writer.
    writer: Mutex<()>,
    /// The number of the newest version up to which everything is written and visible.
    written: AtomicU64,
    has_failed: AtomicBool,
    state: Mutex<State>,
    /// Something newer is visible.
    newer: Condvar,
    /// Where those of batches of even and of odd number wait, apart: those whose batch is written wake one after the other, each when the
    /// one before it lets go of the lock, and neither the writer nor who waits for the next batch comes in between.
    turns: [Turn; 2],
}

#[derive(Default)]
struct Turn {
    lock: Mutex<()>,
    /// A batch is written, or the next one wants a writer.
    changed: Condvar,
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) version: Version,
    /// The number of its batch.
    pub(super) batch: u64,
}

struct State {
    /// The last block of what is written.
    last_block: Option<BlockRecord>,
    failure: Option<Error>,
}

impl Turn {
    fn notify_all(&self) {
        let _lock = self.lock.lock();
        self.changed.notify_all();
    }

    fn notify_one(&self) {
        let _lock = self.lock.lock();
        self.changed.notify_one();
    }
}

impl Group {
    pub(super) fn new(written: Version, last_block: Option<BlockRecord>) -> Self {
        Self {
            writer: Mutex::new(()),
            written: AtomicU64::new(written.0),
            has_failed: AtomicBool::new(false),
            state: Mutex::new(State { last_block, failure: None }),
            newer: Condvar::new(),
            turns: Default::default(),
        }
    }

    pub(super) fn last_block(&self) -> Option<BlockRecord> {
        self.state.lock().last_block
    }

    /// For a store without a backend.
    pub(super) fn set_last_block(&self, block: Option<BlockRecord>) {
        if block.is_some() {
            self.state.lock().last_block = block;
        }
    }

    fn turn(&self, batch: u64) -> &Turn {
        &self.turns[(batch % 2) as usize]
    }

    /// The outcome of the commit that has `version`, when it is known.
    fn outcome(&self, version: Version) -> Option<Result<()>> {
        if self.written.load(Ordering::Acquire) >= version.0 {
            return Some(Ok(()));
        }
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        self.state.lock().failure.as_ref().map(|failure| Err(poisoned(failure)))
    }

    /// Wakes those who wait for `batch`.
    fn succeed(&self, batch: u64, last: Version, last_block: Option<BlockRecord>) {
        let mut state = self.state.lock();
        state.last_block = last_block.or(state.last_block);
        self.written.store(last.0, Ordering::Release);
        self.newer.notify_all();
        drop(state);
        self.turn(batch).notify_all();
    }

    /// Wakes all.
    fn fail(&self, failure: &Error) {
        let mut state = self.state.lock();
        state.failure = Some(failure.repeated());
        self.has_failed.store(true, Ordering::Release);
        self.newer.notify_all();
        drop(state);
        self.turns.iter().for_each(Turn::notify_all);
    }
}

impl Inner {
    /// Returns when the commit of `ticket` is written.
    ///
    /// A batch is synced when one of its commits asks for it, so a written version is as durable as its own commit asked.
    pub(super) fn write_group(&self, ticket: Ticket) -> Result<()> {
        let group = &self.group;
        let turn = group.turn(ticket.batch);
        let mut lock = turn.lock.lock();
        loop {
            if let Some(outcome) = group.outcome(ticket.version) {
                return outcome;
            }
            // IMPORTANT: under the turn's lock. A writer that lets go notifies under it afterwards, so that is not missed.
            match group.writer.try_lock() {
                Some(writer) => {
                    drop(lock);
                    return self.write_waiting(ticket, writer);
                }
                None => turn.changed.wait(&mut lock),
            }
        }
    }

    /// Writes batches until that of `ticket` is written, and some more for others.
    fn write_waiting(&self, ticket: Ticket, writer: MutexGuard<'_, ()>) -> Result<()> {
        let group = &self.group;
        let mut served = 0;
        // As the writer: nobody else writes, but the commit may have been written before this one became the writer.
        let mut own = group.outcome(ticket.version);
        while own.is_none() || matches!(own, Some(Ok(()))) && served < SERVED_MAX {
            let Some(batch) = self.sequencer.lock().take_batch() else { break };
            served += u32::from(own.is_some());
            let outcome = self.write_next(batch);
            // A commit that is written stays so, whatever becomes of those behind it.
            match outcome {
                Ok(()) => own = own.or_else(|| group.outcome(ticket.version)),
                Err(error) => {
                    own = own.or(Some(Err(error)));
                    break;
                }
            }
        }
        drop(writer);
        // Who comes later finds no writer and becomes it.
        let next = self.sequencer.lock().batches.front().map(|batch| batch.number);
        if let Some(next) = next {
            group.turn(next).notify_one();
        }
        own.expect("a commit that is not written is in a batch")
    }

    /// Returns when something newer than `than` is visible; at once when nothing newer is on its way.
    pub(super) fn wait_for_newer(&self, than: Version) {
        // Without a backend a version is visible as soon as it is given.
        if self.backend.is_none() || self.sequencer.lock().last <= than {
            return;
        }
        let group = &self.group;
        let mut state = group.state.lock();
        while group.written.load(Ordering::Acquire) <= than.0 && state.failure.is_none() {
            group.newer.wait(&mut state);
        }
    }

    /// Writes `batch`, makes it visible and wakes those who wait for it.
    fn write_next(&self, batch: GroupBatch) -> Result<()> {
        self.counters.groups.add(1);
        self.counters.largest_group.raise(batch.commits);
        let (number, last, last_block) = (batch.number, batch.last, batch.last_block);
        let outcome = self.write_batch(batch);
        if outcome.is_ok() || mutant(Mutant::FailedWritePublished) {
            // IMPORTANT: after the write, in the order of the batches.
            self.readers.publish(last);
        }
        match &outcome {
            Ok(()) => self.group.succeed(number, last, last_block),
            Err(error) => {
                self.sequencer.lock().poison = Some(error.repeated());
                self.group.fail(error);
            }
        }
        outcome
    }

    fn write_batch(&self, group: GroupBatch) -> Result<()> {
        let GroupBatch { mut batch, last, accumulator, is_synced, .. } = group;
        Meta::put_last_version(&mut batch, last);
        if let Some(accumulator) = accumulator {
            Meta::put_accumulator(&mut batch, &accumulator.to_bytes());
        }
        let durability = match is_synced && !mutant(Mutant::SyncSkipped) {
            true => Durability::Synced,
            false => Durability::Buffered,
        };
        self.backend
            .as_ref()
            .expect("only a store with a backend has batches")
            .write(&batch, durability)
    }
}
