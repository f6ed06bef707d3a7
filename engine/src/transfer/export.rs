//! From chain state to a snapshot file.

use super::codec::Wanted;
use super::format::{Content, Counts, Hash, Header, Kind};
use super::moment::Moment;
use super::place::beside;
use super::pool::threads;
use super::progress::{Meter, OnProgress, Phase, Resumed};
use super::reader::{Failure, Reader};
use super::writer::{Finished, Packing, Writer, Written, write_chunks};
use crate::layout::{Area, Version, deployed_at, put_record};
use crate::storage::{Digest, Storage, parent_dir, sync_dir};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use supervm_plugin_sdk::{Direction, Error, ErrorKind, KeyRange, Result};
use tempfile::TempPath;

const BUFFER_BYTES: usize = 1 << 20;
/// The level of zstd at which chunks are packed unless said: what the bound of two threads and a disk leaves time for.
const LEVEL: i32 = 1;

/// Which state is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportAt {
    /// The newest one.
    #[default]
    Latest,
    /// As of a version.
    Version(Version),
    /// After a block.
    Block(u64),
}

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions {
    /// The level of zstd, 1 to 22. Default: 1.
    pub level: i32,
    /// Threads that pack; 0 = as many as the machine has, at most 16. Default: 0.
    pub threads: usize,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { level: LEVEL, threads: 0 }
    }
}

impl ExportOptions {
    pub(super) fn packing(&self) -> Result<Packing> {
        if !(1..=22).contains(&self.level) {
            let refused = format!("level {} is none of zstd's; 1 to 22", self.level);
            return Err(Error::new(ErrorKind::InvalidArgument, "export", refused));
        }
        Ok(Packing { threads: threads(self.threads), level: self.level })
    }
}

/// What an export came to.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// What the file says of itself.
    pub header: Header,
    /// How much there is.
    pub counts: Counts,
    /// The SHA-256 of the entries of chain state (clause 23).
    #[serde(serialize_with = "super::as_text")]
    pub full_digest: Digest,
    /// The snapshot digest: everything that the file says, and equal for equal states on every
    /// backend. The one to compare.
    #[serde(serialize_with = "super::as_text")]
    pub snapshot_digest: Digest,
    /// The file's id.
    #[serde(serialize_with = "hex::serde::serialize")]
    pub id: Hash,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// What was made of an earlier run.
    pub resumed: Resumed,
}

impl ExportReport {
    fn new(header: Header, finished: Finished, resumed: Resumed) -> Self {
        Self {
            header,
            counts: finished.trailer.counts,
            full_digest: Digest(finished.trailer.full_digest),
            snapshot_digest: Digest(finished.trailer.snapshot_digest),
            id: finished.id,
            file_bytes: finished.file_bytes,
            resumed,
        }
    }
}

/// Writes the state that `storage` has `at` a moment to a snapshot file.
///
/// `on_progress` is told bytes before compression.
///
/// # Behavior
/// - The file is complete or absent: it is written to `.<name>.partial` beside it and renamed.
/// - After a kill the same call goes on after the last whole chunk. With [`ExportAt::Latest`] it goes on with the state that the first call
///   wrote of, as long as that can be read; else it begins anew and says so.
/// - Commits and pruning may go on meanwhile.
/// - Contracts that were deployed after the version are left out.
///
/// # Errors
/// `InvalidArgument` when the file exists, or for a version or block that is not there yet; `VersionPruned`; `Busy` while another
/// export writes the same file; those of the storage; `Io`, `NoSpace`, `PermissionDenied`.
pub fn export(
    storage: &Storage,
    at: ExportAt,
    file: &Path,
    options: &ExportOptions,
    on_progress: OnProgress<'_>,
) -> Result<ExportReport> {
    let named = |error: Error| error.with("file", file.display());
    let packing = options.packing()?;
    if file.symlink_metadata().is_ok() {
        let refused = "the file exists; remove it or name another";
        return Err(named(Error::new(ErrorKind::InvalidArgument, "export", refused)));
    }
    let mut meter = Meter::new(on_progress);
    PartialFile::open(file)
        .and_then(|partial| partial.export(storage, at, packing, &mut meter))
        .map_err(named)
}

