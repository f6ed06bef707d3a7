//! From a transaction to a version.

use super::cell::Cell;
use super::config::{Acknowledgement, Block, CommitOptions, Isolation};
use super::group::Ticket;
use super::inner::Inner;
use super::large::{ChangeWriter, LargeCommit};
use super::mutant::{Mutant, mutant};
use super::recent::Write;
use super::recovery::delete_old_values;
use super::sequencer::{GroupBatch, Sequencer};
use super::size::Size;
use super::txn::{CellSet, ScannedRange};
use super::value::Value;
use crate::digest::StateAccumulator;
use crate::layout::{BlockRecord, Meta, Version, block_key, put_changed_keys};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_plugin_sdk::{Capability, Direction, Durability, Error, ErrorKind, KeyRange, Result};

/// Settled writes that a commit takes out of the recent ones at least, where they are many.
const SETTLED_MIN: usize = 256;
/// Writes since a transaction began up to which they are held against its ranges one by one.
const SCANNED_ONE_BY_ONE_MAX: usize = 32;
/// Writes that are held against the ranges with the recent writes locked: some 100 us.
const SCANNED_AT_ONCE_MAX: usize = 4096;
/// Cells of a range that are looked at in one step.
const PAGE_CELLS: usize = 256;

/// Writes whose effect on the digest one thread computes at a time: some 100 us of work.
const DELTA_WRITES: usize = 128;

/// What a transaction asks for.
pub(super) struct Request<'a> {
    pub(super) read_version: Version,
    pub(super) isolation: Isolation,
    pub(super) reads: &'a CellSet<()>,
    pub(super) ranges: &'a [ScannedRange],
    pub(super) writes: &'a CellSet<Value>,
    /// How the writes change the digest, where that was found out before.
    pub(super) delta: Option<&'a StateAccumulator>,
    pub(super) options: CommitOptions,
}

impl Inner {
    pub(super) fn commit(&self, request: &Request<'_>) -> Result<Version> {
        let is_synced = self.is_synced(request.options.acknowledgement)?;
        // Valid if the commit is: it rests on the values that the check finds unchanged.
        let delta = self.config.digest.then(|| match request.delta {
            Some(delta) => Cow::Borrowed(delta),
            None => Cow::Owned(delta_of(request.writes.as_slice(), request.read_version)),
        });
        // As well: a commit is too large or not, whatever others commit.
        let size = match self.backend {
            Some(_) => self.size(request)?,
            None => Size::default(),
        };
        let checked = self.check_ranges(request).inspect_err(|_| self.counters.conflicts.add(1))?;
        let (ticket, leaves_old) = {
            let mut sequencer = self.sequencer.lock();
            if let Some(poison) = &sequencer.poison {
                return Err(poisoned(poison));
            }
            check_block(&sequencer, request.options.block)?;
            sequencer.last.of_next_commit()?;
            if let Err(conflict) = self.check_conflicts(&sequencer, request, checked) {
                self.counters.conflicts.add(1);
                if mutant(Mutant::HoleAfterConflict) {
                    sequencer.last = sequencer.last.next();
                }
                return Err(conflict);
            }
            let leaves_old = self.is_large(size) && !sequencer.history.keeps_old_values();
            (
                self.take_effect(&mut sequencer, request, delta.as_deref(), size, is_synced),
                leaves_old,
            )
        };
        self.counters.commits.add(1);
        self.settle_when_long(request.writes.len());
        if let Some(storage) = &self.backend {
            self.write_group(ticket)?;
            if leaves_old {
                // The commit has taken effect, whatever becomes of this: nothing reads the old values any more, and when the store is
                // opened what is left of them is deleted.
                let before = Version(ticket.version.0.saturating_sub(1));
                let _ = delete_old_values(
                    storage,
                    before,
                    ticket.version,
                    self.config.bounds.part_bytes,
                );
            }
            self.evict_when_full();
        }
        self.collect_when_many();
        Ok(ticket.version)
    }

