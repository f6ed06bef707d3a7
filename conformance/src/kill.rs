//! Children that are killed while they write, and children that open a directory from another process.

use crate::case::CaseResult;
use crate::check::{equal, failed, holds};
use crate::fixture::{batch, storage_digest, storage_rows};
use crate::job::{Answer, Job};
use crate::random::Random;
use crate::target::Target;
use crate::worker::{Silence, Worker};
use serde::{Deserialize, Serialize};
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
/// Bytes of a value beside its counter, so that batches are worth tearing.
const PADDING_BYTES: usize = 200;

/// How the writing child makes its batches durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Writes {
    Synced,
    Buffered,
    /// Buffered batches, every tenth followed by a flush.
    Flushed,
}

/// Write batches into `dir` until killed, and append the counter of each that was acknowledged to `log`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriterJob {
    pub(crate) target: Target,
    pub(crate) dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) first: u64,
    pub(crate) writes: Writes,
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
        let durability = match job.writes {
            Writes::Synced => Durability::Synced,
            Writes::Buffered | Writes::Flushed => Durability::Buffered,
        };
        storage.write(&counted(counter), durability)?;
        if job.writes == Writes::Flushed && counter % 10 == 0 {
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
    WhileOpening(Duration),
    WhileWriting(Duration),
}

impl Moment {
    /// One kill in ten falls into the opening.
    pub(crate) fn random(random: &mut Random) -> Self {
        if random.below(10) == 0 {
            Self::WhileOpening(Duration::from_micros(random.below(3_000) as u64))
        } else {
            Self::WhileWriting(Duration::from_micros(500 + random.below(60_000) as u64))
        }
    }
}

/// Starts the writer and kills it with SIGKILL at `moment`; returns how many batches it logged as acknowledged.
pub(crate) fn kill_writer(job: WriterJob, moment: Moment) -> CaseResult<u64> {
    let log = job.log.clone();
    let job = Job::Write(job);
    let mut worker = Worker::start(&job)?;
    await_stage(&mut worker, "opening")?;
    match moment {
        Moment::WhileOpening(delay) => sleep(delay),
        Moment::WhileWriting(delay) => {
            await_stage(&mut worker, "writing")?;
            sleep(delay);
        }
    }
    worker.kill();
    acknowledged(&log)
}

/// What `storage` has to contain after a kill: every acknowledged batch, whole batches only, and no hole.
///
/// Returns the number of batches that are there.
pub(crate) fn check_survivors(storage: &dyn StorageBackend, acknowledged: u64) -> CaseResult<u64> {
    let rows = storage_rows(storage)?;
    let (heads, batches): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(key, _)| key.starts_with(b"head/"));
    let whole = batches.len() / usize::from(BATCH_KEYS);
    for (index, (key, value)) in batches.iter().enumerate() {
        let counter = (index / usize::from(BATCH_KEYS)) as u64;
        let slot = (index % usize::from(BATCH_KEYS)) as u8;
        let expected = (log_key(counter, slot), padded(counter));
        if (key, value) != (&expected.0, &expected.1) {
            let found = (key.clone(), value.clone());
            let what =
                format!("after the kill, slot {slot} of batch {counter} (a hole or a torn batch)");
            equal(what, &found, &expected)?;
        }
    }
    equal("entries of a batch that is not whole", &(batches.len() % usize::from(BATCH_KEYS)), &0)?;
    let claim = format!("the {acknowledged} acknowledged batches are among the {whole} found");
    holds(claim, whole as u64 >= acknowledged)?;
    let expected = if whole == 0 { 0 } else { usize::from(BATCH_KEYS) };
    equal("keys that every batch overwrites", &heads.len(), &expected)?;
    for (key, value) in &heads {
        let what = format!("overwritten key {}", key.escape_ascii());
        equal(what, value, &padded(whole as u64 - 1))?;
    }
    Ok(whole as u64)
}

fn counted(counter: u64) -> WriteBatch {
    batch(|batch| {
        for slot in 0..BATCH_KEYS {
            batch.put(&log_key(counter, slot), &padded(counter));
            batch.put(format!("head/{slot}").as_bytes(), &padded(counter));
        }
    })
}

fn log_key(counter: u64, slot: u8) -> Vec<u8> {
    format!("batch/{counter:012}/{slot}").into_bytes()
}

fn padded(counter: u64) -> Vec<u8> {
    let mut value = counter.to_le_bytes().to_vec();
    value.resize(value.len() + PADDING_BYTES, counter as u8);
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
