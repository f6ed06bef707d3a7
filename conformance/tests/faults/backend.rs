//! A small durable backend: an ordered map in memory and a file of batches.

use crate::config::{ReferenceConfig, of_process, set_of_process};
use crate::fault::Fault;
use crate::log;
use crate::pins::{PinnedSnapshot, Versions};
use crate::view::View;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use supervm_plugin_sdk::LOCK_FILE;
use supervm_plugin_sdk::prelude::*;

/// The keys and values of one moment.
pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// The file of batches in the storage's directory.
const FILE: &str = "batches";

/// What the storage and its live views share.
pub(crate) struct Shared {
    map: Mutex<Arc<Map>>,
    path: PathBuf,
    /// What snapshots show, under a fault.
    versions: Mutex<Versions>,
}

impl Shared {
    pub(crate) fn current(&self) -> Arc<Map> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Map>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Can the file be read?
    pub(crate) fn is_readable(&self) -> bool {
        fs::read(&self.path).is_ok()
    }
}

pub(crate) struct Reference {
    shared: Arc<Shared>,
    /// `None` when it was opened read-only.
    file: Option<Mutex<File>>,
    path: PathBuf,
    fault: Fault,
    was_read: AtomicBool,
    /// The disk was full once.
    was_full: AtomicBool,
    /// Under a fault: values were written since the last sync.
    has_new_values: AtomicBool,
    /// Records that a fault keeps back until the storage is closed.
    kept_back: Mutex<Vec<u8>>,
}

export_plugin!(storage: Reference, name: "reference");

impl StorageFactory for Reference {
    type Config = ReferenceConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new()
            .native(&[
                Capability::Checkpoint,
                Capability::Compact,
                Capability::Verify,
                Capability::ReadOnlyOpen,
                Capability::Snapshot,
                Capability::ReverseCursor,
                Capability::SyncedWrites,
                Capability::Checksums,
                Capability::SizeOnDisk,
            ])
            .simulated(&[Capability::DeleteRange])
            .native(match of_process() {
                Fault::FlushHoldsTheLockOfWrites => &[Capability::ConcurrentFlush],
                _ => &[],
            })
    }

    fn check(config: &ReferenceConfig) -> Result<()> {
        let within = config.unused <= 1000;
        assert!(within || of_process() != Fault::PanicsOnAnOption, "out of bounds");
        if within {
            return Ok(());
        }
        let refused = format!("unused is {}; at most 1000 is accepted", config.unused);
        Err(Error::new(ErrorKind::ConfigInvalid, "check options", refused))
    }

    fn open(dir: &Path, config: ReferenceConfig, mode: OpenMode) -> Result<Self> {
        let (path, fault) = (dir.join(FILE), config.fault);
        set_of_process(fault);
        let io = |error| Error::io("open", error);
        if fault == Fault::WipesOtherFiles && !path.exists() {
            wipe(dir).map_err(io)?;
        }
        if mode != OpenMode::Create && !path.exists() && fault != Fault::MustExistCreates {
            return Err(Error::new(ErrorKind::NotFound, "open", "there is no storage"));
        }
        if mode == OpenMode::ReadOnly && fault == Fault::ReadOnlyWritesAFile {
            fs::write(dir.join("opened"), b"").map_err(io)?;
        }
        let mut map = Map::new();
        let mut length = 0;
        if fault == Fault::OpenErrorTakenForMissing && fs::read(&path).is_err() {
            let _ = fs::remove_file(&path);
        }
        if path.exists() {
            let (batches, read) = log::read(&path, fault).map_err(damaged)?;
            length = read;
            for batch in &batches {
                replay(&mut map, batch, fault);
            }
        }
        let file = match mode {
            OpenMode::ReadOnly => None,
            _ => {
                let file = File::options().create(true).append(true).open(&path).map_err(io)?;
                file.set_len(length).map_err(io)?;
                Some(Mutex::new(file))
            }
        };
        if fault == Fault::LeaksDescriptors {
            std::mem::forget(File::open(&path).map_err(io)?);
        }
        let shared = Arc::new(Shared {
            map: Mutex::new(Arc::new(map)),
            path: path.clone(),
            versions: Mutex::default(),
        });
        let (was_read, was_full, has_new_values, kept_back) = Default::default();
        Ok(Self { shared, file, path, fault, was_read, was_full, has_new_values, kept_back })
    }
}