    /// What the writes count.
    fn size(&self, request: &Request<'_>) -> Result<Size> {
        let size = Size::of(request.writes, request.read_version);
        size.check_commit(self.config.bounds.commit_bytes_max)?;
        Ok(size)
    }

    /// Is a commit larger than a batch?
    fn is_large(&self, size: Size) -> bool {
        self.has_backend() && !size.fits_batch(self.config.bounds.batch_bytes_max)
    }

    /// Does the commit wait for a sync?
    fn is_synced(&self, asked: Option<Acknowledgement>) -> Result<bool> {
        let Some(storage) = &self.backend else { return Ok(false) };
        match asked {
            None => Ok(storage.durability() == Durability::Synced),
            Some(Acknowledgement::Visible) => Ok(false),
            Some(Acknowledgement::Durable) => {
                storage.capabilities().require(Capability::SyncedWrites, "commit").map(|()| true)
            }
        }
    }

    /// Takes some settled writes out of the recent ones when there are many, and puts others in
    /// order, a few times as many as the commit that calls it added.
    fn settle_when_long(&self, added: usize) {
        let mut recent = self.recent.lock();
        if recent.is_long() {
            let most = SETTLED_MIN.max(added.saturating_mul(4));
            self.settle(&mut recent, most);
            recent.order_some(most);
        }
    }

    /// Checks that nothing was written to the scanned ranges since the transaction began, without
    /// the sequencer's lock. Returns the version up to which that is known.
    ///
    /// Scanned ranges may be long, so the commit then looks only at what came after that version.
    fn check_ranges(&self, request: &Request<'_>) -> Result<Version> {
        let window = request.read_version;
        let is_checked = request.isolation == Isolation::Serializable && !mutant(Mutant::Phantoms);
        if request.ranges.is_empty() || !is_checked {
            return Ok(Version::MAX);
        }
        let last = {
            let recent = self.recent.lock();
            if recent.len_after(window) <= SCANNED_ONE_BY_ONE_MAX {
                check_writes(recent.after(window), request.ranges)?;
                return Ok(recent.last());
            }
            recent.last()
        };
        for range in request.ranges {
            self.check_range(range, window)?;
        }
        // What came meanwhile, so that as little as possible is left for the sequencer.
        let recent = self.recent.lock();
        if recent.len_after(last) <= SCANNED_AT_ONCE_MAX {
            check_writes(recent.after(last), request.ranges)?;
            return Ok(recent.last());
        }
        Ok(last)
    }

