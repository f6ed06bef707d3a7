//! A data directory out of a full checkpoint and the incremental ones that follow it.

use super::codec::{Decoded, Wanted};
use super::convert::copy_and_compare;
use super::digests::digest_latest;
use super::expected::Expected;
use super::format::{Content, Hash, Header, Kind, Parent, damaged};
use super::incremental::CHANGES_FILE;
use super::past::Blocks;
use super::place::{Place, Source, beside, remove_dir};
use super::pool::threads;
use super::progress::{Meter, OnProgress, Phase};
use super::reader::{Failure, Reader};
use super::space::{SNAPSHOT_BYTES_MAX, check_bytes_max, check_free};
use super::survey::survey;
use super::target::Target;
use crate::digest::StateAccumulator;
use crate::history::View;
use crate::layout::{Area, Meta, Version, latest_key, split_record};
use crate::mvcc::{PART_BYTES, recover};
use crate::storage::{Digest, Storage, parent_dir, sync_dir};
use serde::Serialize;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use supervm_plugin_sdk::{ByteBuf, Direction, Durability, Error, ErrorKind, Result, WriteBatch};

const BUFFER_BYTES: usize = 1 << 20;

/// How checkpoints are restored.
#[derive(Debug, Clone, Copy)]
pub struct RestoreOptions {
    /// The snapshot digest of the last incremental checkpoint, and the block that its state is of.
    /// The digest covers, by way of the parents' ids, every incremental checkpoint, and the state
    /// of the full one. Default: none.
    pub expect: Expected,
    /// Maximum bytes of the incremental checkpoints' entries before compression. Default:
    /// [`SNAPSHOT_BYTES_MAX`].
    pub bytes_max: u64,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { expect: Expected::default(), bytes_max: SNAPSHOT_BYTES_MAX }
    }
}

/// What a restoring came to.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// The version of the restored state.
    pub version: Version,
    /// The number of its newest block.
    pub last_block: Option<u64>,
    /// The state digest, when it is kept.
    pub state_digest: Option<String>,
    /// Incremental checkpoints that were applied.
    pub links: u64,
    /// The snapshot digest of the last one, computed from its content.
    pub snapshot_digest: Option<String>,
}

/// Makes `target` a data directory out of the full checkpoint `base` and the incremental checkpoints `links`, oldest first.
///
/// # Behavior
/// - Complete or absent: made in `.<name>.partial` beside it and renamed at the end. After a kill, run it again.
/// - Each link's hashes, its parent's digest and its own are compared; one that was changed, left out or exchanged is refused.
/// - What the links say of blocks, the past and contracts is held against the checkpoints before them. That it is what the
///   source had, [`RestoreOptions::expect`] alone tells.
/// - The target may be of another backend than the base.
///
/// # Errors
/// `InvalidArgument` when there is something in the target's place, and for links that do not follow one another; `Corruption` for what was changed, with
/// the file and the chunk, and for a last link that is not the expected one; `QuotaFull` for more than `bytes_max`; `NoSpace` for more than is
/// free; those of both storages; `Io`.
pub fn restore(
    base: Place<'_>,
    links: &[&Path],
    target: Place<'_>,
    options: &RestoreOptions,
    on_progress: OnProgress<'_>,
) -> Result<RestoreReport> {
    if target.dir.symlink_metadata().is_ok() {
        let refused = "there is something already; name a directory that does not exist";
        let error = Error::new(ErrorKind::InvalidArgument, "restore", refused);
        return Err(error.with("dir", target.dir.display()));
    }
    check_links(links, target.dir, options)?;
    let partial = beside(target.dir, ".partial")?;
    remove_dir(&partial)?;
    let opened = Source::open(base, &beside(target.dir, ".source")?)?;
    let mut meter = Meter::new(on_progress);
    let place = Place { dir: &partial, ..target };
    let restored = restore_into(&opened.storage, links, place, options, &mut meter);
    meter.end();
    let closed = opened.close();
    let named = restored.and_then(|report| {
        closed?;
        let renamed = fs::rename(&partial, target.dir);
        renamed
            .and_then(|()| sync_dir(parent_dir(target.dir)))
            .map_err(|error| Error::io("restore", error))?;
        Ok(report)
    });
    named.inspect_err(|_| {
        // The failure is what is reported; the next run removes what is left.
        let _ = remove_dir(&partial);
    })
}

