//! From a snapshot file to a data directory.

use super::codec::{Decoded, Wanted};
use super::digests::digest_latest;
use super::expected::Expected;
use super::format::{Content, Counts, HASH_BYTES, Hash, Header, Kind, Trailer, damaged};
use super::place::{Place, absolute};
use super::pool::threads;
use super::progress::{Meter, OnProgress, Phase, Resumed};
use super::reader::{Failure, Reader};
use super::space::{SNAPSHOT_BYTES_MAX, check_bytes_max, check_free};
use super::survey::survey;
use super::target::{Begun, Target};
use crate::digest::StateAccumulator;
use crate::layout::{Area, BlockRecord, HistoryMode, Meta, Version, block_key};
use crate::storage::{Digest, DigestBuilder, unfinished};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use supervm_plugin_sdk::{Direction, Error, ErrorKind, Result};

const READ_BUFFER_BYTES: usize = 1 << 20;

/// How a file is taken in.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions {
    /// Refuse the state of another chain than this one. Default: `None`, any chain.
    pub chain_id: Option<u64>,
    /// The digests that the file has to have. Default: none.
    pub expect: Expected,
    /// Maximum bytes of the file's entries before compression. Default: [`SNAPSHOT_BYTES_MAX`].
    pub bytes_max: u64,
    /// How much of the past the new directory keeps from now on. Default: nothing.
    pub history: HistoryMode,
    /// Compute the state digest from the entries and compare it with the file's. Without it the new directory keeps no state
    /// digest until a store that keeps one opens it, and the record of its block has none. With an expected block it is always
    /// computed. Default: true.
    pub state_digest: bool,
    /// Read everything back and compare its digest. Default: true.
    pub read_back: bool,
    /// Threads that unpack; 0 = as many as the machine has, at most 16. Default: 0.
    pub threads: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            chain_id: None,
            expect: Expected::default(),
            bytes_max: SNAPSHOT_BYTES_MAX,
            history: HistoryMode::None,
            state_digest: true,
            read_back: true,
            threads: 0,
        }
    }
}

/// What an import came to.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// What the file says of itself.
    pub header: Header,
    /// How much there was.
    pub counts: Counts,
    /// The SHA-256 of the entries of chain state (clause 23).
    #[serde(serialize_with = "super::as_text")]
    pub full_digest: Digest,
    /// The snapshot digest, computed from the content. The one to compare.
    #[serde(serialize_with = "super::as_text")]
    pub snapshot_digest: Digest,
    /// What was made of an earlier run.
    pub resumed: Resumed,
}

/// Makes a data directory out of a snapshot file.
///
/// `on_progress` is told bytes before compression.
///
/// # Behavior
/// - The directory is marked as unfinished until every digest was found right; [`Storage::open`](crate::storage::Storage::open)
///   refuses it so long.
/// - A file that is cut, changed or of another kind is refused with the number of the chunk, and the directory is removed.
/// - What the file announces is held against [`ImportOptions::bytes_max`] and against the free space before the directory is made,
///   and again as it is unpacked.
/// - A file whose digest is not the expected one is refused, and the directory is removed.
/// - After a kill or a failure that is not the file's (a full disk), the same call goes on after what was written.
///
/// # Errors
/// `Corruption` with the chunk's number, and for a file that is not the expected one; `QuotaFull` for more than `bytes_max`; `NoSpace` for
/// more than is free; `FormatMismatch` for what is no such file or of another version of the format; `InvalidArgument` for changes
/// without their parent, for another chain, and when there is something in the directory's place; those of the storage; `Io`.
pub fn import(
    file: &Path,
    target: Place<'_>,
    options: &ImportOptions,
    on_progress: OnProgress<'_>,
) -> Result<ImportReport> {
    let named = |error: Error| error.with("file", file.display());
    let mut opened = File::open(file).map_err(|error| named(Error::io("open", error)))?;
    let what = format!("import of {}", absolute(file).display());
    let counts = survey(&mut opened).map_err(|error| {
        if matches!(Failure::of_file(error.repeated()), Failure::File(_)) {
            // The file's failure is the one to report; what cannot be removed stays marked.
            let _ = Target::discard(target, &what);
        }
        named(error)
    })?;
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, opened);
    import_counted(&mut reader, counts, &what, target, options, on_progress).map_err(named)
}

/// As [`import`], out of anything that can be read once; `what` says what it is, and is what a later run has to say too to go on.
///
/// # Behavior
/// A later run reads from the beginning, and writes only what is not there yet.
///
/// # Errors
/// As [`import`].
pub fn import_stream(
    reader: &mut dyn Read,
    what: &str,
    target: Place<'_>,
    options: &ImportOptions,
    on_progress: OnProgress<'_>,
) -> Result<ImportReport> {
    import_counted(reader, None, what, target, options, on_progress)
}

