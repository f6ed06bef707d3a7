//! From one backend to another, with everything.

use super::format::Hash;
use super::place::{Place, Source, absolute, beside};
use super::progress::{Meter, OnProgress, Phase, Resumed};
use super::target::{Begun, PROGRESS_KEY, Target};
use crate::history::View;
use crate::layout::Area;
use crate::storage::{Digest, DigestBuilder, Rows, Storage};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use supervm_plugin_sdk::{Direction, Durability, Error, ErrorKind, KeyRange, Result, WriteBatch};

/// What a conversion came to.
#[derive(Debug, Clone, Serialize)]
pub struct ConvertReport {
    /// The backend that was read.
    pub from: String,
    /// The backend that was written.
    pub to: String,
    /// Entries of the whole storage: state, history, blocks, contracts.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The digest of the whole storage, equal on both sides (clause 23).
    #[serde(serialize_with = "super::as_text")]
    pub digest: Digest,
    /// What was made of an earlier run.
    pub resumed: Resumed,
}

/// Makes `target` a data directory with everything that `source` has.
///
/// # Behavior
/// - The source is opened read-only, and read at one moment. Where its backend writes whenever it opens, its files are copied beside
///   the target first and the copy is read.
/// - The target is marked as unfinished until its digest was found equal to the source's.
/// - After a kill the same call goes on after what was written; when the source is not what it was, it begins anew and says so.
/// - Compiled contracts are not copied: a node makes them again.
///
/// # Errors
/// `NotFound` without a source; `InvalidArgument` when there is something in the target's place; `FormatMismatch` when `source` is
/// another backend's; `Locked` when it is in use; `Corruption` when the digests differ; those of both storages.
pub fn convert(
    source: Place<'_>,
    target: Place<'_>,
    on_progress: OnProgress<'_>,
) -> Result<ConvertReport> {
    let copy = beside(target.dir, ".source")?;
    let opened = Source::open(source, &copy)?;
    let mut meter = Meter::new(on_progress);
    let what = format!("conversion of {}", absolute(source.dir).display());
    let converted = convert_storage(&opened.storage, target, &what, &mut meter);
    meter.end();
    let closed = opened.close();
    let report = converted?;
    closed.map(|()| report)
}

fn convert_storage(
    source: &Storage,
    place: Place<'_>,
    what: &str,
    meter: &mut Meter<'_>,
) -> Result<ConvertReport> {
    let view = View::new(source)?;
    let identity = identity(source, &view)?;
    let chain_id = source.manifest().chain_id;
    let total = source.stats()?.keys;
    let Begun { mut target, progress, mut resumed } =
        Target::begin(place, chain_id, what, &identity)?;
    let mut done = Done::default();
    if let Some(progress) = &progress {
        done = Done::parse(progress)?;
        resumed = Resumed::Resumed { entries: done.entries };
    }
    let copied = copy(&view, &mut target, &identity, done, total, meter);
    let checked = copied.and_then(|(done, digest)| {
        compare(&view, &target.storage, digest, done.entries, meter).map(|digest| (done, digest))
    });
    let (done, digest) = match checked {
        Ok(checked) => checked,
        Err(error) if error.kind() == ErrorKind::Corruption && progress.is_some() => {
            // What the earlier run wrote may be of another source that only looked the same: once more, from the beginning.
            target.abandon()?;
            let mut report = convert_storage(source, place, what, meter)?;
            report.resumed = Resumed::BeganAnew {
                reason: format!(
                    "what the earlier run wrote did not lead to the source's state: {error}"
                ),
            };
            return Ok(report);
        }
        Err(error) if error.kind() == ErrorKind::Corruption => {
            // The difference is what is reported; what cannot be removed stays marked.
            let _ = target.abandon();
            return Err(error);
        }
        Err(error) => {
            // The first failure is the one to report; a later run opens what is there.
            let _ = target.leave();
            return Err(error);
        }
    };
    meter.begin(Phase::Flushing, None, None);
    let to = target.storage.backend_name().to_owned();
    target.finish(WriteBatch::new())?;
    let from = source.backend_name().to_owned();
    Ok(ConvertReport { from, to, entries: done.entries, bytes: done.bytes, digest, resumed })
}

/// Copies everything into a new target that is not resumed, and compares.
pub(super) fn copy_and_compare(
    view: &View,
    source: &Storage,
    target: &mut Target<'_>,
    meter: &mut Meter<'_>,
) -> Result<()> {
    let total = source.stats()?.keys;
    let (done, digest) = copy(view, target, &Hash::default(), Done::default(), total, meter)?;
    compare(view, &target.storage, digest, done.entries, meter).map(|_| ())
}