/// Holds what the links announce against the bounds, before anything is written.
fn check_links(links: &[&Path], target: &Path, options: &RestoreOptions) -> Result<()> {
    if links.is_empty() && options.expect != Expected::default() {
        let refused = "a full checkpoint has no snapshot digest; name its incremental ones";
        return Err(Error::new(ErrorKind::InvalidArgument, "restore", refused));
    }
    let mut bytes = 0_u64;
    for link in links {
        let file = link.join(CHANGES_FILE);
        let counts = File::open(&file)
            .map_err(|error| Error::io("open", error))
            .and_then(|mut opened| survey(&mut opened))
            .map_err(|error| error.with("file", file.display()))?;
        bytes = bytes.saturating_add(counts.map_or(0, |counts| counts.raw_bytes));
    }
    check_bytes_max(bytes, options.bytes_max)?;
    check_free(target, bytes)
}

fn restore_into(
    base: &Storage,
    links: &[&Path],
    place: Place<'_>,
    options: &RestoreOptions,
    meter: &mut Meter<'_>,
) -> Result<RestoreReport> {
    let chain_id = base.manifest().chain_id;
    let what = format!("restoring of {}", base.dir().display());
    let mut target = Target::begin(place, chain_id, &what, &[])?.target;
    let result = copy_and_compare(&View::new(base)?, base, &mut target, meter)
        .and_then(|()| recover(&target.storage, &Meta::read(&target.storage)?, PART_BYTES))
        .and_then(|()| Restoring::new(chain_id, Meta::read(&target.storage)?, options.bytes_max))
        .and_then(|mut restoring| {
            for link in links {
                let file = link.join(CHANGES_FILE);
                let applied = restoring.apply(&file, &mut target, meter);
                applied.map_err(|error| error.with("file", file.display()))?;
            }
            restoring.check_expected(&options.expect)?;
            Ok(restoring)
        });
    match result {
        Ok(restoring) => {
            meter.begin(Phase::Flushing, None, None);
            target.finish(WriteBatch::new())?;
            restoring.report()
        }
        Err(error) => {
            // The failure is what is reported.
            let _ = target.abandon();
            Err(error)
        }
    }
}

/// What is restored so far.
struct Restoring {
    chain_id: u64,
    meta: Meta,
    /// The state digest's accumulator, when it was computed.
    accumulator: Option<StateAccumulator>,
    /// The newest block of the base, then that which the last link says.
    last_block: Option<u64>,
    /// The id of the last link.
    file: Option<Hash>,
    /// The last link's header and snapshot digest.
    last: Option<(Header, Digest)>,
    links: u64,
    /// Raw bytes that the links still may have.
    bytes_left: u64,
}

impl Restoring {
    fn new(chain_id: u64, meta: Meta, bytes_max: u64) -> Result<Self> {
        let last_block = meta.last_block;
        Ok(Self {
            chain_id,
            meta,
            accumulator: None,
            last_block,
            file: None,
            last: None,
            links: 0,
            bytes_left: bytes_max,
        })
    }

    /// Is the last link the one that the caller trusts?
    fn check_expected(&self, expect: &Expected) -> Result<()> {
        self.last.as_ref().map_or(Ok(()), |(header, digest)| {
            expect.check_header(header).and_then(|()| expect.check_digest(*digest))
        })
    }

    fn report(self) -> Result<RestoreReport> {
        let kept = StateAccumulator::kept_digest(&self.meta)?;
        Ok(RestoreReport {
            version: self.meta.last_version,
            last_block: self.meta.last_block,
            state_digest: kept.map(hex::encode),
            links: self.links,
            snapshot_digest: self.last.map(|(_, digest)| digest.to_string()),
        })
    }

