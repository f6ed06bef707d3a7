//! What a case works with: a storage in a temporary directory of its own.

use crate::case::{CaseResult, Finding, Profile};
use crate::check::Row;
use crate::oracle::digest;
use crate::random::Random;
use crate::target::Loaded;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{
    ByteBuf, Capability, Cursor, Direction, Durability, KeyRange, Limits, OpenMode, Page, PageEnd,
    Result, StorageBackend, StorageSnapshot, Values, WriteBatch,
};
use tempfile::TempDir;

/// Pages that a full read may take; more means that a cursor does not end.
const PAGES_MAX: usize = 100_000;

/// A storage and the directories around it.
#[derive(Debug)]
pub(crate) struct Fixture {
    // Fields drop in order: the storage goes before the directory it lies in.
    storage: Option<Box<dyn StorageBackend>>,
    loaded: Loaded,
    seed: u64,
    profile: Profile,
    id: &'static str,
    others: u32,
    root: TempDir,
}

impl Fixture {
    pub(crate) fn new(
        loaded: &Loaded,
        id: &'static str,
        seed: u64,
        profile: Profile,
    ) -> CaseResult<Self> {
        let root = tempfile::Builder::new().prefix("supervm-conformance-").tempdir()?;
        let loaded = loaded.clone();
        let mut fixture = Self { storage: None, loaded, seed, profile, id, others: 0, root };
        fixture.open(OpenMode::Create)?;
        Ok(fixture)
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// Random numbers of this case, the same for the same seed.
    pub(crate) fn random(&self) -> Random {
        Random::new(self.seed, self.id)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The directory of the storage.
    pub(crate) fn dir(&self) -> PathBuf {
        self.root.path().join("store")
    }

    /// A path that nothing exists at.
    pub(crate) fn other_dir(&mut self) -> PathBuf {
        self.others += 1;
        self.root.path().join(format!("other-{}", self.others))
    }

    pub(crate) fn storage(&self) -> &dyn StorageBackend {
        self.storage.as_deref().expect("the case opened the storage and did not drop it since")
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.storage().capabilities().has(capability)
    }

    pub(crate) fn limits(&self) -> Limits {
        *self.storage().capabilities().limits()
    }

    pub(crate) fn open(&mut self, mode: OpenMode) -> CaseResult {
        self.storage = Some(self.open_at(&self.dir(), mode)?);
        Ok(())
    }

    pub(crate) fn open_at(&self, dir: &Path, mode: OpenMode) -> Result<Box<dyn StorageBackend>> {
        self.loaded.open(dir, mode)
    }

    /// Drops the storage without closing it.
    pub(crate) fn drop_storage(&mut self) {
        self.storage = None;
    }

    /// Closes the storage and opens what it left.
    pub(crate) fn reopen(&mut self, mode: OpenMode) -> CaseResult {
        self.storage().close()?;
        self.drop_storage();
        self.open(mode)
    }

    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> CaseResult {
        self.write(|batch| batch.put(key, value))
    }

    pub(crate) fn put_all<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> CaseResult {
        self.write(|batch| keys.into_iter().for_each(|key| batch.put(key, key)))
    }

    pub(crate) fn delete(&self, key: &[u8]) -> CaseResult {
        self.write(|batch| batch.delete(key))
    }

    /// Writes the batch that `fill` makes, buffered.
    pub(crate) fn write(&self, fill: impl FnOnce(&mut WriteBatch)) -> CaseResult {
        Ok(self.storage().write(&batch(fill), Durability::Buffered)?)
    }

    pub(crate) fn get(&self, key: &[u8]) -> CaseResult<Option<Vec<u8>>> {
        get(self.storage(), key)
    }

    pub(crate) fn multi_get(&self, keys: &[&[u8]]) -> CaseResult<Vec<Option<Vec<u8>>>> {
        let mut values = Values::new();
        self.storage().multi_get(keys, &mut values)?;
        Ok(owned(&values))
    }

    pub(crate) fn snapshot(&self) -> CaseResult<Box<dyn StorageSnapshot>> {
        Ok(self.storage().snapshot()?)
    }

    pub(crate) fn cursor(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> CaseResult<Box<dyn Cursor>> {
        Ok(self.storage().cursor(range, direction)?)
    }

    /// The entries of `range`, forward.
    pub(crate) fn rows(&self, range: KeyRange<'_>) -> CaseResult<Vec<Row>> {
        drain(&mut *self.cursor(range, Direction::Forward)?)
    }

    pub(crate) fn all_rows(&self) -> CaseResult<Vec<Row>> {
        self.rows(KeyRange::ALL)
    }

    pub(crate) fn digest(&self) -> CaseResult<String> {
        storage_digest(self.storage())
    }
}

/// The batch that `fill` makes.
pub(crate) fn batch(fill: impl FnOnce(&mut WriteBatch)) -> WriteBatch {
    let mut batch = WriteBatch::new();
    fill(&mut batch);
    batch
}

pub(crate) fn get(storage: &dyn StorageBackend, key: &[u8]) -> CaseResult<Option<Vec<u8>>> {
    let mut value = ByteBuf::new();
    let found = storage.get(key, &mut value)?;
    Ok(found.then(|| value.to_vec()))
}

pub(crate) fn snapshot_get(
    snapshot: &dyn StorageSnapshot,
    key: &[u8],
) -> CaseResult<Option<Vec<u8>>> {
    let mut value = ByteBuf::new();
    let found = snapshot.get(key, &mut value)?;
    Ok(found.then(|| value.to_vec()))
}

pub(crate) fn owned(values: &Values) -> Vec<Option<Vec<u8>>> {
    values.iter().map(|value| value.map(<[u8]>::to_vec)).collect()
}

/// Every entry that `cursor` still has.
pub(crate) fn drain(cursor: &mut dyn Cursor) -> CaseResult<Vec<Row>> {
    let (mut page, mut rows) = (Page::new(), Vec::new());
    for _ in 0..PAGES_MAX {
        page.clear();
        let end = cursor.next_page(&mut page)?;
        rows.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if end == PageEnd::End {
            return Ok(rows);
        }
    }
    Err(Finding::Failed(format!("a cursor has not ended after {PAGES_MAX} pages")))
}

/// The first entry that `cursor` has next, with what follows it in the same page left out.
pub(crate) fn first(cursor: &mut dyn Cursor) -> CaseResult<Option<Row>> {
    let mut page = Page::new();
    cursor.next_page(&mut page)?;
    Ok(page.iter().next().map(|(key, value)| (key.to_vec(), value.to_vec())))
}

pub(crate) fn storage_rows(storage: &dyn StorageBackend) -> CaseResult<Vec<Row>> {
    drain(&mut *storage.cursor(KeyRange::ALL, Direction::Forward)?)
}

/// The state digest of everything in `storage` (clause 23), in hex.
pub(crate) fn storage_digest(storage: &dyn StorageBackend) -> CaseResult<String> {
    Ok(digest(storage_rows(storage)?.into_iter()))
}

pub(crate) fn snapshot_rows(snapshot: &dyn StorageSnapshot) -> CaseResult<Vec<Row>> {
    drain(&mut *snapshot.cursor(KeyRange::ALL, Direction::Forward)?)
}

/// Entries whose values are their keys.
pub(crate) fn mirrored_rows<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Vec<Row> {
    keys.into_iter().map(|key| (key.to_vec(), key.to_vec())).collect()
}

/// `count` keys in ascending order, each the number in eight digits.
pub(crate) fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("{number:08}").into_bytes()).collect()
}