/// `counts` is how much there is, when that is known before.
fn import_counted(
    reader: &mut dyn Read,
    counts: Option<Counts>,
    what: &str,
    target: Place<'_>,
    options: &ImportOptions,
    on_progress: OnProgress<'_>,
) -> Result<ImportReport> {
    let mut reader = Reader::new(reader)?;
    reader.limit_bytes(options.bytes_max);
    check_wanted(&reader.header, options)?;
    if let Some(counts) = counts {
        check_bytes_max(counts.raw_bytes, options.bytes_max)?;
        // What an earlier run has written is not written again.
        if unfinished(target.dir)?.is_none() {
            check_free(target.dir, counts.raw_bytes)?;
        }
    }
    let identity = reader.header_hash;
    let Begun { target, progress, resumed } =
        Target::begin(target, reader.header.chain_id, what, &identity)?;
    let progress = progress.as_deref().map(Done::parse).transpose();
    let mut import = Import {
        options,
        header: reader.header.clone(),
        counts,
        identity,
        done: Done::default(),
        digest: DigestBuilder::default(),
        accumulator: StateAccumulator::default(),
        resumed,
        target,
        meter: Meter::new(on_progress),
    };
    let result = progress.map_err(Failure::Other).and_then(|done| {
        import.done = done.unwrap_or_default();
        import.run(&mut reader)
    });
    import.end(result)
}

fn check_wanted(header: &Header, options: &ImportOptions) -> Result<()> {
    let refused = |message: String| Err(Error::new(ErrorKind::InvalidArgument, "import", message));
    if header.content == Content::Changes {
        return refused(
            "the file holds changes only; restore it together with the checkpoint it builds upon"
                .to_owned(),
        );
    }
    options.expect.check_header(header)?;
    match options.chain_id {
        Some(wanted) if wanted != header.chain_id => refused(format!(
            "the file holds the state of chain {}; wanted is chain {wanted}",
            header.chain_id
        )),
        _ => Ok(()),
    }
}

/// What is written: chunks, entries, and the chain of hashes after them.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    chunks: u64,
    entries: u64,
    chain: Hash,
}

impl Done {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let parse = || {
            let (chunks, rest) = bytes.split_first_chunk()?;
            let (entries, rest) = rest.split_first_chunk()?;
            let chain: Hash = rest.try_into().ok()?;
            Some(Self {
                chunks: u64::from_be_bytes(*chunks),
                entries: u64::from_be_bytes(*entries),
                chain,
            })
        };
        parse().ok_or_else(|| {
            let message = "the record of how far an import has come does not parse";
            Error::new(ErrorKind::Corruption, "import", message)
        })
    }

    fn to_bytes(self) -> [u8; 16 + HASH_BYTES] {
        let mut bytes = [0; 16 + HASH_BYTES];
        bytes[..8].copy_from_slice(&self.chunks.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.entries.to_be_bytes());
        bytes[16..].copy_from_slice(&self.chain);
        bytes
    }
}

struct Import<'a> {
    options: &'a ImportOptions,
    header: Header,
    counts: Option<Counts>,
    identity: Hash,
    /// What an earlier run has written.
    done: Done,
    digest: DigestBuilder,
    accumulator: StateAccumulator,
    resumed: Resumed,
    target: Target<'a>,
    meter: Meter<'a>,
}