    fn check_range(&self, range: &ScannedRange, window: Version) -> Result<()> {
        let mut start = range.start.clone();
        let mut page = Vec::new();
        loop {
            let ahead = KeyRange::new(&start, range.end.as_deref());
            page.clear();
            let mut recent = self.recent.lock();
            let has_more = recent.page(ahead, Direction::Forward, PAGE_CELLS, &mut page);
            drop(recent);
            if page.iter().any(|cell| cell.lock().newest_version() > window) {
                return Err(range_conflict(range));
            }
            match page.last() {
                Some(last) if has_more => {
                    start.clear();
                    start.extend_from_slice(last.key());
                    start.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Checks what the transaction read and writes; `checked` is what [`check_ranges`] returned.
    ///
    /// [`check_ranges`]: Self::check_ranges
    fn check_conflicts(
        &self,
        sequencer: &Sequencer,
        request: &Request<'_>,
        checked: Version,
    ) -> Result<()> {
        if self.readers.is_expired(request.read_version) {
            return Err(expired("commit"));
        }
        if let Some(after) = request.options.after {
            if after != sequencer.last {
                let refused = "something was committed since the version that this commit follows";
                return Err(Error::new(ErrorKind::Conflict, "commit", refused)
                    .with("last_version", sequencer.last));
            }
            if after <= request.read_version {
                // Then nothing at all has changed since the transaction began.
                return Ok(());
            }
        }
        let mut window = request.read_version;
        if mutant(Mutant::WindowAtCommit) {
            window = self.readers.visible();
        }
        let changed = |cell: &Cell| cell.lock().newest_version() > window;
        for (cell, _) in request.writes.iter() {
            if changed(cell) {
                return Err(conflict("a key that it writes", cell.key()));
            }
        }
        if request.isolation == Isolation::Snapshot {
            return Ok(());
        }
        for (cell, ()) in request.reads.iter() {
            let is_unchecked = mutant(Mutant::ReadsUnchecked)
                || mutant(Mutant::AbsentReadsUnchecked)
                    && cell.lock().at(window).and_then(Value::bytes).is_none();
            if !is_unchecked && changed(cell) {
                return Err(conflict("a key that it read", cell.key()));
            }
        }
        if checked < sequencer.last {
            check_writes(self.recent.lock().after(checked), request.ranges)?;
        }
        Ok(())
    }

    /// Installs the writes as `version`, and appends them to the batch of the `group`; without one,
    /// lists their keys. Returns how many versions they superseded, and the bytes that they take.
    fn install(
        &self,
        request: &Request<'_>,
        version: Version,
        keeps_old: bool,
        mut group: Option<&mut GroupBatch>,
    ) -> (usize, usize) {
        let (mut old_versions, mut bytes) = (0, 0);
        let mut change = ChangeWriter::new(version, keeps_old);
        let mut recent = self.recent.lock();
        for (cell, value) in request.writes.iter() {
            let mut chain = cell.lock();
            if let Some(group) = &mut group {
                let (old_version, old) = (chain.newest_version(), chain.newest());
                if let Some(large) = &mut group.large {
                    large.push(cell, (old_version, old), value);
                } else {
                    let old = old.bytes().map(|value| (old_version, value));
                    change.write(&mut group.batch, cell.key(), old, value.bytes());
                }
            } else if !chain.is_listed() {
                self.index.list(cell, &mut chain);
            }
            let superseded = chain.versions().min(1);
            old_versions += superseded;
            bytes += value.heap_bytes() + chain.install(version, value.clone());
            drop(chain);
            let has_garbage = superseded > 0 || value.bytes().is_none();
            recent.push(Write { version, cell: cell.clone(), has_garbage });
            if mutant(Mutant::PublishEarly) {
                std::thread::yield_now();
            }
        }
        drop(recent);
        (old_versions, bytes)
    }

    /// Gives the next version and installs the writes; without a backend, publishes them.
    fn take_effect(
        &self,
        sequencer: &mut Sequencer,
        request: &Request<'_>,
        delta: Option<&StateAccumulator>,
        size: Size,
        is_synced: bool,
    ) -> Ticket {
        let version = sequencer.last.next();
        let keeps_old = sequencer.history.keeps_old_values();
        let is_volatile = self.backend.is_none();
        if is_volatile && mutant(Mutant::PublishEarly) {
            self.readers.publish(version);
            std::thread::yield_now();
        }
        let group = (!is_volatile).then(|| self.batch_for(sequencer, version, size));
        let (old_versions, bytes) = self.install(request, version, keeps_old, group);
        self.garbage.grow(old_versions);
        self.memory.grow(bytes);
        sequencer.last = version;
        if let (Some(accumulator), Some(delta)) = (&mut sequencer.accumulator, delta) {
            accumulator.merge(delta);
        }
        let block = request.options.block.map(|block| BlockRecord {
            number: block.number,
            version,
            timestamp: block.timestamp,
            digest: sequencer.accumulator.as_ref().map_or([0; 32], StateAccumulator::digest),
        });
        sequencer.last_block = block.or(sequencer.last_block);
        sequencer.remember(&self.config.gc, || self.config.clock.now(), block.is_some());
        if is_volatile {
            self.readers.publish(version);
            self.group.set_last_block(block);
            return Ticket { version, batch: 0, operations: 0 };
        }
        let group = sequencer.batches.back_mut().expect("the commit is in it");
        if keeps_old && group.large.is_none() {
            put_changed_keys(
                &mut group.batch,
                version,
                request.writes.iter().map(|(cell, _)| cell.key()),
            );
        }
        if let Some(block) = &block {
            group.batch.put(&block_key(block.number), &block.to_bytes());
            Meta::put_last_block(&mut group.batch, block.number);
        }
        group.last = version;
        group.last_block = block.or(group.last_block);
        group.is_synced |= is_synced;
        group.commits += 1;
        Ticket::of_last(group)
    }

    /// The batch for the commit of `version`, of that `size`.
    fn batch_for<'a>(
        &self,
        sequencer: &'a mut Sequencer,
        version: Version,
        size: Size,
    ) -> &'a mut GroupBatch {
        let bounds = &self.config.bounds;
        if self.is_large(size) {
            return sequencer.batch_of(LargeCommit::new(version, size.keys, bounds.part_bytes));
        }
        sequencer.batch_for(size.bytes, size.operations(), bounds.batch_bytes_max)
    }
}

/// How the writes change the multiset of entries, found out by all threads on which `share` calls what it is given; `None` when there is too
/// little to share.
pub(super) fn shared_delta(
    writes: &CellSet<Value>,
    version: Version,
    share: impl FnOnce(&(dyn Fn() + Sync)),
) -> Option<StateAccumulator> {
    let parts: Vec<_> = writes.as_slice().chunks(DELTA_WRITES).collect();
    if parts.len() < 2 {
        return None;
    }
    let (next, sum) = (AtomicUsize::new(0), Mutex::new(StateAccumulator::default()));
    share(&|| {
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let delta = delta_of(part, version);
            sum.lock().merge(&delta);
        }
    });
    Some(sum.into_inner())
}

/// How the writes change the multiset of entries.
fn delta_of(writes: &[(Cell, Value)], version: Version) -> StateAccumulator {
    let mut delta = StateAccumulator::default();
    for (cell, value) in writes {
        let old = cell.lock().at(version).cloned();
        if let Some(old) = old.as_ref().and_then(Value::bytes) {
            delta.remove(cell.key(), old);
        }
        if let Some(new) = value.bytes() {
            delta.add(cell.key(), new);
        }
    }
    delta
}

pub(super) fn check_block(sequencer: &Sequencer, block: Option<Block>) -> Result<()> {
    let Some(block) = block else { return Ok(()) };
    let Block { number, timestamp } = block;
    let record = BlockRecord { number, version: Version::ZERO, timestamp, digest: [0; 32] };
    record.check_bounds("commit", ErrorKind::InvalidArgument)?;
    let Some(last) = &sequencer.last_block else { return Ok(()) };
    if block.number > last.number && block.timestamp >= last.timestamp {
        return Ok(());
    }
    let refused = format!(
        "block {} at {} does not follow block {} at {}; numbers rise, and timestamps do not fall",
        block.number, block.timestamp, last.number, last.timestamp
    );
    Err(Error::new(ErrorKind::InvalidArgument, "commit", refused))
}

/// Refuses when one of the `written` cells lies in one of `ranges`.
fn check_writes<'a>(
    mut written: impl Iterator<Item = &'a Cell>,
    ranges: &[ScannedRange],
) -> Result<()> {
    let conflict = written.find_map(|cell| ranges.iter().find(|range| range.contains(cell.key())));
    conflict.map_or(Ok(()), |range| Err(range_conflict(range)))
}

#[cold]
fn range_conflict(range: &ScannedRange) -> Error {
    conflict("a range that it read", &range.start)
}

/// The error of a transaction whose state is no longer kept.
#[cold]
pub(super) fn expired(operation: &'static str) -> Error {
    let refused = "the transaction is so old that memory has no room for what it reads; begin anew";
    Error::new(ErrorKind::SnapshotExpired, operation, refused)
}

#[cold]
fn conflict(what: &str, key: &[u8]) -> Error {
    let refused = format!("another transaction changed {what}; begin anew");
    let shown = &key[..key.len().min(64)];
    Error::new(ErrorKind::Conflict, "commit", refused).with("key", hex::encode(shown))
}

#[cold]
pub(super) fn poisoned(cause: &Error) -> Error {
    let refused = "an earlier write failed, and the store takes no more; open it anew";
    Error::new(ErrorKind::Poisoned, "commit", refused).with_source(cause.repeated())
}
