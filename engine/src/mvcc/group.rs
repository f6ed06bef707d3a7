//! Group commit: one sync for all transactions that wait.
//!
//! Whoever commits finds either nobody writing, and then becomes the *writer*; or somebody writing, and then waits. The writer writes the
//! oldest batch that waits, which need not have its own commit, and goes on until its own is written and some more: while
//! the disk syncs one batch the next one collects commits, and the disk does not wait until another thread has woken and taken
//! over. After [`SERVED_MAX`] rounds for others the writer's own commit returns, and one of those who wait takes over.
//!
//! Before the disk has anything to do, a batch takes a processor some time. Where a backend can be written to while it syncs
//! ([`Capability::ConcurrentFlush`]), whose commit brings a batch to [`APPENDED_FROM`] operations while somebody writes *appends* it,
//! without a sync. The writer's next round syncs what was appended, and the disk goes on at once. One batch that is appended is enough
//! for that; those who commit meanwhile gather in the next one.
//!
//! A version becomes visible when the batch that has it is as durable as one of its commits asked, and with it all before it. A
//! write or a sync that fails publishes nothing: what was installed for it stays invisible, and the store takes no more commits. Whether the
//! batch took effect all the same, and with it those that were appended behind it, is known when the store is opened anew; the
//! [`Failure`] that each commit is told says so.

use super::failure::Failure;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use super::sequencer::GroupBatch;
use crate::layout::{BlockRecord, Meta, Version};
use crate::storage::Storage;
use crate::sync::Condvar;
use parking_lot::{Mutex, MutexGuard};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use supervm_plugin_sdk::{Capability, Durability, Result};

/// Rounds that a writer makes at most after that with its own commit: what it waits longer at worst, once in so many times.
const SERVED_MAX: u32 = 8;
/// From so many operations on a batch is appended by itself, and synced after that. Handing a batch to a backend costs as much as some
/// operations in it: smaller ones are better written and synced at once.
const APPENDED_FROM: usize = 8;

pub(super) struct Group {
    /// Can batches be appended while others are synced?
    is_overlapped: bool,
    /// Held by the writer.
    writer: Mutex<()>,
    /// Held by whoever takes a batch and hands it to the backend, so that they get there in their order.
    order: Mutex<()>,
    /// What was appended while the batch before it was synced.
    appended: Mutex<Option<Handed>>,
    /// The number of the newest version up to which everything is written and visible.
    written: AtomicU64,
    /// A batch could not be written, and none may follow it. Why is in the state when all before it are written.
    has_failed: AtomicBool,
    state: Mutex<State>,
    /// Something newer is visible.
    newer: Condvar,
    /// Where commits wait, apart by their batches, of which one is synced, one appended and one growing at a time: those whose batch is
    /// written wake one after the other, each when the one before it lets go of the lock, and neither the writer nor who waits for another
    /// batch comes in between.
    turns: [Turn; 3],
}

/// A batch that was handed to the backend.
struct Handed {
    number: u64,
    last: Version,
    last_block: Option<BlockRecord>,
    commits: u64,
    waits_for_sync: bool,
    outcome: Result<()>,
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
    /// Operations in the batch up to and with this commit.
    pub(super) operations: usize,
}

impl Ticket {
    /// Of the commit that was added to `batch` last.
    pub(super) fn of_last(batch: &GroupBatch) -> Self {
        Self { version: batch.last, batch: batch.number, operations: batch.batch.len() }
    }
}