/// What tells this source from others, and from itself after a commit.
fn identity(source: &Storage, view: &View) -> Result<Hash> {
    let manifest = source.manifest();
    let meta = view.meta()?;
    let mut hasher = Sha256::new();
    hasher.update(format!("{} {} {meta:?} ", manifest.chain_id, manifest.created_seconds));
    let mut rows = view.rows(Area::Meta.range(), Direction::Forward)?;
    while let Some((key, value)) = rows.next()? {
        hasher.update((key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update((value.len() as u64).to_le_bytes());
        hasher.update(value);
    }
    Ok(hasher.finalize().into())
}

/// What is written: counts, and the last key.
#[derive(Debug, Clone, Default)]
struct Done {
    entries: u64,
    bytes: u64,
    last: Option<Vec<u8>>,
}

impl Done {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let parse = || {
            let (entries, rest) = bytes.split_first_chunk()?;
            let (bytes, last) = rest.split_first_chunk()?;
            Some(Self {
                entries: u64::from_be_bytes(*entries),
                bytes: u64::from_be_bytes(*bytes),
                last: Some(last.to_vec()),
            })
        };
        parse().ok_or_else(|| {
            let message = "the record of how far a conversion has come does not parse";
            Error::new(ErrorKind::Corruption, "convert", message)
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let last = self.last.as_deref().unwrap_or_default();
        [&self.entries.to_be_bytes(), &self.bytes.to_be_bytes(), last].concat()
    }
}

/// Copies what comes after `done`; the digest is of all of the source when nothing was done before.
fn copy(
    view: &View,
    target: &mut Target<'_>,
    identity: &Hash,
    mut done: Done,
    total: Option<u64>,
    meter: &mut Meter<'_>,
) -> Result<(Done, Option<Digest>)> {
    let is_whole = done.last.is_none();
    let left = total.map(|total| total.saturating_sub(done.entries));
    meter.begin(Phase::Copying, left, None);
    let mut digest = DigestBuilder::default();
    let start = done.last.clone().unwrap_or_default();
    let mut rows = view.rows(KeyRange::new(&start, None), Direction::Forward)?;
    let mut last = start.clone();
    while let Some((key, value)) = rows.next()? {
        if (!is_whole && key == start) || key == PROGRESS_KEY {
            continue;
        }
        if is_whole {
            digest.add(key, value);
        }
        target.batch().put(key, value);
        let bytes = (key.len() + value.len()) as u64;
        done.entries += 1;
        done.bytes += bytes;
        meter.add(1, bytes);
        if target.is_full() {
            last.clear();
            last.extend_from_slice(key);
            done.last = Some(std::mem::take(&mut last));
            target.commit(identity, &done.to_bytes())?;
        }
    }
    // Without a record of progress: a later run repeats these few writes.
    let rest = std::mem::take(target.batch());
    target.settle()?;
    target.storage.write(&rest, Durability::Buffered)?;
    Ok((done, is_whole.then(|| digest.finish())))
}

/// Compares everything on both sides.
fn compare(
    view: &View,
    target: &Storage,
    source_digest: Option<Digest>,
    entries: u64,
    meter: &mut Meter<'_>,
) -> Result<Digest> {
    let passes = if source_digest.is_some() { 1 } else { 2 };
    meter.begin(Phase::Verifying, Some(passes * entries), None);
    let of_source = match source_digest {
        Some(digest) => digest,
        None => digest_all(view.rows(KeyRange::ALL, Direction::Forward)?, meter)?,
    };
    let of_target = digest_all(target.rows(KeyRange::ALL, Direction::Forward)?, meter)?;
    if of_source == of_target {
        return Ok(of_source);
    }
    let message = "the target is not what the source is";
    Err(Error::new(ErrorKind::Corruption, "convert", message)
        .with("source", of_source)
        .with("target", of_target))
}

fn digest_all(mut rows: Rows, meter: &mut Meter<'_>) -> Result<Digest> {
    let mut digest = DigestBuilder::default();
    while let Some((key, value)) = rows.next()? {
        if key != PROGRESS_KEY {
            digest.add(key, value);
            meter.add(1, (key.len() + value.len()) as u64);
        }
    }
    Ok(digest.finish())
}