impl Import<'_> {
    fn computes_state_digest(&self) -> bool {
        let is_wanted = self.options.state_digest || self.options.expect.block.is_some();
        is_wanted && self.header.state_digest.is_some()
    }

    fn run(&mut self, reader: &mut Reader<'_>) -> Result<Trailer, Failure> {
        if let Resumed::Resumed { entries } = &mut self.resumed {
            *entries = self.done.entries;
        }
        let accumulator = self.computes_state_digest();
        let wanted = Wanted { batch: true, accumulator, ..Wanted::of(&self.header) };
        let all = self.counts.map(|counts| counts.raw_bytes);
        if self.done.chunks == 0 {
            let entries = self.counts.map(|counts| counts.entries());
            self.meter.begin(Phase::Copying, entries.or(self.header.entries_about), all);
        } else {
            self.meter.begin(Phase::Resuming, Some(self.done.entries), None);
        }
        let mut written = Done::default();
        let (trailer, _) =
            reader.chunks(threads(self.options.threads), wanted, |chunk, chain| {
                written.chunks += 1;
                written.entries += u64::from(chunk.header.entries);
                written.chain = *chain;
                self.take(chunk, written)
            })?;
        self.check_content(&trailer).map_err(Failure::File)?;
        self.target.settle()?;
        if self.options.read_back {
            self.read_back(&trailer)?;
        }
        Ok(trailer)
    }

    /// Takes in a chunk; `written` is how far the file has come with it.
    fn take(&mut self, chunk: Decoded, written: Done) -> Result<(), Failure> {
        let header = chunk.header;
        if !matches!(header.kind, Kind::State | Kind::Code) {
            let error = damaged("the chunk has entries that the file of a state does not have");
            return Err(Failure::File(error.with("chunk", header.number)));
        }
        self.digest.add_hashed(&chunk.hashed);
        if self.computes_state_digest() {
            self.accumulator.merge(&chunk.accumulator);
        }
        self.meter.add(u64::from(header.entries), u64::from(header.raw_bytes));
        if written.chunks > self.done.chunks {
            self.target.batch().append(&chunk.batch);
            if self.target.is_full() {
                self.target.commit(&self.identity, &written.to_bytes())?;
            }
            return Ok(());
        }
        if written.chunks == self.done.chunks {
            if written.chain != self.done.chain {
                let message = "the chunks up to this one are not those of the earlier run; what it wrote is removed, run it again";
                return Err(Failure::File(damaged(message).with("chunk", header.number)));
            }
            let all = self.counts.map(|counts| counts.entries()).or(self.header.entries_about);
            let left = all.map(|entries| entries.saturating_sub(self.done.entries));
            self.meter.begin(Phase::Copying, left, None);
        }
        Ok(())
    }

    /// Is the state of the file the one that the file says it is?
    fn check_content(&mut self, trailer: &Trailer) -> Result<()> {
        let computed = std::mem::take(&mut self.digest).finish().0;
        compare("the digest of the entries", &computed, &trailer.full_digest)?;
        self.options.expect.check_digest(Digest(trailer.snapshot_digest))?;
        match self.header.state_digest {
            Some(told) if self.computes_state_digest() => {
                compare("the state digest", &self.accumulator.digest(), &told)
            }
            _ => Ok(()),
        }
    }

    fn read_back(&mut self, trailer: &Trailer) -> Result<()> {
        // What is not full enough for a batch is not there yet.
        self.write_rest(trailer)?;
        let counts = trailer.counts;
        self.meter.begin(Phase::Verifying, Some(counts.state), None);
        let meter = &mut self.meter;
        let rows = self.target.storage.rows(Area::Latest.range(), Direction::Forward)?;
        let computed = digest_latest(rows, |bytes| meter.add(1, bytes as u64))?;
        compare("the digest of what was read back", &computed, &trailer.full_digest)
    }

    fn write_rest(&mut self, trailer: &Trailer) -> Result<()> {
        let chunks = trailer.counts.chunks;
        let done = Done { chunks, entries: trailer.counts.entries(), chain: trailer.chain };
        self.target.commit(&self.identity, &done.to_bytes())?;
        self.target.settle()
    }

    /// The facts about the whole, as a store of chain state has them.
    fn put_meta(&mut self) {
        let kept = self.computes_state_digest().then(|| self.accumulator.to_bytes());
        let Header { version, block, .. } = &self.header;
        let batch = self.target.batch();
        if *version == Version::ZERO && block.is_none() {
            Meta::put_history(batch, self.options.history);
            return;
        }
        Meta::put_last_version(batch, *version);
        Meta::put_floor(batch, *version);
        Meta::put_history(batch, self.options.history);
        if let Some(block) = block {
            let mut record = BlockRecord::from(*block);
            if kept.is_none() {
                // Nothing bears the file's digest out.
                record.digest = Hash::default();
            }
            batch.put(&block_key(record.number), &record.to_bytes());
            Meta::put_last_block(batch, record.number);
        }
        if let Some(accumulator) = kept {
            Meta::put_accumulator(batch, &accumulator);
        }
    }

    fn end(mut self, result: Result<Trailer, Failure>) -> Result<ImportReport> {
        let trailer = match result {
            Ok(trailer) => trailer,
            Err(Failure::File(error)) => {
                // The file's failure is the one to report; what cannot be removed stays marked.
                let _ = self.target.abandon();
                return Err(error);
            }
            Err(Failure::Other(error)) => {
                // The first failure is the one to report; a later run opens what is there.
                let _ = self.target.leave();
                return Err(error);
            }
        };
        self.meter.begin(Phase::Flushing, None, None);
        self.put_meta();
        let last = std::mem::take(self.target.batch());
        self.target.finish(last)?;
        self.meter.end();
        Ok(ImportReport {
            header: self.header,
            counts: trailer.counts,
            full_digest: Digest(trailer.full_digest),
            snapshot_digest: Digest(trailer.snapshot_digest),
            resumed: self.resumed,
        })
    }
}

fn compare(what: &str, computed: &Hash, told: &Hash) -> Result<()> {
    if computed == told {
        return Ok(());
    }
    Err(damaged(format!("{what} is not what the file says"))
        .with("computed", hex::encode(computed))
        .with("expected", hex::encode(told)))
}
