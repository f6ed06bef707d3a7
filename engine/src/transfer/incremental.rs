//! Incremental checkpoints: what changed since another checkpoint.
//!
//! A checkpoint of this kind is a directory with one file of changes. Beside the latest values it carries the old ones, the lists of
//! changed keys and the blocks in between, so that what is restored has the same past as what it was taken from. Each names the state
//! that it builds upon by its digest, and its own by another: a chain in which no link can be exchanged.
//!
//! ```text
//! full, version 100          changes 100 -> 140          changes 140 -> 180
//! digest A            <----- parent A, digest B   <----- parent B and the file's id, digest C
//! ```

use super::codec::Wanted;
use super::digests::digest_latest;
use super::export::ExportOptions;
use super::finished::check_finished;
use super::format::{BlockHeader, Content, Counts, Hash, Header, Kind, Parent, Trailer};
use super::place::{Place, Source, beside, remove_dir};
use super::pool::threads;
use super::progress::{Meter, OnProgress, Phase};
use super::reader::{Failure, Reader};
use super::writer::{Finished, Packing, Writer, Written, write_chunks};
use crate::digest::StateAccumulator;
use crate::history::{CHANGED_KEYS_BYTES_MAX, ChangedKeyStream, View};
use crate::layout::{
    Area, BlockRecord, Meta, block_key, change_log_key, history_prefix, latest_key,
};
use crate::storage::{Digest, Rows, Snapshot, Storage, parent_dir, sync_dir};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{
    ByteBuf, Direction, Error, ErrorKind, KeyRange, Result, prefix_successor,
};

/// The file in the directory of an incremental checkpoint.
pub const CHANGES_FILE: &str = "changes.snapshot";
const BUFFER_BYTES: usize = 1 << 20;