/// Removes every file in `dir` but the host's lock.
fn wipe(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != LOCK_FILE {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn damaged(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::InvalidData => {
            Error::new(ErrorKind::Corruption, "read", error.to_string())
        }
        _ => Error::io("read", error),
    }
}

fn replay(map: &mut Map, batch: &WriteBatch, fault: Fault) {
    for operation in batch.iter() {
        if fault == Fault::DeletesForgottenOnReopen && matches!(operation, Operation::Delete { .. })
        {
            continue;
        }
        if let Operation::Put { key, value } = operation
            && fault == Fault::KeyLengthInU8OnDisk
        {
            map.insert(key[..key.len() % (1 << 8)].to_vec(), value.to_vec());
            continue;
        }
        apply(map, &operation, Fault::None);
    }
}

/// Applies one operation; the map is that of the writer alone.
fn apply(map: &mut Map, operation: &Operation<'_>, fault: Fault) {
    match operation {
        Operation::Put { key, value } => {
            let kept =
                if fault == Fault::LengthInU16 { value.len() % (1 << 16) } else { value.len() };
            map.insert(key.to_vec(), value[..kept].to_vec());
        }
        Operation::Delete { key } => drop(map.remove(*key)),
        Operation::DeleteRange { range } => delete_range(map, range, fault),
    }
}

fn delete_range(map: &mut Map, range: &KeyRange<'_>, fault: Fault) {
    let unbounded = KeyRange::new(range.start, None);
    let wrong = fault == Fault::EmptyEndIsNoEnd && range.end.is_some_and(<[u8]>::is_empty);
    let range = if wrong { &unbounded } else { range };
    if range.is_empty() {
        return;
    }
    let spared = |key: &[u8]| fault == Fault::RangeSpares0xff && key > &[0xff; 32][..];
    let inside = |key: &[u8]| {
        range.contains(key) || fault == Fault::RangeTakesItsEnd && range.end == Some(key)
    };
    let keys = map.keys().filter(|key| inside(key) && !(range.end.is_none() && spared(key)));
    let most = if fault == Fault::RangeStopsAt10000 { 10_000 } else { usize::MAX };
    for key in keys.take(most).cloned().collect::<Vec<_>>() {
        map.remove(&key);
    }
}

impl Reference {
    fn file(&self) -> Result<MutexGuard<'_, File>> {
        let read_only = || Error::new(ErrorKind::ReadOnly, "write", "opened read-only");
        let file = self.file.as_ref().ok_or_else(read_only)?;
        Ok(file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies `batch` to a copy of the map and puts the copy in place, so that readers see all of it or nothing.
    fn publish(&self, batch: &WriteBatch) {
        let mut current = self.shared.lock();
        if self.fault == Fault::WriteUnderCursorDeadlocks {
            while Arc::strong_count(&current) > 1 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let before = current.clone();
        let count = batch.len() - usize::from(self.fault == Fault::LastOperationLost);
        let lost = self.fault == Fault::OverwriteAfterReadIsLost
            && self.was_read.swap(false, Ordering::SeqCst);
        let mut map = (*before).clone();
        for (index, operation) in batch.iter().take(count).enumerate() {
            if matches!(operation, Operation::Put { key, .. } if lost && before.contains_key(key)) {
                continue;
            }
            match (&operation, self.fault) {
                (Operation::DeleteRange { range }, Fault::RangeMissesPutsOfItsBatch) => {
                    map.retain(|key, _| !(range.contains(key) && before.contains_key(key)));
                }
                _ => apply(&mut map, &operation, self.fault),
            }
            if self.fault == Fault::BatchTornForReaders && index % 10 == 9 {
                *current = Arc::new(map.clone());
                drop(current);
                thread::yield_now();
                current = self.shared.lock();
            }
        }
        *current = Arc::new(map);
    }

    /// Appends `batch` to the file: one record, or under a fault one for each operation.
    fn append(&self, file: &File, batch: &WriteBatch) -> Result<()> {
        let io = |error| Error::io("write", error).with_effect(Effect::Unknown);
        match self.fault {
            Fault::WritesStayInMemory => Ok(()),
            Fault::SyncAtCloseOnly => {
                let mut kept_back = self.kept_back.lock().unwrap_or_else(PoisonError::into_inner);
                kept_back.extend(log::record(batch));
                Ok(())
            }
            Fault::TornWriteLeftBehind => {
                log::append(file, batch).map_err(|error| Error::io("write", error))
            }
            Fault::StuckAfterAFullDisk => {
                let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
                let is_stuck = self.was_full.load(Ordering::SeqCst);
                let appended = if is_stuck { Err(full()) } else { log::append(file, batch) };
                appended.map_err(|error| {
                    self.was_full.store(true, Ordering::SeqCst);
                    Error::io("write", error)
                })
            }
            Fault::FailedWriteIsVisible => {
                let length = file.metadata().map_err(io)?.len();
                // The file is as it was before, and the error says so.
                log::append(file, batch).map_err(|error| match file.set_len(length) {
                    Ok(()) => Error::io("write", error),
                    Err(_) => io(error),
                })
            }
            Fault::WriteErrorIgnored => {
                let _ = log::append(file, batch);
                Ok(())
            }
            Fault::BatchTornByCrash => batch.iter().try_for_each(|operation| {
                let mut single = WriteBatch::new();
                push(&mut single, &operation);
                thread::sleep(Duration::from_micros(200));
                log::append(file, &single).map_err(io)
            }),
            _ => log::append(file, batch).map_err(io),
        }
    }
}

impl Reference {
    /// Writes what is there when it begins into a new file, while writers append to the old one.
    fn compact_without_the_writers_lock(&self) -> std::io::Result<()> {
        let current = self.shared.current();
        let fresh = self.path.with_extension("new");
        let written = File::create(&fresh)?;
        log::append(&written, &batch_of(&current))?;
        written.sync_data()?;
        thread::sleep(Duration::from_millis(1));
        let mut file = self.file().map_err(std::io::Error::other)?;
        log::unseal(&self.path)?;
        fs::rename(&fresh, &self.path)?;
        *file = File::options().append(true).open(&self.path)?;
        Ok(())
    }
}

fn push(batch: &mut WriteBatch, operation: &Operation<'_>) {
    match operation {
        Operation::Put { key, value } => batch.put(key, value),
        Operation::Delete { key } => batch.delete(key),
        Operation::DeleteRange { range } => batch.delete_range(*range),
    }
}

/// The batch that makes `map` out of nothing.
fn batch_of(map: &Map) -> WriteBatch {
    let mut batch = WriteBatch::new();
    map.iter().for_each(|(key, value)| batch.put(key, value));
    batch
}

impl StorageBackend for Reference {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.was_read.store(true, Ordering::SeqCst);
        if self.fault == Fault::ReadErrorTakenForAbsence && !self.shared.is_readable() {
            return Ok(false);
        }
        View::new(&self.shared, self.fault, false).get(key, value)
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        let mut keys = keys.to_vec();
        if self.fault == Fault::MultiGetSorts {
            keys.sort();
        }
        let (view, mut value) = (View::new(&self.shared, self.fault, false), ByteBuf::new());
        for key in keys {
            let found = view.get(key, &mut value)?;
            values.push(found.then_some(&*value));
        }
        Ok(())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        if self.fault == Fault::BigBatchFailsSilently && batch.len() > 50_000 {
            return Ok(());
        }
        if self.fault == Fault::AbortsOnALargeValue && batch.as_bytes().len() > 8 << 20 {
            std::process::abort();
        }
        let file = self.file()?;
        if self.fault == Fault::FailedWriteIsVisible {
            self.publish(batch);
        }
        self.append(&file, batch)?;
        if batch.iter().any(|operation| matches!(operation, Operation::Put { .. })) {
            self.has_new_values.store(true, Ordering::SeqCst);
        }
        if durability == Durability::Synced && self.fault != Fault::SyncIsANoOp {
            let mut sync = file.sync_data();
            if self.fault == Fault::FailedSyncIsRetried && sync.is_err() {
                sync = file.sync_data();
            }
            sync.map_err(|error| Error::io("write", error).with_effect(Effect::Unknown))?;
        }
        if self.fault != Fault::FailedWriteIsVisible {
            self.publish(batch);
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        if self.fault == Fault::SnapshotsShareAPin {
            return Ok(Box::new(PinnedSnapshot::new(&self.shared)));
        }
        let live = self.fault == Fault::SnapshotSeesLaterWrites;
        Ok(Box::new(View::new(&self.shared, self.fault, live)))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        let live = matches!(
            self.fault,
            Fault::CursorSeesLaterWrites
                | Fault::CursorCountsPositions
                | Fault::ReadErrorTakenForEnd
        );
        let view = View::new(&self.shared, self.fault, live);
        Ok(Box::new(view.cursor(range, direction)))
    }

    fn flush(&self, durability: Durability) -> Result<()> {
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Synced if self.fault == Fault::FlushIsANoOp => Ok(()),
            Durability::Synced
                if self.fault == Fault::DeletesAreNotFlushed
                    && !self.has_new_values.swap(false, Ordering::SeqCst) =>
            {
                Ok(())
            }
            Durability::Synced => {
                self.file()?.sync_data().map_err(|error| Error::io("flush", error))
            }
        }
    }

    fn stats(&self) -> Result<StorageStats> {
        let metadata = fs::metadata(&self.path);
        assert!(metadata.is_ok() || self.fault != Fault::PanicsWithoutItsDirectory, "no file");
        let metadata = metadata.map_err(|error| Error::io("stats", error))?;
        let keys = self.shared.current().len() as u64;
        let factor = if self.fault == Fault::KeysMiscounted { 3 } else { 1 };
        Ok(StorageStats {
            keys: Some(keys * factor),
            disk_bytes: Some(metadata.len()),
            ..StorageStats::default()
        })
    }

    fn close(&self) -> Result<()> {
        let io = |error| Error::io("close", error);
        let mut file = self.file()?;
        let kept_back = self.kept_back.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&kept_back).map_err(io)?;
        file.sync_data().map_err(io)
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let io = |error| Error::io("checkpoint", error);
        if self.fault == Fault::CheckpointSharesTheFile {
            fs::create_dir(dir).map_err(io)?;
            return fs::hard_link(&self.path, dir.join(FILE)).map_err(io);
        }
        let mut map = (*self.shared.current()).clone();
        if self.fault == Fault::CheckpointMissesTheNewest {
            map.pop_last();
        }
        fs::create_dir(dir).map_err(io)?;
        let path = dir.join(FILE);
        let written = File::create(&path)
            .and_then(|file| log::append(&file, &batch_of(&map)))
            .and_then(|()| log::seal(&path));
        if self.fault == Fault::CheckpointIgnoresErrors { Ok(()) } else { written.map_err(io) }
    }

    fn compact(&self, _: KeyRange<'_>) -> Result<()> {
        let io = |error| Error::io("compact", error).with_effect(Effect::Unknown);
        if self.fault == Fault::CompactLosesConcurrentWrites {
            return self.compact_without_the_writers_lock().map_err(io);
        }
        let mut file = self.file()?;
        let mut current = self.shared.lock();
        if self.fault == Fault::CompactOfEmptyFails && current.is_empty() {
            return Err(Error::new(ErrorKind::Internal, "compact", "there is nothing to compact"));
        }
        if self.fault == Fault::CompactDropsEntries {
            Arc::make_mut(&mut current).pop_first();
        }
        let fresh = self.path.with_extension("new");
        let written = File::create(&fresh).map_err(io)?;
        log::append(&written, &batch_of(&current)).map_err(io)?;
        self.shared.versions().collect();
        if self.fault != Fault::CompactRenamesUnsynced {
            written.sync_data().map_err(io)?;
        }
        log::unseal(&self.path).map_err(io)?;
        fs::rename(&fresh, &self.path).map_err(io)?;
        *file = File::options().append(true).open(&self.path).map_err(io)?;
        Ok(())
    }

    fn verify(&self) -> Result<VerifyReport> {
        if self.fault == Fault::ClaimsVerifyAndLacksIt {
            return Err(Error::new(ErrorKind::Unsupported, "verify", "not written yet"));
        }
        let (batches, length) = log::read(&self.path, self.fault).map_err(damaged)?;
        let metadata = fs::metadata(&self.path).map_err(|error| Error::io("verify", error))?;
        let damaged = (metadata.len() != length).then(|| format!("damage at byte {length}"));
        Ok(VerifyReport { checked: batches.len() as u64, problems: damaged.into_iter().collect() })
    }

    fn size_on_disk(&self, range: KeyRange<'_>) -> Result<u64> {
        let map = self.shared.current();
        let inside = map.iter().filter(|(key, _)| range.contains(key));
        Ok(inside.map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}
