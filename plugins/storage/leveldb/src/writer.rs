//! Batches: from the contract's operations to LevelDB's, into the log and onto the disk.
//!
//! LevelDB deletes keys, not ranges. A batch with ranges is written in two parts of one LevelDB batch: first every stored key in any of
//! the ranges is deleted, then the batch's operations follow in their order, where a range deletes only what the same batch put before it.
//! A put that follows a range wins over both. Example: `a` and `b` are stored; the batch is `put c, delete [a, d), put b`. What is written:
//! `delete a, delete b | put c, delete c, put b`.
//!
//! A batch that LevelDB failed to append may stand in the log in part, and LevelDB loses count of where the log's blocks begin. So a failed
//! write ends writing until the storage is opened anew.

use crate::database::{Batch, Database};
use crate::error::Failure;
use crate::log_tail::LogTail;
use std::collections::BTreeSet;
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

/// LevelDB counts a batch's operations in 32 bits.
const OPERATIONS_MOST: u64 = u32::MAX as u64;
/// Bytes of a batch whose memory is kept for the next one.
const KEPT_BYTES_MAX: usize = 4 << 20;

pub(crate) struct Writer {
    database: Arc<Database>,
    log: LogTail,
    /// Empty between two writes.
    batch: Batch,
    mark: Mark,
}

/// What the log has to say to `recovery` before the next write: everything before it is synced.
struct Mark {
    /// Without operations.
    batch: Batch,
    is_due: bool,
}

impl Writer {
    pub(crate) fn new(database: Arc<Database>, log: LogTail) -> Self {
        let mark = Mark { batch: Batch::new(), is_due: false };
        Self { database, log, batch: Batch::new(), mark }
    }

    pub(crate) fn write(&mut self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        let written = self.encode(batch).and_then(|()| {
            let appended = if batch.is_empty() { Ok(()) } else { self.append("write") };
            appended.and_then(|()| self.sync("write", durability)).map_err(unknown)
        });
        let is_large = batch.as_bytes().len() > KEPT_BYTES_MAX;
        if is_large {
            self.batch = Batch::new()
        } else {
            self.batch.clear()
        }
        written
    }

    pub(crate) fn sync(&mut self, operation: &'static str, durability: Durability) -> Result<()> {
        match durability {
            // What was appended is the operating system's, and survives the process.
            Durability::Buffered => Ok(()),
            Durability::Synced => {
                self.log.sync().map_err(|error| Error::io(operation, error))?;
                self.mark.is_due = true;
                Ok(())
            }
        }
    }

    /// Did the background work of LevelDB fail? It says so only to a write; the mark is one.
    pub(crate) fn check(&mut self, operation: &'static str) -> Result<()> {
        self.sync(operation, Durability::Synced)?;
        self.append_mark(operation)
    }

    fn append(&mut self, operation: &'static str) -> Result<()> {
        if self.mark.is_due {
            self.append_mark(operation)?;
        }
        self.database.write(&mut self.batch).map_err(|failure| failure.during(operation))?;
        self.follow(operation)
    }

    fn append_mark(&mut self, operation: &'static str) -> Result<()> {
        self.database.write(&mut self.mark.batch).map_err(|failure| failure.during(operation))?;
        self.mark.is_due = false;
        self.follow(operation)
    }

    fn follow(&mut self, operation: &'static str) -> Result<()> {
        self.log.follow().map_err(|error| Error::io(operation, error))
    }

    /// Fills the LevelDB batch. On an error nothing was written.
    fn encode(&mut self, batch: &WriteBatch) -> Result<()> {
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => self.batch.put(key, value),
                Operation::Delete { key } => self.batch.delete(key),
                Operation::DeleteRange { .. } => {
                    self.batch.clear();
                    return self.encode_with_ranges(batch);
                }
            }
        }
        Ok(())
    }

    fn encode_with_ranges(&mut self, batch: &WriteBatch) -> Result<()> {
        let stored = self.delete_stored(batch).map_err(|failure| failure.during("write"))?;
        let mut operations = stored;
        // Keys that the batch has put and not deleted again.
        let mut put: BTreeSet<&[u8]> = BTreeSet::new();
        for operation in batch.iter() {
            operations += 1;
            match operation {
                Operation::Put { key, value } => {
                    self.batch.put(key, value);
                    put.insert(key);
                }
                Operation::Delete { key } => {
                    self.batch.delete(key);
                    put.remove(key);
                }
                Operation::DeleteRange { range } => {
                    while let Some(&key) = put.range(range.start..).next()
                        && range.contains(key)
                    {
                        self.batch.delete(key);
                        put.remove(key);
                        operations += 1;
                    }
                }
            }
        }
        if operations > OPERATIONS_MOST {
            let message = "the ranges of the batch hold more keys than one batch can delete; delete them in parts";
            return Err(Error::new(ErrorKind::BatchTooLarge, "write", message)
                .with("operations", operations)
                .with("limit", OPERATIONS_MOST));
        }
        Ok(())
    }

    /// Deletes every stored key in one of the batch's ranges, each once, and says how many there are.
    fn delete_stored(&mut self, batch: &WriteBatch) -> std::result::Result<u64, Failure> {
        let mut stored = self.database.scan();
        let mut deleted = 0;
        for range in union_of_ranges(batch) {
            stored.seek(range.start);
            while let Some((key, _)) = stored.entry()
                && range.contains(key)
            {
                self.batch.delete(key);
                deleted += 1;
                stored.next();
            }
        }
        stored.status().map(|()| deleted)
    }
}

/// The ranges that a batch deletes, in order, where they touch or overlap as one.
fn union_of_ranges(batch: &WriteBatch) -> Vec<KeyRange<'_>> {
    let mut ranges: Vec<_> = batch
        .iter()
        .filter_map(|operation| match operation {
            Operation::DeleteRange { range } if !range.is_empty() => Some(range),
            _ => None,
        })
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|later, earlier| {
        let touches = earlier.end.is_none_or(|end| later.start <= end);
        if touches {
            // No end is the greatest one.
            earlier.end = match (earlier.end, later.end) {
                (Some(one), Some(other)) => Some(one.max(other)),
                _ => None,
            };
        }
        touches
    });
    ranges
}

fn unknown(error: Error) -> Error {
    error.with_effect(Effect::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_or_overlap_are_read_once() {
        let mut batch = WriteBatch::new();
        let ranges: [(&[u8], Option<&[u8]>); 7] = [
            (b"m", Some(b"p")),
            (b"a", Some(b"c")),
            (b"b", Some(b"d")),
            (b"d", Some(b"e")),
            (b"x", None),
            (b"y", Some(b"z")),
            (b"q", Some(b"q")),
        ];
        ranges.iter().for_each(|(start, end)| batch.delete_range(KeyRange::new(start, *end)));
        let expected: [KeyRange<'_>; 3] = [
            KeyRange::new(b"a", Some(b"e")),
            KeyRange::new(b"m", Some(b"p")),
            KeyRange::new(b"x", None),
        ];
        assert_eq!(union_of_ranges(&batch), expected);
    }
}