    /// Applies the changes in `file` and compares what they lead to.
    fn apply(&mut self, file: &Path, target: &mut Target<'_>, meter: &mut Meter<'_>) -> Result<()> {
        let opened = File::open(file).map_err(|error| Error::io("open", error))?;
        let mut buffered = BufReader::with_capacity(BUFFER_BYTES, opened);
        let mut reader = Reader::new(&mut buffered)?;
        reader.limit_bytes(self.bytes_left);
        let header = reader.header.clone();
        self.check_follows(&header, &target.storage, meter)?;
        meter.begin(Phase::Copying, header.entries_about, None);
        let wanted = Wanted { batch: true, ..Wanted::of(&header) };
        let mut blocks = Blocks::new(&header, &target.storage)?;
        let mut contracts = 0;
        let (trailer, id) = reader
            .chunks(threads(0), wanted, |chunk, _| {
                meter.add(u64::from(chunk.header.entries), u64::from(chunk.header.raw_bytes));
                let number = chunk.header.number;
                contracts += if chunk.header.kind == Kind::CodeIndex {
                    chunk.header.entries.into()
                } else {
                    0_u64
                };
                blocks
                    .take(&chunk)
                    .and_then(|()| self.take(&chunk, target))
                    .map_err(|error| error.with("chunk", number).into())
            })
            .map_err(Failure::into_error)?;
        target.commit(&[], &[])?;
        target.settle()?;
        blocks.check_end(&header)?;
        check_code_is_all(contracts, &target.storage)?;
        self.check_led_to(&header, &trailer.full_digest, &target.storage, meter)?;
        self.put_meta(&header, &target.storage)?;
        self.last_block = header.block.map(|block| block.number);
        self.file = Some(id);
        self.last = Some((header, Digest(trailer.snapshot_digest)));
        self.bytes_left = self.bytes_left.saturating_sub(trailer.counts.raw_bytes);
        self.links += 1;
        Ok(())
    }

    /// Are these changes of the state that is there?
    fn check_follows(
        &mut self,
        header: &Header,
        storage: &Storage,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let refused =
            |message: String| Err(Error::new(ErrorKind::InvalidArgument, "restore", message));
        let (Content::Changes, Some(parent)) = (header.content, &header.parent) else {
            return refused("the file holds a whole state; import it instead".to_owned());
        };
        if header.chain_id != self.chain_id {
            return refused(format!(
                "the changes are of chain {}, the checkpoint of chain {}",
                header.chain_id, self.chain_id
            ));
        }
        if parent.version != self.meta.last_version || parent.file != self.file {
            return refused(format!(
                "the changes follow version {} and not this checkpoint, which is at version {}; give the checkpoints from the full one on, oldest first",
                parent.version, self.meta.last_version
            ));
        }
        if parent.last_block != self.last_block {
            return Err(damaged("the parent's block is not that of the checkpoint before"));
        }
        if self.links == 0 {
            return self.check_base(parent, storage, meter);
        }
        // What the last link led to was compared; here only that this one says the same of it.
        let known = StateAccumulator::kept_digest(&self.meta)?;
        if parent.state_digest != known {
            return Err(damaged("the parent's digest is not that of the changes before"));
        }
        Ok(())
    }

    /// Is the full checkpoint the one that the first link builds upon?
    fn check_base(
        &mut self,
        parent: &Parent,
        storage: &Storage,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let matches = if let Some(told) = parent.state_digest {
            let accumulator = accumulate(storage, meter)?;
            let matches = accumulator.digest() == told;
            self.accumulator = Some(accumulator);
            matches
        } else {
            let computed = full_digest(storage, meter)?;
            parent.full_digest == Some(computed)
        };
        if matches {
            return Ok(());
        }
        Err(damaged("the full checkpoint's state is not the one that the changes build upon"))
    }

    fn take(&mut self, chunk: &Decoded, target: &mut Target<'_>) -> Result<()> {
        let kind = chunk.header.kind;
        match kind {
            Kind::State | Kind::Deleted => self.take_changes(chunk, target)?,
            Kind::CodeIndex => check_code_is_there(chunk, target)?,
            Kind::History | Kind::ChangeLog | Kind::Blocks | Kind::Code => {}
        }
        target.batch().append(&chunk.batch);
        if target.is_full() {
            target.commit(&[], &[])?;
        }
        Ok(())
    }

