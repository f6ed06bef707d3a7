//! Giving the past up: what a pruning is asked for, and what it came to.

use super::sweep::Sweep;
use super::{History, check_readable};
use crate::layout::{Area, HistoryMode, Meta, Version};
use supervm_plugin_sdk::{
    BATCH_BYTES_MAX, Capability, Error, ErrorKind, KEY_BYTES_MAX, Result, WriteBatch,
};

/// Deletes in one step, unless asked for otherwise.
pub const STEP_OPERATIONS_DEFAULT: usize = 10_000;
/// Most deletes in one step: as many as fit in a batch when every key is as long as can be.
pub const STEP_OPERATIONS_MAX: usize = BATCH_BYTES_MAX / (KEY_BYTES_MAX + OPERATION_BYTES);

/// Bytes of an operation in a batch beside its key, rounded up.
const OPERATION_BYTES: usize = 16;

/// What a pruning is to leave readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneTarget {
    /// The state after this block, and later ones.
    Block(u64),
    /// The state as it was at this time, in seconds since 1970-01-01 00:00 UTC, and later ones.
    Timestamp(u64),
    /// This version, and later ones.
    Version(Version),
}

/// How a pruning goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// Most deletes in one step, 1 to [`STEP_OPERATIONS_MAX`]. A step is one batch: the longer, the longer a commit may wait for it.
    pub step_operations: usize,
    /// Most steps; what is left is for the next pruning. `None` = to the end.
    pub steps_max: Option<u64>,
    /// Give the space back at the end, where the backend can ([`Capability::Compact`]). It may take long.
    pub compact: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { step_operations: STEP_OPERATIONS_DEFAULT, steps_max: None, compact: false }
    }
}

/// How far a pruning has come, after each of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneProgress {
    /// The version after which this pruning found something to delete.
    pub from: Version,
    /// What older versions needed alone is deleted, and what this one did at least in part.
    pub version: Version,
    /// The version at which it ends: the oldest that can be read.
    pub floor: Version,
    /// Steps so far.
    pub steps: u64,
    /// Deletes so far.
    pub operations: u64,
}

/// What a pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PruneReport {
    /// The oldest version that could be read before.
    pub floor_before: Version,
    /// The oldest version that can be read.
    pub floor: Version,
    /// Steps; each was one batch.
    pub steps: u64,
    /// Deletes.
    pub operations: u64,
    /// Versions whose changes were deleted.
    pub versions: u64,
    /// Is there nothing left to delete?
    pub is_complete: bool,
    /// Bytes on disk before, where the backend tells.
    pub disk_bytes_before: Option<u64>,
    /// Bytes on disk afterwards, where the backend tells.
    pub disk_bytes_after: Option<u64>,
}

impl History {
    /// Gives up the states before `target`.
    ///
    /// # Behavior
    /// - First the floor is raised: from then on states below it are refused with `VersionPruned`. Then what they alone needed is
    ///   deleted, in steps of one batch each, with `progress` after each.
    /// - What the target's version needs stays: of each key the newest value that was written at or below it.
    /// - A pruning that was stopped, by a kill too, is finished by the next one, to whatever target. One that has nothing to do changes
    ///   nothing.
    /// - A target below the floor is no error; the floor never falls.
    /// - The record of the newest block stays.
    /// - Goes on beside reads and commits. Views that were made before read on, on a backend with snapshots.
    ///
    /// # Errors
    /// `InvalidArgument` for a block or version that does not exist yet, and for options out of their bounds; `Corruption`; what the
    /// storage fails with. What was done until then is done.
    pub fn prune(
        &self,
        target: PruneTarget,
        options: PruneOptions,
        progress: &mut dyn FnMut(PruneProgress),
    ) -> Result<PruneReport> {
        options.check()?;
        self.prune_to(self.version_to_keep(Some(target))?, options, progress)
    }

