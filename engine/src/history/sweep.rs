//! Deleting what no readable version needs, step by step.
//!
//! The lists of changed keys name the old values, so nothing is searched: a list of version `v` with the key `k` stands for the old
//! value `k` superseded at `v`. Each step reads on where the last one ended, with a cursor of its own, because a cursor that lived
//! through the whole pruning would keep the storage from using the space that it frees.

use super::prune::{PruneOptions, PruneProgress, PruneReport};
use crate::layout::{
    Area, BlockRecord, ChangedKeys, Version, change_log_key, history_key, split_block_key,
    split_change_log_key,
};
use crate::storage::{Rows, Storage};
use supervm_plugin_sdk::{Direction, Durability, KeyRange, Result, WriteBatch};

pub(super) struct Sweep<'a> {
    storage: &'a Storage,
    floor: Version,
    /// The block whose record stays.
    last_block: Option<u64>,
    options: PruneOptions,
    progress: &'a mut dyn FnMut(PruneProgress),
    /// The next step: deletes, and at most one list that is cut to what is left of it.
    batch: WriteBatch,
    deletes: usize,
    /// Where the next step reads on.
    next: Vec<u8>,
    from: Option<Version>,
    /// The version of the newest list that is gone, or of a part of it.
    version: Version,
    report: PruneReport,
}

/// Why a step's filling ended.
#[derive(PartialEq, Eq)]
enum Filled {
    /// The batch is full.
    Full,
    /// There is nothing left to delete.
    Ended,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(
        storage: &'a Storage,
        floor: Version,
        last_block: Option<u64>,
        options: PruneOptions,
        progress: &'a mut dyn FnMut(PruneProgress),
    ) -> Self {
        Self {
            storage,
            floor,
            last_block,
            options,
            progress,
            batch: WriteBatch::new(),
            deletes: 0,
            next: Vec::new(),
            from: None,
            version: Version::ZERO,
            report: PruneReport { floor, ..PruneReport::default() },
        }
    }

    /// Deletes everything at or below the floor, or as much as the options allow.
    pub(super) fn run(mut self) -> Result<PruneReport> {
        let lists_end = change_log_key(self.floor.next(), 0);
        let blocks_end = Area::Blocks.range().end.unwrap_or_default();
        let is_complete = self.sweep(Area::ChangeLog, &lists_end, Self::fill_from_lists)?
            && self.sweep(Area::Blocks, blocks_end, Self::fill_from_blocks)?;
        self.report.is_complete = is_complete;
        Ok(self.report)
    }

    /// Goes through the keys of `area` up to `end`; `false` when the steps were used up.
    fn sweep(
        &mut self,
        area: Area,
        end: &[u8],
        fill: fn(&mut Self, &mut Rows) -> Result<Filled>,
    ) -> Result<bool> {
        self.next = area.prefix().to_vec();
        loop {
            if self.options.steps_max.is_some_and(|most| self.report.steps >= most) {
                return Ok(false);
            }
            let range = KeyRange::new(&self.next, Some(end));
            let mut rows = self.storage.rows(range, Direction::Forward)?;
            let filled = fill(self, &mut rows)?;
            drop(rows);
            self.write_step()?;
            if filled == Filled::Ended {
                return Ok(true);
            }
        }
    }

    fn fill_from_lists(&mut self, rows: &mut Rows) -> Result<Filled> {
        let mut old = Vec::new();
        while let Some((stored, part)) = rows.peek()? {
            let (version, _) = split_change_log_key(stored)?;
            self.from.get_or_insert(Version(version.0.saturating_sub(1)));
            let mut keys = ChangedKeys::new(part);
            loop {
                if self.is_full() {
                    // What is done of the list goes, so that even the smallest steps come to its end in runs of one step each.
                    if keys.rest().len() < part.len() {
                        self.batch.put(stored, keys.rest());
                    }
                    self.next = stored.to_vec();
                    return Ok(Filled::Full);
                }
                let Some(key) = keys.next() else { break };
                history_key(key?, version, &mut old);
                self.delete(&old);
            }
            // IMPORTANT: no earlier than the last old value that it names; see invariant 3 of the module.
            self.delete(stored);
            self.report.versions += u64::from(self.version != version);
            self.version = version;
            rows.advance();
        }
        Ok(Filled::Ended)
    }

    fn fill_from_blocks(&mut self, rows: &mut Rows) -> Result<Filled> {
        while let Some((stored, record)) = rows.peek()? {
            let block = BlockRecord::from_bytes(split_block_key(stored)?, record)?;
            if block.version >= self.floor
                || self.last_block.is_none_or(|last| block.number >= last)
            {
                return Ok(Filled::Ended);
            }
            if self.is_full() {
                self.next = stored.to_vec();
                return Ok(Filled::Full);
            }
            self.delete(stored);
            rows.advance();
        }
        Ok(Filled::Ended)
    }

    fn is_full(&self) -> bool {
        self.deletes >= self.options.step_operations
    }

    fn delete(&mut self, stored: &[u8]) {
        self.batch.delete(stored);
        self.deletes += 1;
    }

    fn write_step(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.storage.write(&self.batch, Durability::Buffered)?;
        self.report.steps += 1;
        self.report.operations += self.deletes as u64;
        self.batch.clear();
        self.deletes = 0;
        (self.progress)(PruneProgress {
            from: self.from.unwrap_or(self.floor),
            version: self.from.map_or(self.floor, |from| from.max(self.version)),
            floor: self.floor,
            steps: self.report.steps,
            operations: self.report.operations,
        });
        Ok(())
    }
}
