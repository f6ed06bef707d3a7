//! The order of commits.
//!
//! One lock gives commits their order. Under it a transaction is checked against everything that has a lower version, gets the next
//! version, and its writes are installed; so versions have no holes, and a check and its install are one step. Nothing waits for a disk
//! there: what is to be written is appended to a batch that a member of the group writes afterwards. Installed writes are invisible until
//! their version is published.

use super::config::GcConfig;
use super::large::LargeCommit;
use crate::digest::StateAccumulator;
use crate::layout::{Area, BlockRecord, HistoryMode, Meta, Version};
use std::collections::VecDeque;
use std::time::Duration;
use supervm_plugin_sdk::{BATCH_OPERATIONS_MAX, Error, Operation, WriteBatch};

/// What is left of a batch for the facts about the whole: versions, a block, an accumulator.
pub(super) const FACTS_BYTES: usize = 8 << 10;
pub(super) const FACTS_OPERATIONS: usize = 16;
/// Moments that are remembered within a time to live; its precision.
const MOMENTS_MAX: u32 = 64;

pub(super) struct Sequencer {
    /// The newest version that was given.
    pub(super) last: Version,
    pub(super) last_block: Option<BlockRecord>,
    pub(super) history: HistoryMode,
    /// Of the state with `last`; `None` when it is not kept.
    pub(super) accumulator: Option<StateAccumulator>,
    /// Does the storage have an accumulator that nothing carries on? It ends with the first change
    /// of the state.
    has_idle_accumulator: bool,
    /// Why nothing can be committed any more.
    pub(super) poison: Option<Error>,
    /// What waits to be written, in order; only the last batch still grows.
    pub(super) batches: VecDeque<GroupBatch>,
    /// Batches that were begun since the store was opened.
    begun: u64,
    /// When versions were given, the oldest first; for time to live.
    moments: VecDeque<Moment>,
    /// The versions of the last blocks, the oldest first; for the policy on blocks.
    blocks: VecDeque<Version>,
}

/// Versions that were given at about one time.
struct Moment {
    begin: Duration,
    /// When the last of them was given.
    end: Duration,
    last: Version,
}

/// The commits of several transactions as one batch.
#[derive(Default)]
pub(super) struct GroupBatch {
    /// Counts the batches of a store.
    pub(super) number: u64,
    pub(super) batch: WriteBatch,
    pub(super) last: Version,
    pub(super) last_block: Option<BlockRecord>,
    /// As of `last`; an empty one ends that of the storage.
    pub(super) accumulator: Option<Vec<u8>>,
    pub(super) is_synced: bool,
    pub(super) commits: u64,
    /// What is written in parts before the batch, which has then a single commit.
    pub(super) large: Option<LargeCommit>,
}

impl Sequencer {
    pub(super) fn new(
        meta: &Meta,
        last_block: Option<BlockRecord>,
        accumulator: Option<StateAccumulator>,
    ) -> Self {
        Self {
            last: meta.last_version,
            last_block,
            history: meta.history,
            has_idle_accumulator: accumulator.is_none() && !meta.accumulator.is_empty(),
            accumulator,
            poison: None,
            batches: VecDeque::new(),
            begun: 0,
            moments: VecDeque::new(),
            blocks: VecDeque::new(),
        }
    }

    /// The batch that grows, with room for so much more; it has at most `bytes_max`.
    pub(super) fn batch_for(
        &mut self,
        bytes: usize,
        operations: usize,
        bytes_max: usize,
    ) -> &mut GroupBatch {
        let fits = self.batches.back().is_some_and(|last| {
            last.large.is_none()
                && last.batch.as_bytes().len() + bytes + FACTS_BYTES <= bytes_max
                && last.batch.len() + operations + FACTS_OPERATIONS <= BATCH_OPERATIONS_MAX
        });
        if !fits {
            self.begin_batch(None);
        }
        self.batches.back_mut().expect("one was there or was pushed")
    }

    /// A batch of its own for `large`, its marker.
    pub(super) fn batch_of(&mut self, large: LargeCommit) -> &mut GroupBatch {
        self.begin_batch(Some(large));
        self.batches.back_mut().expect("it was pushed")
    }

    fn begin_batch(&mut self, large: Option<LargeCommit>) {
        self.close_batch();
        self.begun += 1;
        let number = self.begun;
        self.batches.push_back(GroupBatch { number, large, ..GroupBatch::default() });
    }

    /// The next batch to write; with the state's accumulator as of its last version.
    pub(super) fn take_batch(&mut self) -> Option<GroupBatch> {
        if self.batches.len() == 1 {
            self.close_batch();
        }
        self.batches.pop_front()
    }

    /// IMPORTANT: called before a later commit changes the accumulator.
    fn close_batch(&mut self) {
        let Some(last) = self.batches.back_mut() else { return };
        last.accumulator = self.accumulator.as_ref().map(StateAccumulator::to_bytes);
        // IMPORTANT: in the batch of the change. An accumulator that is there is that of the state.
        if self.has_idle_accumulator && (last.large.is_some() || changes_state(&last.batch)) {
            last.accumulator = Some(Vec::new());
            self.has_idle_accumulator = false;
        }
    }

    /// Remembers what the policies on time and blocks need.
    pub(super) fn remember(
        &mut self,
        gc: &GcConfig,
        now: impl FnOnce() -> Duration,
        ends_block: bool,
    ) {
        if let Some(time_to_live) = gc.time_to_live {
            let now = now();
            let step = time_to_live / MOMENTS_MAX;
            let last = self.last;
            match self.moments.back_mut() {
                Some(moment) if now < moment.begin + step => {
                    (moment.end, moment.last) = (now, last);
                }
                _ => self.moments.push_back(Moment { begin: now, end: now, last }),
            }
            // The newest of those that are too old is the one that counts.
            while self.moments.get(1).is_some_and(|moment| moment.end + time_to_live <= now) {
                self.moments.pop_front();
            }
        }
        if let Some(blocks) = gc.blocks
            && ends_block
        {
            self.blocks.push_back(self.last);
            while self.blocks.len() as u64 > blocks.max(1) {
                self.blocks.pop_front();
            }
        }
    }

    /// Up to which version the policies on time and blocks let go of what was superseded; with neither, all of it.
    pub(super) fn policy_floor(&self, gc: &GcConfig, now: Duration) -> Version {
        let by_time = gc.time_to_live.map(|time_to_live| {
            let too_old = |moment: &&Moment| moment.end + time_to_live <= now;
            let newest = self.moments.iter().rev().find(too_old);
            newest.map_or(Version::ZERO, |moment| moment.last)
        });
        let by_blocks = gc.blocks.map(|blocks| match self.blocks.front() {
            Some(oldest) if self.blocks.len() as u64 >= blocks.max(1) => *oldest,
            _ => Version::ZERO,
        });
        match (by_time, by_blocks) {
            // A bound on the number of versions alone keeps that many.
            (None, None) if gc.versions_max.is_some() => Version::ZERO,
            (None, None) => Version::MAX,
            (by_time, by_blocks) => {
                by_time.unwrap_or(Version::MAX).min(by_blocks.unwrap_or(Version::MAX))
            }
        }
    }
}

/// Does `batch` write or delete a latest value? A block without writes and a change of the history
/// mode do neither.
fn changes_state(batch: &WriteBatch) -> bool {
    let latest = Area::Latest.prefix();
    batch.iter().any(|operation| match operation {
        Operation::Put { key, .. } | Operation::Delete { key } => key.starts_with(latest),
        Operation::DeleteRange { .. } => true,
    })
}