    /// Gives up what the history mode does not keep: the states before the last blocks of a window, all
    /// old values in the mode `none`, nothing in an archive, where it finishes a pruning that was stopped.
    ///
    /// A window of N blocks is that of the last N blocks that exist, whatever their numbers are. The
    /// first call on this `History` and its clones reads N records to find where it begins, later calls
    /// twice as many as blocks were added.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn prune_to_mode(
        &self,
        options: PruneOptions,
        progress: &mut dyn FnMut(PruneProgress),
    ) -> Result<PruneReport> {
        options.check()?;
        self.prune_to(self.version_to_keep(None)?, options, progress)
    }

    /// Raises the floor to `version`, unless it is there, and deletes what is not needed from it on.
    pub(super) fn prune_to(
        &self,
        version: Version,
        options: PruneOptions,
        progress: &mut dyn FnMut(PruneProgress),
    ) -> Result<PruneReport> {
        let disk_bytes_before = self.storage.stats()?.disk_bytes;
        let (floor_before, floor) = self.raise_floor(version)?;
        let mut report =
            Sweep::new(&self.storage, floor, self.meta()?.last_block, options, progress).run()?;
        // Until here the order of batches is enough: what a power cut takes back is the newest of them.
        self.storage.flush(self.storage.durability())?;
        if options.compact && self.storage.capabilities().has(Capability::Compact) {
            for area in [Area::History, Area::ChangeLog, Area::Blocks] {
                self.storage.compact(area.range())?;
            }
        }
        report.floor_before = floor_before;
        report.disk_bytes_before = disk_bytes_before;
        report.disk_bytes_after = self.storage.stats()?.disk_bytes;
        Ok(report)
    }

    /// The floor before and after.
    fn raise_floor(&self, version: Version) -> Result<(Version, Version)> {
        let _alone = self.storage.lock_facts();
        let before = self.meta()?.floor;
        if version <= before {
            return Ok((before, before));
        }
        // IMPORTANT: before anything is deleted. The deletes are later batches, and a crash loses no earlier batch than a later one.
        let mut batch = WriteBatch::new();
        Meta::put_floor(&mut batch, version);
        self.storage.write(&batch, self.storage.durability())?;
        Ok((before, version))
    }

    /// The oldest version that pruning to `target` leaves readable, or to what the history mode keeps without one; at or below the floor when
    /// nothing has to go. Changes nothing.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn version_to_keep(&self, target: Option<PruneTarget>) -> Result<Version> {
        let meta = self.meta()?;
        match target {
            None => self.version_of_mode(&meta),
            Some(PruneTarget::Version(version)) => {
                check_readable(version.max(meta.oldest_version()), &meta)?;
                Ok(version)
            }
            Some(PruneTarget::Timestamp(timestamp)) => {
                Ok(self.block_at(timestamp)?.map_or(Version::ZERO, |block| block.version))
            }
            Some(PruneTarget::Block(number)) => self.version_before_block(number, &meta),
        }
    }

    /// The states before the last blocks of a window go, all in the mode `none`, and nothing in an archive.
    fn version_of_mode(&self, meta: &Meta) -> Result<Version> {
        match meta.history {
            HistoryMode::None => Ok(meta.last_version),
            HistoryMode::Window { blocks } => self.version_of_window(blocks),
            HistoryMode::Archive => Ok(Version::ZERO),
        }
    }

    fn version_before_block(&self, number: u64, meta: &Meta) -> Result<Version> {
        if let Some(block) = self.block(number)? {
            return Ok(block.version);
        }
        if meta.last_block.is_none_or(|last| number > last) {
            return Err(self.no_block(number, meta)?);
        }
        let has_earlier = self.blocks(0, 1)?.first().is_some_and(|first| first.number < number);
        let next = self.blocks(number, 1)?.first().map(|next| next.version);
        // Without an earlier block, all that was before the target is gone.
        Ok(next.filter(|_| has_earlier).unwrap_or_default())
    }
}

impl PruneOptions {
    fn check(&self) -> Result<()> {
        if (1..=STEP_OPERATIONS_MAX).contains(&self.step_operations) {
            return Ok(());
        }
        let refused = format!("a step has 1 to {STEP_OPERATIONS_MAX} operations");
        Err(Error::new(ErrorKind::InvalidArgument, "prune", refused)
            .with("step_operations", self.step_operations))
    }
}

impl PruneProgress {
    /// How much is done, from 0 to 1, by versions.
    ///
    /// # Examples
    /// ```
    /// use supervm_engine::{history::PruneProgress, layout::Version};
    /// let version = Version(25);
    /// let progress =
    ///     PruneProgress { from: Version(20), version, floor: Version(40), steps: 1, operations: 9 };
    /// assert_eq!(progress.fraction(), 0.25);
    /// ```
    pub fn fraction(&self) -> f64 {
        let span = |to: Version| to.0.saturating_sub(self.from.0) as f64;
        if self.floor <= self.from { 1.0 } else { (span(self.version) / span(self.floor)).min(1.0) }
    }
}
