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
use super::sync::Condvar;
use crate::layout::{BlockRecord, Meta, Version};
use parking_lot::Mutex;
use supervm_plugin_sdk::{Durability, Error, Result};

pub(super) struct Group {
    state: Mutex<State>,
    /// Something of the state has changed.
    changed: Condvar,
}

struct State {
    /// Everything up to it is written and visible.
    written: Version,
    /// The last block of what is written.
    last_block: Option<BlockRecord>,
    is_writing: bool,
    failure: Option<Error>,
}

impl Group {
    pub(super) fn new(written: Version, last_block: Option<BlockRecord>) -> Self {
        let state = State { written, last_block, is_writing: false, failure: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
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
}

impl Inner {
    /// Returns when `version` is written.
    ///
    /// A batch is synced when one of its commits asks for it, so a written version is as durable as its own commit asked.
    pub(super) fn write_group(&self, version: Version) -> Result<()> {
        let mut state = self.group.state.lock();
        loop {
            if state.written >= version {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(poisoned(failure));
            }
            if state.is_writing {
                self.group.changed.wait(&mut state);
                continue;
            }
            state.is_writing = true;
            drop(state);
            let outcome = self.write_next();
            state = self.group.state.lock();
            state.is_writing = false;
            let outcome = outcome.map(|(last, block)| {
                state.written = last;
                state.last_block = block.or(state.last_block);
            });
            if let Err(error) = outcome {
                state.failure = Some(error.repeated());
                self.group.changed.notify_all();
                return Err(error);
            }
            self.group.changed.notify_all();
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
            self.group.changed.wait(&mut state);
        }
    }

    /// Writes the oldest batch that waits and makes it visible.
    fn write_next(&self) -> Result<(Version, Option<BlockRecord>)> {
        let batch = self.sequencer.lock().take_batch();
        let batch = batch.expect("a commit that is not written is in a batch");
        self.counters.groups.add(1);
        self.counters.largest_group.raise(batch.commits);
        let (last, last_block) = (batch.last, batch.last_block);
        let outcome = self.write_batch(batch);
        if outcome.is_ok() || mutant(Mutant::FailedWritePublished) {
            // IMPORTANT: after the write, in the order of the batches.
            self.readers.publish(last);
        }
        if let Err(error) = &outcome {
            self.sequencer.lock().poison = Some(error.repeated());
        }
        outcome.map(|()| (last, last_block))
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