struct State {
    /// The last block of what is written.
    last_block: Option<BlockRecord>,
    failure: Option<Failure>,
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
    /// Over what `storage` holds, or in memory.
    pub(super) fn new(
        storage: Option<&Storage>,
        written: Version,
        last_block: Option<BlockRecord>,
    ) -> Self {
        let can_overlap =
            |storage: &Storage| storage.capabilities().has(Capability::ConcurrentFlush);
        Self {
            is_overlapped: storage.is_some_and(can_overlap),
            writer: Mutex::new(()),
            order: Mutex::default(),
            appended: Mutex::default(),
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
        &self.turns[batch as usize % self.turns.len()]
    }

    /// The outcome of the commit that has `version`, when it is known.
    fn outcome(&self, version: Version) -> Option<Result<()>> {
        if self.written.load(Ordering::Acquire) >= version.0 {
            return Some(Ok(()));
        }
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        self.state.lock().failure.as_ref().map(|failure| Err(failure.behind(version)))
    }

    /// Wakes those who wait for `batch`.
    fn succeed(&self, batch: &Handed) {
        let mut state = self.state.lock();
        state.last_block = batch.last_block.or(state.last_block);
        self.written.store(batch.last.0, Ordering::Release);
        self.newer.notify_all();
        drop(state);
        self.turn(batch.number).notify_all();
    }

    /// Wakes all.
    fn fail(&self, failure: Failure) {
        let mut state = self.state.lock();
        state.failure = Some(failure);
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
        if group.is_overlapped && ticket.operations >= APPENDED_FROM {
            // IMPORTANT: the writer may have let go without having seen what is appended, and this commit may be in an older batch. Who
            // lets go looks for what is appended afterwards, so either it is seen by then or this thread finds no writer.
            let writer = group.writer.try_lock().or_else(|| {
                self.append_beside_writer();
                group.writer.try_lock()
            });
            if let Some(writer) = writer {
                return self.write_waiting(ticket, writer);
            }
        }
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

    /// Appends the oldest batch that waits, unless somebody does so already, or did.
    fn append_beside_writer(&self) {
        let group = &self.group;
        if let Some(_order) = group.order.try_lock()
            && group.appended.lock().is_none()
        {
            let batch = self.append(true);
            *group.appended.lock() = batch;
        }
    }

    /// Writes batches until that of `ticket` is written, and some more for others.
    fn write_waiting(&self, ticket: Ticket, writer: MutexGuard<'_, ()>) -> Result<()> {
        let group = &self.group;
        let mut served = 0;
        // As the writer: nobody else writes, but the commit may have been written before this one became the writer.
        let mut own = group.outcome(ticket.version);
        while own.is_none() || matches!(own, Some(Ok(()))) && served < SERVED_MAX {
            let Some(outcome) = self.write_next() else { break };
            served += u32::from(own.is_some());
            // A commit that is written stays so, whatever becomes of those behind it.
            match outcome {
                Ok(()) => own = own.or_else(|| group.outcome(ticket.version)),
                Err(failure) => {
                    own = own.or_else(|| Some(Err(failure.of_writer(ticket.version))));
                    break;
                }
            }
        }
        drop(writer);
        // Who comes later finds no writer and becomes it.
        let appended = group.appended.lock().as_ref().map(|batch| batch.number);
        let next =
            appended.or_else(|| self.sequencer.lock().batches.front().map(|batch| batch.number));
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

    /// Writes what was appended or else the next batch, makes it visible and wakes those who wait for it; `None` when nothing waits.
    fn write_next(&self) -> Option<Result<(), Failure>> {
        let group = &self.group;
        let appended = group.appended.lock().take();
        let mut batch = match appended {
            Some(batch) => batch,
            None => {
                let _order = group.order.lock();
                // By whoever held it.
                let appended = group.appended.lock().take();
                appended.or_else(|| self.append(false))?
            }
        };
        self.counters.groups.add(1);
        self.counters.largest_group.raise(batch.commits);
        let written = mem::replace(&mut batch.outcome, Ok(()));
        let mut outcome = written.map_err(Failure::of_write);
        if outcome.is_ok() && batch.waits_for_sync && !mutant(Mutant::SyncSkipped) {
            outcome = self.storage_of_batches().flush(Durability::Synced).map_err(Failure::of_sync);
        }
        if outcome.is_ok() || mutant(Mutant::FailedWritePublished) {
            // IMPORTANT: after the write, in the order of the batches.
            self.readers.publish(batch.last);
        }
        match &outcome {
            Ok(()) => group.succeed(&batch),
            Err(failure) => {
                self.sequencer.lock().poison = Some(failure.cause().repeated());
                group.fail(failure.clone());
            }
        }
        Some(outcome)
    }

    /// Hands the oldest batch that waits to the backend: `beside` a sync, or to sync it at once where that is better. The caller holds
    /// the lock on the order.
    fn append(&self, beside: bool) -> Option<Handed> {
        let group = &self.group;
        if group.has_failed.load(Ordering::Acquire) {
            return None;
        }
        let next = self.sequencer.lock().take_batch()?;
        let GroupBatch { number, mut batch, last, last_block, is_synced, commits, .. } = next;
        let (accumulator, large) = (next.accumulator, next.large);
        Meta::put_last_version(&mut batch, last);
        if let Some(accumulator) = accumulator {
            Meta::put_accumulator(&mut batch, &accumulator);
        }
        let is_appended = beside || group.is_overlapped && batch.len() >= APPENDED_FROM;
        let durability = match is_synced && !is_appended && !mutant(Mutant::SyncSkipped) {
            true => Durability::Synced,
            false => Durability::Buffered,
        };
        let storage = self.storage_of_batches();
        // IMPORTANT: the parts before the batch that makes them count. Nothing comes in between: the caller holds the lock on the order.
        let parts = large.map_or(Ok(()), |large| large.write(storage));
        let outcome = parts.and_then(|()| storage.write(&batch, durability));
        if outcome.is_err() {
            group.has_failed.store(true, Ordering::Release);
        }
        let waits_for_sync = is_synced && is_appended;
        Some(Handed { number, last, last_block, commits, waits_for_sync, outcome })
    }

    fn storage_of_batches(&self) -> &Storage {
        self.backend.as_ref().expect("only a store with a backend has batches")
    }
}