/// As [`export`], to anything that can be written; not resumable.
///
/// # Errors
/// As [`export`].
pub fn export_stream(
    storage: &Storage,
    at: ExportAt,
    out: &mut dyn Write,
    options: &ExportOptions,
    on_progress: OnProgress<'_>,
) -> Result<ExportReport> {
    let packing = options.packing()?;
    let moment = Moment::new(storage, at)?;
    let mut meter = Meter::new(on_progress);
    let header = moment.header().clone();
    let bytes = header.to_bytes();
    out.write_all(&bytes).map_err(|error| Error::io("write snapshot file", error))?;
    let written = Written::header(hash_of(&bytes), bytes.len());
    let finished = copy(&moment, out, written, packing, &mut meter)?;
    Ok(ExportReport::new(header, finished, Resumed::Fresh))
}

/// A file that is being written under its temporary name; locked against another export.
struct PartialFile<'a> {
    target: &'a Path,
    path: std::path::PathBuf,
    file: File,
}

impl<'a> PartialFile<'a> {
    fn open(target: &'a Path) -> Result<Self> {
        let path = beside(target, ".partial")?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| Error::io("create snapshot file", error))?;
        file.try_lock().map_err(|_| {
            let busy = "another export is writing this file; wait for it";
            Error::new(ErrorKind::Busy, "export", busy)
        })?;
        Ok(Self { target, path, file })
    }

    fn export(
        mut self,
        storage: &Storage,
        at: ExportAt,
        packing: Packing,
        meter: &mut Meter<'_>,
    ) -> Result<ExportReport> {
        let (moment, written, resumed) = match self.earlier(storage, at, packing, meter)? {
            Earlier::GoesOn(part) => {
                let (moment, written) = *part;
                let entries = written.counts.entries();
                (moment, written, Resumed::Resumed { entries })
            }
            Earlier::Nothing => {
                let (moment, written) = self.begin(storage, at)?;
                (moment, written, Resumed::Fresh)
            }
            Earlier::IsUseless(reason) => {
                let (moment, written) = self.begin(storage, at)?;
                (moment, written, Resumed::BeganAnew { reason })
            }
        };
        let io = |error| Error::io("write snapshot file", error);
        self.file.set_len(written.file_bytes).map_err(io)?;
        self.file.seek(SeekFrom::Start(written.file_bytes)).map_err(io)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, &self.file);
        let finished = copy(&moment, &mut out, written, packing, meter)?;
        drop(out);
        meter.begin(Phase::Flushing, None, None);
        self.publish()?;
        meter.end();
        Ok(ExportReport::new(moment.header().clone(), finished, resumed))
    }

    fn begin(&mut self, storage: &Storage, at: ExportAt) -> Result<(Moment, Written)> {
        let moment = Moment::new(storage, at).inspect_err(|_| {
            // Nothing was written; what is left of the name is an empty file at worst.
            let _ = std::fs::remove_file(&self.path);
        })?;
        let bytes = moment.header().to_bytes();
        let io = |error| Error::io("write snapshot file", error);
        self.file.set_len(0).map_err(io)?;
        self.file.rewind().map_err(io)?;
        self.file.write_all(&bytes).map_err(io)?;
        Ok((moment, Written::header(hash_of(&bytes), bytes.len())))
    }

    /// What an earlier run left, up to its last whole chunk.
    fn earlier(
        &mut self,
        storage: &Storage,
        at: ExportAt,
        packing: Packing,
        meter: &mut Meter<'_>,
    ) -> Result<Earlier> {
        let io = |error| Error::io("read snapshot file", error);
        if self.file.metadata().map_err(io)?.len() == 0 {
            return Ok(Earlier::Nothing);
        }
        self.file.rewind().map_err(io)?;
        let mut buffered = BufReader::with_capacity(BUFFER_BYTES, &self.file);
        let mut reader = match Reader::new(&mut buffered) {
            Ok(reader) => reader,
            Err(error) => {
                return Ok(Earlier::IsUseless(format!(
                    "the earlier run left no whole header: {error}"
                )));
            }
        };
        let wanted_at = match at {
            ExportAt::Latest => ExportAt::Version(reader.header.version),
            at => at,
        };
        let moment = match Moment::new(storage, wanted_at) {
            Ok(moment) => moment,
            Err(error) if at == ExportAt::Latest => {
                return Ok(Earlier::IsUseless(format!(
                    "the state that the earlier run wrote of cannot be read any more: {error}"
                )));
            }
            Err(error) => return Err(error),
        };
        if !moment.header().is_same_state(&reader.header) {
            return Ok(Earlier::IsUseless("the earlier run wrote of another state".to_owned()));
        }
        meter.begin(Phase::Resuming, moment.header().entries_about, None);
        let written = whole_part(&mut reader, packing, meter)?;
        Ok(Earlier::GoesOn(Box::new((moment.with_header(reader.header), written))))
    }

    /// Gives the file its name, which must still be free.
    fn publish(self) -> Result<()> {
        let io = |error| Error::io("rename snapshot file", error);
        self.file.sync_all().map_err(io)?;
        let path = TempPath::try_from_path(&self.path).map_err(io)?;
        if let Err(refused) = path.persist_noclobber(self.target) {
            let error = refused.error;
            // It was long work; it stays for the next run.
            let _ = refused.path.keep();
            return Err(io(error));
        }
        sync_dir(parent_dir(self.target)).map_err(io)
    }
}

