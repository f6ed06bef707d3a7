//! Group commit: one write to the backend for all transactions that wait.
//!
//! Whoever commits finds either nobody writing, and then writes the oldest batch that waits, which need not be its own; or somebody
//! writing, and then waits. While one batch is on its way to the disk the next one collects commits, so that a sync that takes long
//! serves many.
//!
//! A version becomes visible when the batch that has it is written, and with it all before it. A write that fails publishes
//! nothing: what was installed for it stays invisible, and the store takes no more commits.

use super::commit::poisoned;
use super::inner::Inner;
use super::mutant::{Mutant, mutant};
use super::sequencer::GroupBatch;
use crate::layout::{BlockRecord, Meta, Version};
use crate::sync::Condvar;
use parking_lot::Mutex;
use supervm_plugin_sdk::{Durability, Error, Result};

pub(super) struct Group {
    state: Mutex<State>,
    /// A batch is written, or the next one wants a writer: those of even and of odd number apart, so that who waits for the one that
    /// collects commits is not woken for the one that is on its way. With 64 committers that is a third more commits.
    written: [Condvar; 2],
    /// Something newer is visible.
    newer: Condvar,
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) version: Version,
    /// The number of its batch.
    pub(super) batch: u64,
}

struct State {
    /// Everything up to it is written and visible.
    written: Version,
    /// The last block of what is written.
    last_block: Option<BlockRecord>,
    is_writing: bool,
    failure: Option<Error>,
}

/// A batch that is on the backend.
struct Written {
    number: u64,
    last: Version,
    last_block: Option<BlockRecord>,
}

impl Group {
    pub(super) fn new(written: Version, last_block: Option<BlockRecord>) -> Self {
        let state = State { written, last_block, is_writing: false, failure: None };
        let written = [Condvar::new(), Condvar::new()];
        Self { state: Mutex::new(state), written, newer: Condvar::new() }
    }

    pub(super) fn last_block(&self) -> Option<BlockRecord> {
        self.state.lock().last_block
    }

    fn turn(&self, batch: u64) -> &Condvar {
        &self.written[(batch % 2) as usize]
    }

    /// For a store without a backend.
    pub(super) fn set_last_block(&self, block: Option<BlockRecord>) {
        if block.is_some() {
            self.state.lock().last_block = block;
        }
    }
}

impl Inner {
    /// Returns when the commit of `ticket` is written.
    ///
    /// A batch is synced when one of its commits asks for it, so a written version is as durable as its own commit asked.
    pub(super) fn write_group(&self, ticket: Ticket) -> Result<()> {
        let group = &self.group;
        let mut state = self.group.state.lock();
        loop {
            if state.written >= ticket.version {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(poisoned(failure));
            }
            if state.is_writing {
                group.turn(ticket.batch).wait(&mut state);
                continue;
            }
            state.is_writing = true;
            drop(state);
            let outcome = self.write_next();
            state = self.group.state.lock();
            state.is_writing = false;
            group.newer.notify_all();
            match outcome {
                Ok(written) => {
                    state.written = written.last;
                    state.last_block = written.last_block.or(state.last_block);
                    group.turn(written.number).notify_all();
                    // One of those who wait for the next batch writes it, unless somebody comes before.
                    group.turn(written.number + 1).notify_one();
                }
                Err(error) => {
                    state.failure = Some(error.repeated());
                    for turn in &group.written {
                        turn.notify_all();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Returns when something newer than `than` is visible; at once when nothing newer is on its way.
    pub(super) fn wait_for_newer(&self, than: Version) {
        // Without a backend a version is visible as soon as it is given.
        if self.backend.is_none() || self.sequencer.lock().last <= than {
            return;
        }
        let mut state = self.group.state.lock();
        while state.written <= than && state.failure.is_none() {
            self.group.newer.wait(&mut state);
        }
    }

    /// Writes the oldest batch that waits and makes it visible.
    fn write_next(&self) -> Result<Written> {
        let batch = self.sequencer.lock().take_batch();
        let batch = batch.expect("a commit that is not written is in a batch");
        self.counters.groups.add(1);
        self.counters.largest_group.raise(batch.commits);
        let (number, last, last_block) = (batch.number, batch.last, batch.last_block);
        let outcome = self.write_batch(batch);
        if outcome.is_ok() || mutant(Mutant::FailedWritePublished) {
            // IMPORTANT: after the write, in the order of the batches.
            self.readers.publish(last);
        }
        if let Err(error) = &outcome {
            self.sequencer.lock().poison = Some(error.repeated());
        }
        outcome.map(|()| Written { number, last, last_block })
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
