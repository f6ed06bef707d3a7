//! Children that are killed while they write, and children that open a directory from another process.

use crate::case::CaseResult;
use crate::check::{equal, failed};
use crate::fixture::{batch, storage_digest, storage_rows};
use crate::job::{Answer, Job};
use crate::random::Random;
use crate::target::Target;
use crate::worker::{Silence, Worker};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::{
    Durability, Error, ErrorKind, OpenMode, Result, StorageBackend, WriteBatch,
};

/// Keys that share a counter in each batch.
const BATCH_KEYS: u8 = 8;
/// Time that a child may take to open a directory.
const OPEN_DEADLINE: Duration = Duration::from_secs(20);
/// Bytes of a value, so that batches are worth tearing.
pub(crate) const VALUE_BYTES: usize = 208;
/// Batches that the writing child writes before it takes a checkpoint.
const BATCHES_BEFORE_CHECKPOINT: u64 = 5;

/// How the writing child makes its batches durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Writes {
    Synced,
    Buffered,
    /// Buffered batches, every tenth followed by a flush.
    Flushed,
    /// Every fourth batch synced, the others buffered.
    Interleaved,
}

impl Writes {
    pub(crate) fn durability(self, counter: u64) -> Durability {
        match self {
            Self::Synced => Durability::Synced,
            Self::Interleaved if counter % 4 == 3 => Durability::Synced,
            Self::Interleaved | Self::Buffered | Self::Flushed => Durability::Buffered,
        }
    }

    pub(crate) fn flushes_after(self, counter: u64) -> bool {
        self == Self::Flushed && counter.is_multiple_of(10)
    }
}

/// Write batches into `dir` until killed, and append the counter of each that was acknowledged to `log`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriterJob {
    pub(crate) target: Target,
    pub(crate) dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) first: u64,
    pub(crate) writes: Writes,
    /// Where a checkpoint is taken after a few batches.
    pub(crate) checkpoint: Option<PathBuf>,
}

/// Open `dir` and say what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenJob {
    pub(crate) target: Target,
    pub(crate) dir: PathBuf,
    pub(crate) read_only: bool,
}

/// What another process met when it opened a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Digest(String),
    Refused(String),
}

pub(crate) fn write_until_killed(job: &WriterJob) -> Result<()> {
    let loaded = job.target.load()?;
    let io = |error| Error::io("write log", error);
    let mut log = File::options().create(true).append(true).open(&job.log).map_err(io)?;
    Answer::Stage("opening".into()).say();
    let storage = loaded.open(&job.dir, OpenMode::Create)?;
    Answer::Stage("writing".into()).say();
    for counter in job.first.. {
        if let Some(target) = &job.checkpoint
            && counter == job.first + BATCHES_BEFORE_CHECKPOINT
        {
            Answer::Stage("checkpointing".into()).say();
            storage.checkpoint(target)?;
        }
        storage.write(&counted(counter, VALUE_BYTES), job.writes.durability(counter))?;
        if job.writes.flushes_after(counter) {
            storage.flush(Durability::Synced)?;
        }
        log.write_all(&counter.to_le_bytes()).map_err(io)?;
    }
    Ok(())
}

pub(crate) fn open_and_report(job: &OpenJob) -> Result<()> {
    let loaded = job.target.load()?;
    let mode = if job.read_only { OpenMode::ReadOnly } else { OpenMode::Create };
    let storage = loaded.open(&job.dir, mode)?;
    let digest = storage_digest(&*storage).map_err(|finding| {
        Error::new(ErrorKind::Internal, "read in another process", format!("{finding:?}"))
    })?;
    Answer::Opened { digest }.say();
    Ok(())
}

/// Opens `job`'s directory in another process.
pub(crate) fn open_elsewhere(job: OpenJob) -> CaseResult<Opening> {
    let mut worker = Worker::start(&Job::Open(job))?;
    match worker.answer(Instant::now() + OPEN_DEADLINE) {
        Ok(Answer::Opened { digest }) => Ok(Opening::Digest(digest)),
        Ok(Answer::Refused { kind, .. }) => Ok(Opening::Refused(kind)),
        other => failed(format!("a process that opens the directory answered {other:?}")),
    }
}

/// When a child is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    Opening(Duration),
    Writing(Duration),
    Checkpointing(Duration),
}

impl Moment {
    /// One kill in ten falls into the opening, and one into a checkpoint where there are some.
    pub(crate) fn random(random: &mut Random, has_checkpoints: bool) -> Self {
        let up_to =
            |random: &mut Random, micros| Duration::from_micros(random.below(micros) as u64);
        match random.below(10) {
            0 => Self::Opening(up_to(random, 3_000)),
            1 if has_checkpoints => Self::checkpointing(random),
            _ => Self::Writing(Duration::from_micros(500) + up_to(random, 60_000)),
        }
    }