enum Earlier {
    Nothing,
    IsUseless(String),
    GoesOn(Box<(Moment, Written)>),
}

/// Reads the whole chunks that there are; a cut or damaged one ends them.
fn whole_part(reader: &mut Reader<'_>, packing: Packing, meter: &mut Meter<'_>) -> Result<Written> {
    let mut written = Written::header(reader.header_hash, reader.header.to_bytes().len());
    let wanted = Wanted::of(&reader.header);
    let read = reader.chunks(packing.threads, wanted, |chunk, chain| {
        meter.add(u64::from(chunk.header.entries), u64::from(chunk.header.raw_bytes));
        written.digest.add_hashed(&chunk.hashed);
        written.chain = *chain;
        written.file_bytes += chunk.header.file_bytes();
        Ok(())
    });
    match read {
        Ok(_) | Err(Failure::File(_)) => {}
        Err(Failure::Other(error)) => return Err(error),
    }
    written.counts = *reader.counts();
    written.content = reader.content().clone();
    written.last = reader.last();
    Ok(written)
}

/// Puts what is not written yet: chain state, then contracts.
fn copy(
    moment: &Moment,
    out: &mut dyn Write,
    written: Written,
    packing: Packing,
    meter: &mut Meter<'_>,
) -> Result<Finished> {
    let last = written.last.clone();
    let about = moment.header().entries_about;
    let left = about.map(|about| about.saturating_sub(written.counts.entries()));
    meter.begin(Phase::Copying, left, None);
    write_chunks(out, moment.header(), written, packing, meter, None, |writer| {
        match &last {
            None => put_state(moment, None, writer)?,
            Some((Kind::State, key)) => put_state(moment, Some(key), writer)?,
            Some(_) => {}
        }
        let code = match &last {
            Some((Kind::Code, key)) => Some(&key[..]),
            _ => None,
        };
        put_code(moment, code, writer)
    })
}

fn put_state(moment: &Moment, last: Option<&[u8]>, writer: &mut Writer<'_, '_, '_>) -> Result<()> {
    let mut rows = moment.state(KeyRange::new(last.unwrap_or_default(), None))?;
    let mut record = Vec::new();
    while let Some((key, version, value)) = rows.next()? {
        if last == Some(key) {
            continue;
        }
        put_record(version, value, &mut record);
        writer.put(Kind::State, key, &record)?;
    }
    Ok(())
}

fn put_code(moment: &Moment, last: Option<&[u8]>, writer: &mut Writer<'_, '_, '_>) -> Result<()> {
    let area = Area::Code.range();
    let mut start = area.start.to_vec();
    if let Some(last) = last {
        start.extend_from_slice(last);
        start.push(0);
    }
    let mut rows = moment.storage().rows(KeyRange { start: &start, ..area }, Direction::Forward)?;
    while let Some((stored, wasm)) = rows.next()? {
        let address = &stored[area.start.len()..];
        if deployed_at(address, |key| moment.storage().get(key))? <= moment.header().version {
            writer.put(Kind::Code, address, wasm)?;
        }
    }
    Ok(())
}

fn hash_of(header: &[u8]) -> Hash {
    *header.last_chunk().expect("a header ends in its hash")
}

impl Header {
    /// Do both tell of the same state?
    fn is_same_state(&self, other: &Self) -> bool {
        self.content == Content::State
            && self.content == other.content
            && self.chain_id == other.chain_id
            && self.version == other.version
            && self.block == other.block
            && self.state_digest == other.state_digest
    }
}
