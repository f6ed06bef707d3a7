//! A power cut, simulated: what was written and never synced is lost, all of it or any part of it.
//!
//! The recorder keeps of each file what the last sync of it left on the disk. A cut makes a directory as the disk could have it at
//! that moment: from there on the backend is asked to open it. It is kind where file systems are kind: a synced file keeps its
//! name, renaming and removing take effect at once, and of what was appended a beginning is kept, never a part from the middle.

use super::Calls;
use super::system::Observer;
use crate::case::CaseResult;
use crate::random::Random;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// What a disk writes whole, bytes.
const PAGE_BYTES: usize = 4096;
const WHOLE: usize = usize::MAX;

/// Device, inode, and the time at which the file was made: a file system may give the inode of a removed file to the next one.
type FileId = (u64, u64, Option<SystemTime>);

/// What is on the disk.
#[derive(Debug, Default)]
struct Record {
    /// The content of each file that was synced.
    files: HashMap<FileId, Vec<u8>>,
    /// Files that a synced directory names.
    named: HashSet<FileId>,
}

/// The one record of this process: the observer is a plain function.
static RECORD: Mutex<Option<Record>> = Mutex::new(None);

/// Keeps what the files below a directory have on the disk, until it is dropped.
#[derive(Debug)]
pub(crate) struct Recorder {
    calls: Calls,
    dir: PathBuf,
}

impl Recorder {
    /// Begins before anything is in `dir`.
    pub(crate) fn start(dir: &Path) -> CaseResult<Self> {
        let calls = Calls::watch(dir)?;
        *RECORD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Record::default());
        let observer: Observer = observe;
        calls.0.observe(Some(observer));
        Ok(Self { calls, dir: dir.to_owned() })
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Makes `to` what the disk could have of `from`, a directory that is watched, after a power cut. Nothing that was not synced
    /// is kept, or what `random` chooses of it. Returns what was lost, in words.
    pub(crate) fn cut(
        &self,
        from: &Path,
        to: &Path,
        mut random: Option<&mut Random>,
    ) -> CaseResult<String> {
        debug_assert!(from.starts_with(&self.dir), "{} is not watched", from.display());
        let mut record = RECORD.lock().unwrap_or_else(PoisonError::into_inner);
        let record = record.get_or_insert_default();
        let mut lost = Vec::new();
        copy(record, from, to, &mut random, &mut lost)?;
        Ok(if lost.is_empty() { "nothing was unsynced".to_owned() } else { lost.join(", ") })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.calls.0.observe(None);
        *RECORD.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

extern "C" fn observe(fd: i32, offset: i64, length: usize) {
    let mut record = RECORD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(record) = record.as_mut() {
        // A file that cannot be read is not known to be on the disk, which the case then reports.
        let _ = record.note(Path::new(&format!("/proc/self/fd/{fd}")), offset, length);
    }
}

impl Record {
    fn note(&mut self, path: &Path, offset: i64, length: usize) -> io::Result<()> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                self.named.insert(id(&entry?.metadata()?));
            }
            return Ok(());
        }
        if length == WHOLE {
            self.files.insert(id(&metadata), fs::read(path)?);
            return Ok(());
        }
        let mut bytes = vec![0; length];
        File::open(path)?.read_exact_at(&mut bytes, offset as u64)?;
        let (content, start) = (self.files.entry(id(&metadata)).or_default(), offset as usize);
        content.resize(content.len().max(start + length), 0);
        content[start..start + length].copy_from_slice(&bytes);
        Ok(())
    }
}

fn id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

fn copy(
    record: &Record,
    from: &Path,
    to: &Path,
    random: &mut Option<&mut Random>,
    lost: &mut Vec<String>,
) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(record, &path, &target, random, lost)?;
            continue;
        }
        // A thread of the backend may remove files meanwhile. What allowed it to was synced before, and is in the record: no other
        // sync passes while the record is held.
        let found = entry.metadata().and_then(|metadata| Ok((id(&metadata), fs::read(&path)?)));
        let (id, current) = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        let is_named = record.files.contains_key(&id) || record.named.contains(&id);
        let synced = record.files.get(&id).map_or(&[][..], Vec::as_slice);
        let kept = match random {
            None => is_named.then(|| synced.to_vec()),
            Some(random) => {
                let is_kept = is_named || random.below(2) == 0;
                is_kept.then(|| mixed(synced, &current, random))
            }
        };
        if let Some(loss) = loss(kept.as_deref(), &current) {
            lost.push(format!("{} {loss}", entry.file_name().display()));
        }
        if let Some(kept) = kept {
            fs::write(target, kept)?;
        }
    }
    Ok(())
}

/// The synced content with some of the pages that were written since.
fn mixed(synced: &[u8], current: &[u8], random: &mut Random) -> Vec<u8> {
    let appended = current.len().saturating_sub(synced.len());
    let length = match random.below(4) {
        0 => synced.len(),
        1 => current.len(),
        _ => synced.len().min(current.len()) + random.below(appended + 1),
    };
    let mut kept: Vec<u8> = synced[..length.min(synced.len())].to_vec();
    for (number, page) in kept.chunks_mut(PAGE_BYTES).enumerate() {
        let start = number * PAGE_BYTES;
        let written = current.get(start..current.len().min(start + page.len())).unwrap_or_default();
        if random.below(2) == 0 {
            page[..written.len()].copy_from_slice(written);
        }
    }
    kept.extend_from_slice(current.get(kept.len()..length).unwrap_or_default());
    kept
}

/// How `kept` differs from what the file had.
fn loss(kept: Option<&[u8]>, current: &[u8]) -> Option<String> {
    let Some(kept) = kept else { return Some("is gone".to_owned()) };
    if kept == current {
        return None;
    }
    let pages = kept.chunks(PAGE_BYTES).zip(current.chunks(PAGE_BYTES));
    let differ = pages.filter(|(kept, current)| kept != current).count();
    Some(match (differ, kept.len() == current.len()) {
        (_, false) => format!("has {} of {} bytes", kept.len(), current.len()),
        (differ, true) => format!("lacks what was written to {differ} of its pages"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_appended_a_beginning_is_kept_and_overwritten_pages_are_old_or_new() {
        let synced = vec![1; 2 * PAGE_BYTES];
        let current = vec![2; 3 * PAGE_BYTES];
        let mut lengths = HashSet::new();
        for seed in 0..200 {
            let kept = mixed(&synced, &current, &mut Random::new(seed, "cut"));
            lengths.insert(kept.len());
            let (pages, appended) = kept.split_at(2 * PAGE_BYTES);
            for page in pages.chunks(PAGE_BYTES) {
                assert!(page.iter().all(|byte| *byte == page[0]), "a torn page");
            }
            assert!(appended.iter().all(|byte| *byte == 2));
        }
        assert!(lengths.len() > 50, "{} lengths", lengths.len());
    }

    #[test]
    fn a_file_that_was_cut_is_long_or_short() {
        let (synced, current) = (vec![1; 2 * PAGE_BYTES], vec![1; PAGE_BYTES]);
        let lengths: HashSet<_> = (0..50)
            .map(|seed| mixed(&synced, &current, &mut Random::new(seed, "cut")).len())
            .collect();
        assert_eq!(lengths, [PAGE_BYTES, 2 * PAGE_BYTES].into());
    }
}