    pub(crate) fn checkpointing(random: &mut Random) -> Self {
        Self::Checkpointing(Duration::from_micros(random.below(10_000) as u64))
    }
}

/// Starts the writer and kills it with SIGKILL at `moment`; returns how many batches it logged as acknowledged.
pub(crate) fn kill_writer(job: WriterJob, moment: Moment) -> CaseResult<u64> {
    let log = job.log.clone();
    let job = Job::Write(job);
    let mut worker = Worker::start(&job)?;
    await_stage(&mut worker, "opening")?;
    match moment {
        Moment::Opening(delay) => sleep(delay),
        Moment::Writing(delay) => {
            await_stage(&mut worker, "writing")?;
            sleep(delay);
        }
        Moment::Checkpointing(delay) => {
            await_stage(&mut worker, "writing")?;
            await_stage(&mut worker, "checkpointing")?;
            sleep(delay);
        }
    }
    worker.kill();
    acknowledged(&log)
}

/// Batches that are in a checkpoint of a writer that began at `first`, at least.
pub(crate) fn batches_in_checkpoint(first: u64) -> u64 {
    first + BATCHES_BEFORE_CHECKPOINT
}

/// What `storage` has to contain `when` something ended its writer: every acknowledged batch, whole batches only, and no hole.
///
/// Returns the number of batches that are there.
pub(crate) fn check_survivors(
    storage: &dyn StorageBackend,
    acknowledged: u64,
    value_bytes: usize,
    when: impl Display,
) -> CaseResult<u64> {
    let rows = storage_rows(storage)?;
    let (heads, batches): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(key, _)| key.starts_with(b"head/"));
    let keys = usize::from(BATCH_KEYS);
    let whole = (batches.len() / keys) as u64;
    for (index, (key, value)) in batches.iter().enumerate() {
        let counter = (index / keys) as u64;
        let slot = (index % keys) as u8;
        let expected = (log_key(counter, slot), padded(counter, value_bytes));
        if (key, value) != (&expected.0, &expected.1) {
            let found = (key.clone(), value.clone());
            let what = format!("{when}, slot {slot} of batch {counter} (a hole or a torn batch)");
            equal(what, &found, &expected)?;
        }
    }
    let torn = format!("{when}, entries of batch {whole}, which is torn");
    equal(torn, &(batches.len() % keys), &0)?;
    if whole < acknowledged {
        return failed(format!(
            "{when}, {whole} batches are there, but {acknowledged} have to be: acknowledged ones are lost"
        ));
    }
    let expected = if whole == 0 { 0 } else { keys };
    equal(format!("{when}, keys that every batch overwrites"), &heads.len(), &expected)?;
    for (key, value) in &heads {
        let what = format!("{when}, key {}, which every batch overwrites", key.escape_ascii());
        equal(what, value, &padded(whole - 1, value_bytes))?;
    }
    Ok(whole)
}

/// The batch of this number: eight keys of its own and eight that every batch overwrites, all with values of `value_bytes` that
/// begin with the number.
pub(crate) fn counted(counter: u64, value_bytes: usize) -> WriteBatch {
    let value = padded(counter, value_bytes);
    batch(|batch| {
        for slot in 0..BATCH_KEYS {
            batch.put(&log_key(counter, slot), &value);
            batch.put(format!("head/{slot}").as_bytes(), &value);
        }
    })
}

fn log_key(counter: u64, slot: u8) -> Vec<u8> {
    format!("batch/{counter:012}/{slot}").into_bytes()
}

fn padded(counter: u64, value_bytes: usize) -> Vec<u8> {
    let mut value = counter.to_le_bytes().to_vec();
    value.extend(Random::new(counter, "value").bytes(value_bytes.saturating_sub(value.len())));
    value
}

fn await_stage(worker: &mut Worker, wanted: &str) -> CaseResult {
    match worker.answer(Instant::now() + OPEN_DEADLINE) {
        Ok(Answer::Stage(stage)) if stage == wanted => Ok(()),
        Ok(other) => failed(format!("the writing process said {other:?} before it was {wanted}")),
        Err(Silence::Late) => failed(format!("the writing process was never {wanted}")),
        Err(Silence::Died(how)) => failed(format!("before it was {wanted}, {how}")),
    }
}

fn acknowledged(log: &Path) -> CaseResult<u64> {
    let bytes = std::fs::read(log)?;
    let last = bytes.chunks_exact(8).next_back();
    let last = last.map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    Ok(last.map_or(0, |last| last + 1))
}