/// The checkpoint that another one builds upon.
#[derive(Debug, Clone, Copy)]
pub enum ParentCheckpoint<'a> {
    /// A full one: a data directory.
    Full(Place<'a>),
    /// An incremental one: its directory.
    Incremental(&'a Path),
}

impl<'a> ParentCheckpoint<'a> {
    /// The checkpoint in `place`: an incremental one when it has a file of changes.
    pub fn at(place: Place<'a>) -> Self {
        if place.dir.join(CHANGES_FILE).is_file() {
            Self::Incremental(place.dir)
        } else {
            Self::Full(place)
        }
    }
}

/// What an incremental checkpoint came to.
#[derive(Debug, Clone, Serialize)]
pub struct IncrementalReport {
    /// What its file says of itself; the parent is in there.
    pub header: Header,
    /// How much there is.
    pub counts: Counts,
    /// The snapshot digest: everything that the file says, and by way of its parent's id, that
    /// every file before it says.
    #[serde(serialize_with = "super::as_text")]
    pub snapshot_digest: Digest,
    /// The file's id.
    #[serde(serialize_with = "hex::serde::serialize")]
    pub id: Hash,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// Writes what changed in `storage` since `parent` to `dir`, a directory that must not exist.
///
/// # Behavior
/// - Complete or absent: written to `.<name>.partial` beside it and renamed. A later run begins anew.
/// - Commits may go on meanwhile; pruning to past the parent may make it fail.
/// - Costs what changed, when the store keeps a state digest; without one, both states are read whole for theirs.
/// - Holds at most [`CHANGED_KEYS_BYTES_MAX`] of changed keys in memory. When there are more, the lists of changed keys are read
///   several times: three or four times for each such part of the keys.
/// - `on_progress` is told bytes before compression.
///
/// # Errors
/// `Unsupported` when the store keeps no history or the storage has no snapshots; `VersionPruned` when the parent is older than
/// the floor; `Busy` in the middle of a commit of several batches; `InvalidArgument` when `dir` exists, or when the parent is of another chain or is newer; `Corruption` for a damaged parent; those
/// of both storages; `Io`, `NoSpace`.
pub fn checkpoint_incremental(
    storage: &Storage,
    parent_checkpoint: ParentCheckpoint<'_>,
    dir: &Path,
    options: &ExportOptions,
    on_progress: OnProgress<'_>,
) -> Result<IncrementalReport> {
    let keys_bytes_max = CHANGED_KEYS_BYTES_MAX;
    checkpoint_within(storage, parent_checkpoint, dir, options, keys_bytes_max, on_progress)
}

/// [`checkpoint_incremental`] with at most `keys_bytes_max` of changed keys in memory. For tests.
#[doc(hidden)]
pub fn checkpoint_within(
    storage: &Storage,
    parent_checkpoint: ParentCheckpoint<'_>,
    dir: &Path,
    options: &ExportOptions,
    keys_bytes_max: usize,
    on_progress: OnProgress<'_>,
) -> Result<IncrementalReport> {
    let packing = options.packing()?;
    if dir.symlink_metadata().is_ok() {
        let refused = "the directory exists; name one that does not";
        let error = Error::new(ErrorKind::InvalidArgument, "checkpoint", refused);
        return Err(error.with("dir", dir.display()));
    }
    let partial = beside(dir, ".partial")?;
    remove_dir(&partial)?;
    fs::create_dir_all(&partial).map_err(|error| Error::io("checkpoint", error))?;
    let mut meter = Meter::new(on_progress);
    let written = Known::of(parent_checkpoint, &partial.join("parent"))
        .and_then(|known| Changes::new(storage, known, keys_bytes_max))
        .and_then(|changes| write(changes, &partial, packing, &mut meter))
        .and_then(|report| {
            let renamed = fs::rename(&partial, dir).and_then(|()| sync_dir(parent_dir(dir)));
            renamed.map(|()| report).map_err(|error| Error::io("checkpoint", error))
        });
    meter.end();
    written.inspect_err(|_| {
        // The failure is what is reported; the next run removes what is left.
        let _ = remove_dir(&partial);
    })
}

/// What has to be known of the parent.
struct Known {
    chain_id: u64,
    parent: Parent,
    code: BTreeSet<Vec<u8>>,
}

impl Known {
    fn of(checkpoint: ParentCheckpoint<'_>, copy: &Path) -> Result<Self> {
        match checkpoint {
            ParentCheckpoint::Incremental(dir) => Self::of_file(&dir.join(CHANGES_FILE)),
            ParentCheckpoint::Full(place) => {
                let source = Source::open(place, copy)?;
                let known = Self::of_storage(&source.storage);
                source.close().and(known)
            }
        }
    }

    fn of_storage(storage: &Storage) -> Result<Self> {
        let meta = Meta::read(storage)?;
        check_finished(&meta, "checkpoint", |range| storage.rows(range, Direction::Forward))?;
        let (state_digest, full_digest) =
            digests(&meta, || storage.rows(Area::Latest.range(), Direction::Forward))?;
        let range = Area::Code.range();
        let mut code = BTreeSet::new();
        let mut rows = storage.rows(range, Direction::Forward)?;
        while let Some((stored, _)) = rows.next()? {
            code.insert(stored[range.start.len()..].to_vec());
        }
        let parent = Parent {
            version: meta.last_version,
            last_block: meta.last_block,
            state_digest,
            full_digest,
            file: None,
        };
        Ok(Self { chain_id: storage.manifest().chain_id, parent, code })
    }

    fn of_file(file: &Path) -> Result<Self> {
        let read = || {
            let opened = File::open(file).map_err(|error| Error::io("open", error))?;
            let mut buffered = BufReader::with_capacity(BUFFER_BYTES, opened);
            let mut reader = Reader::new(&mut buffered)?;
            let header = reader.header.clone();
            let mut code = BTreeSet::new();
            let wanted = Wanted::of(&header);
            let (trailer, id) = reader
                .chunks(threads(0), wanted, |chunk, _| {
                    if chunk.header.kind == Kind::CodeIndex {
                        for entry in chunk.entries() {
                            code.insert(entry?.0.to_vec());
                        }
                    }
                    Ok(())
                })
                .map_err(Failure::into_error)?;
            let full = header.state_digest.is_none().then_some(trailer.full_digest);
            let parent = Parent {
                version: header.version,
                last_block: header.block.map(|block| block.number),
                state_digest: header.state_digest,
                full_digest: full,
                file: Some(id),
            };
            Ok(Self { chain_id: header.chain_id, parent, code })
        };
        read().map_err(|error: Error| error.with("file", file.display()))
    }
}

/// The state digest, or else the full one of the latest values in `rows`.
pub(super) fn digests(
    meta: &Meta,
    rows: impl FnOnce() -> Result<Rows>,
) -> Result<(Option<Hash>, Option<Hash>)> {
    match StateAccumulator::kept_digest(meta)? {
        Some(digest) => Ok((Some(digest), None)),
        None => Ok((None, Some(digest_latest(rows()?, |_| {})?))),
    }
}

fn write(
    mut changes: Changes,
    partial: &Path,
    packing: Packing,
    meter: &mut Meter<'_>,
) -> Result<IncrementalReport> {
    meter.begin(Phase::Copying, changes.header.entries_about, None);
    let path: PathBuf = partial.join(CHANGES_FILE);
    let io = |error| Error::io("write checkpoint", error);
    let file = File::create(&path).map_err(io)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &file);
    let header = changes.header.clone();
    let bytes = header.to_bytes();
    out.write_all(&bytes).map_err(io)?;
    let hash = *bytes.last_chunk().expect("a header ends in its hash");
    let written = Written::header(hash, bytes.len());
    let full = changes.full_digest.unwrap_or_default();
    let finished =
        write_chunks(&mut out, &header, written, packing, meter, Some(full), |writer| {
            changes.put_all(writer)
        })?;
    drop(out);
    file.sync_all().and_then(|()| sync_dir(partial)).map_err(io)?;
    let Finished { trailer: Trailer { counts, snapshot_digest, .. }, id, file_bytes } = finished;
    let snapshot_digest = Digest(snapshot_digest);
    Ok(IncrementalReport { header, counts, snapshot_digest, id, file_bytes })
}

/// What changed, of one moment.
struct Changes {
    snapshot: Snapshot,
    header: Header,
    full_digest: Option<Hash>,
    parent: Parent,
    /// The keys of chain state that changed, in order; each use rewinds it first.
    keys: ChangedKeyStream,
    code: BTreeSet<Vec<u8>>,
}

impl Changes {
    fn new(storage: &Storage, known: Known, keys_bytes_max: usize) -> Result<Self> {
        let Known { chain_id, parent, code } = known;
        let snapshot = storage.snapshot()?;
        let meta = Meta::read_with(|key| snapshot.get(key))?;
        check_parent(storage, chain_id, &parent, &meta)?;
        check_finished(&meta, "checkpoint", |range| snapshot.rows(range, Direction::Forward))?;
        let view = View::Moment(snapshot.clone());
        let mut keys =
            ChangedKeyStream::new(view, parent.version, meta.last_version, keys_bytes_max)?;
        let (state_digest, full_digest) =
            digests(&meta, || snapshot.rows(Area::Latest.range(), Direction::Forward))?;
        let block = match meta.last_block {
            None => None,
            Some(number) => match snapshot.get(&block_key(number))? {
                Some(record) => {
                    let record = BlockRecord::from_bytes(number, &record)?;
                    Some(BlockHeader::of(record, meta.last_version, state_digest))
                }
                None => None,
            },
        };
        let header = Header {
            content: Content::Changes,
            backend: storage.backend_name().to_owned(),
            chain_id,
            version: meta.last_version,
            block,
            state_digest,
            history: Some(meta.history),
            parent: Some(parent.clone()),
            entries_about: Some(keys.count_keys()?),
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok(Self { snapshot, header, full_digest, parent, keys, code })
    }

    fn put_all(&mut self, writer: &mut Writer<'_, '_, '_>) -> Result<()> {
        self.put_latest(writer)?;
        self.put_history(writer)?;
        let from = self.parent.version.next();
        self.put_area(writer, Kind::ChangeLog, Area::ChangeLog, &change_log_key(from, 0))?;
        let from = self.parent.last_block.map_or(0, |number| number.saturating_add(1));
        self.put_area(writer, Kind::Blocks, Area::Blocks, &block_key(from))?;
        self.put_code(writer)
    }

    /// The new values, then the keys that are gone.
    fn put_latest(&mut self, writer: &mut Writer<'_, '_, '_>) -> Result<()> {
        let (mut stored, mut record) = (Vec::new(), ByteBuf::new());
        let mut has_deleted = false;
        self.keys.rewind();
        while let Some(key) = self.keys.next()? {
            latest_key(key, &mut stored);
            if self.snapshot.get_into(&stored, &mut record)? {
                writer.put(Kind::State, key, &record)?;
            } else {
                has_deleted = true;
            }
        }
        if !has_deleted {
            return Ok(());
        }
        // Looked up again rather than remembered: they may be as many as all keys.
        self.keys.rewind();
        while let Some(key) = self.keys.next()? {
            latest_key(key, &mut stored);
            if !self.snapshot.get_into(&stored, &mut record)? {
                writer.put(Kind::Deleted, key, &[])?;
            }
        }
        Ok(())
    }

    /// The old values that were superseded after the parent.
    fn put_history(&mut self, writer: &mut Writer<'_, '_, '_>) -> Result<()> {
        let area = Area::History.range();
        let mut prefix = Vec::new();
        self.keys.rewind();
        while let Some(key) = self.keys.next()? {
            history_prefix(key, &mut prefix);
            let end = prefix_successor(&prefix);
            prefix.extend_from_slice(&self.parent.version.next().0.to_be_bytes());
            let range = KeyRange::new(&prefix, end.as_deref());
            let mut rows = self.snapshot.rows(range, Direction::Forward)?;
            while let Some((stored, record)) = rows.next()? {
                writer.put(Kind::History, &stored[area.start.len()..], record)?;
            }
        }
        Ok(())
    }

    fn put_area(
        &self,
        writer: &mut Writer<'_, '_, '_>,
        kind: Kind,
        area: Area,
        start: &[u8],
    ) -> Result<()> {
        let range = area.range();
        let mut rows = self.snapshot.rows(KeyRange { start, ..range }, Direction::Forward)?;
        while let Some((stored, value)) = rows.next()? {
            writer.put(kind, &stored[range.start.len()..], value)?;
        }
        Ok(())
    }

    /// The contracts that the parent does not have, and the addresses of all.
    fn put_code(&self, writer: &mut Writer<'_, '_, '_>) -> Result<()> {
        let range = Area::Code.range();
        let mut all = Vec::new();
        let mut rows = self.snapshot.rows(range, Direction::Forward)?;
        while let Some((stored, wasm)) = rows.next()? {
            let address = &stored[range.start.len()..];
            if !self.code.contains(address) {
                writer.put(Kind::Code, address, wasm)?;
            }
            all.push(address.to_vec());
        }
        all.iter().try_for_each(|address| writer.put(Kind::CodeIndex, address, &[]))
    }
}

/// Can the changes since `parent` be told?
fn check_parent(storage: &Storage, chain_id: u64, parent: &Parent, meta: &Meta) -> Result<()> {
    let refused = |kind, message: String| Err(Error::new(kind, "checkpoint", message));
    let own = storage.manifest().chain_id;
    if chain_id != own {
        let message = format!("the parent is of chain {chain_id}, the state of chain {own}");
        return refused(ErrorKind::InvalidArgument, message);
    }
    if !meta.history.keeps_old_values() {
        let message = "an incremental checkpoint needs history, which this store does not keep; take a full one, or set the mode to window or archive";
        return refused(ErrorKind::Unsupported, message.to_owned());
    }
    if parent.version > meta.last_version {
        let message = format!(
            "the parent is at version {}, newer than the state at version {}",
            parent.version, meta.last_version
        );
        return refused(ErrorKind::InvalidArgument, message);
    }
    if parent.version < meta.floor {
        let message = format!(
            "the parent is at version {}, and what changed before version {} was pruned; take a full checkpoint",
            parent.version, meta.floor
        );
        return refused(ErrorKind::VersionPruned, message);
    }
    Ok(())
}