    /// Follows the changes with the accumulator, and deletes what was deleted.
    fn take_changes(&mut self, chunk: &Decoded, target: &mut Target<'_>) -> Result<()> {
        let (mut stored, mut old) = (Vec::new(), ByteBuf::new());
        for entry in chunk.entries() {
            let (key, record) = entry?;
            latest_key(key, &mut stored);
            if let Some(accumulator) = &mut self.accumulator {
                // No key comes twice in the changes, so the old value is not among what waits to be written.
                if target.storage.get_into(&stored, &mut old)? {
                    accumulator.remove(key, split_record(&old)?.1);
                }
                if chunk.header.kind == Kind::State {
                    accumulator.add(key, split_record(record)?.1);
                }
            }
            if chunk.header.kind == Kind::Deleted {
                target.batch().delete(&stored);
            }
        }
        Ok(())
    }

    /// Is the state the one that the changes lead to?
    fn check_led_to(
        &mut self,
        header: &Header,
        full: &Hash,
        storage: &Storage,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let matches = if let Some(told) = header.state_digest {
            let accumulator = match self.accumulator.take() {
                Some(accumulator) => accumulator,
                None => accumulate(storage, meter)?,
            };
            let matches = accumulator.digest() == told;
            self.accumulator = Some(accumulator);
            matches
        } else {
            self.accumulator = None;
            full_digest(storage, meter)? == *full
        };
        if matches {
            return Ok(());
        }
        Err(damaged("the changes do not lead to the state that they say"))
    }

    /// The facts about the whole after the changes.
    fn put_meta(&mut self, header: &Header, storage: &Storage) -> Result<()> {
        // The past before the base is as long as the base has it, and from there on nothing is missing.
        let floor = if self.meta.history.keeps_old_values() {
            self.meta.floor
        } else {
            self.meta.last_version
        };
        let kept = std::mem::take(&mut self.meta.accumulator);
        self.meta.last_version = header.version;
        self.meta.last_block = header.block.map(|block| block.number).or(self.meta.last_block);
        self.meta.history = header.history.unwrap_or(self.meta.history);
        self.meta.accumulator =
            self.accumulator.as_ref().map(StateAccumulator::to_bytes).unwrap_or_default();
        let mut batch = WriteBatch::new();
        if floor != self.meta.floor {
            Meta::put_floor(&mut batch, floor);
            self.meta.floor = floor;
        }
        Meta::put_last_version(&mut batch, self.meta.last_version);
        if let Some(number) = self.meta.last_block {
            Meta::put_last_block(&mut batch, number);
        }
        Meta::put_history(&mut batch, self.meta.history);
        if kept != self.meta.accumulator {
            Meta::put_accumulator(&mut batch, &self.meta.accumulator);
        }
        storage.write(&batch, Durability::Buffered)
    }
}

/// Every contract of the state must have come with one of the checkpoints.
fn check_code_is_there(chunk: &Decoded, target: &mut Target<'_>) -> Result<()> {
    target.commit(&[], &[])?;
    target.settle()?;
    let mut code = ByteBuf::new();
    for entry in chunk.entries() {
        let (address, _) = entry?;
        let stored = [&Area::Code.prefix()[..], address].concat();
        if !target.storage.get_into(&stored, &mut code)? {
            return Err(damaged("a contract of the state is in none of the checkpoints")
                .with("address", hex::encode(address)));
        }
    }
    Ok(())
}

/// A checkpoint names all contracts of its state, and none is ever removed.
fn check_code_is_all(named: u64, storage: &Storage) -> Result<()> {
    let mut rows = storage.rows(Area::Code.range(), Direction::Forward)?;
    let mut there = 0;
    while rows.next()?.is_some() {
        there += 1;
    }
    if there == named {
        return Ok(());
    }
    Err(damaged("the changes do not name the contracts of the state")
        .with("named", named)
        .with("found", there))
}

fn accumulate(storage: &Storage, meter: &mut Meter<'_>) -> Result<StateAccumulator> {
    meter.begin(Phase::Verifying, None, None);
    let rows = storage.rows(Area::Latest.range(), Direction::Forward)?;
    StateAccumulator::of_latest(rows, |bytes| meter.add(1, bytes as u64))
}

fn full_digest(storage: &Storage, meter: &mut Meter<'_>) -> Result<Hash> {
    meter.begin(Phase::Verifying, None, None);
    let rows = storage.rows(Area::Latest.range(), Direction::Forward)?;
    digest_latest(rows, |bytes| meter.add(1, bytes as u64))
}
