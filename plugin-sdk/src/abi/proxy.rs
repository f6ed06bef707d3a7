//! The host's half: a plugin's objects as the contract's traits.

use super::bytes::ByteBuf;
use super::error::AbiResult;
use super::storage::*;
use crate::{
    Capabilities, Cursor, Direction, Durability, Error, ErrorKind, KeyRange, OpenMode, Page,
    PageEnd, Result, StorageBackend, StorageSnapshot, StorageStats, Values, VerifyReport,
    WriteBatch,
};
use abi_stable::std_types::{ROption, RResult, RSlice, RString};
use serde::de::DeserializeOwned;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(crate) fn check_config(entry: &StorageEntry, options: &str) -> Result<()> {
    unpack((entry.check_config)(options.as_bytes().into()))
}

pub(crate) fn open(
    entry: &StorageEntry,
    dir: &Path,
    options: &str,
    mode: OpenMode,
) -> Result<Box<dyn StorageBackend>> {
    let dir = dir.as_os_str().as_bytes();
    let object = unpack((entry.open)(dir.into(), options.as_bytes().into(), mode as u8))?;
    Ok(Box::new(StorageProxy(object)))
}

fn unpack<T>(result: AbiResult<T>) -> Result<T> {
    match result {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(error) => Err(error.into()),
    }
}

fn decode<T: DeserializeOwned>(operation: &'static str, text: RString) -> Result<T> {
    serde_json::from_str(&text).map_err(|error| {
        Error::new(ErrorKind::AbiMismatch, operation, "the plugin's answer does not parse")
            .with_source(error)
    })
}

fn range<'a>(range: &KeyRange<'a>) -> AbiRange<'a> {
    let end = range.end.map(RSlice::from);
    AbiRange { start: range.start.into(), end: ROption::from(end) }
}

fn slices<'a>(keys: &[&'a [u8]]) -> Vec<RSlice<'a, u8>> {
    keys.iter().map(|key| RSlice::from(*key)).collect()
}

/// A plugin's drop cannot be refused; a failure of it is reported and the object is gone.
fn report_drop(what: &str, result: AbiResult<()>) {
    if let Err(error) = unpack(result) {
        tracing::error!(%error, "dropping a plugin's {what} failed");
    }
}

struct StorageProxy(StorageObject);

// SAFETY: what is behind the pointer is `Send + Sync` (argument 2 of the module `abi`).
unsafe impl Send for StorageProxy {}
// SAFETY: as above.
unsafe impl Sync for StorageProxy {}

impl Drop for StorageProxy {
    fn drop(&mut self) {
        // SAFETY: the one owner's only drop (argument 1 of the module `abi`).
        report_drop("storage", unsafe { (self.0.functions.drop())(self.0.data) });
    }
}

/// Calls a function of an object's table with its data pointer and unpacks the result.
macro_rules! call {
    ($object:expr, $function:ident $(, $argument:expr)*) => {
        // SAFETY: table and pointer come from one object (argument 1 of the module `abi`), which lives during the call.
        unpack(unsafe { ($object.functions.$function())($object.data $(, $argument)*) })
    };
}

impl StorageBackend for StorageProxy {
    fn capabilities(&self) -> Capabilities {
        // A plugin that cannot say what it can do can do nothing optional.
        let text = call!(self.0, capabilities);
        text.and_then(|text| decode("capabilities", text)).unwrap_or_default()
    }

    #[inline]
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        call!(self.0, get, key.into(), value)
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        call!(self.0, multi_get, slices(keys).as_slice().into(), values.buffer())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        call!(self.0, write, batch.log(), batch.len() as u64, durability as u8)
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(SnapshotProxy(call!(self.0, snapshot)?)))
    }

    fn cursor(&self, bounds: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(CursorProxy(call!(self.0, cursor, range(&bounds), direction as u8)?)))
    }

    fn flush(&self, durability: Durability) -> Result<()> {
        call!(self.0, flush, durability as u8)
    }

    fn stats(&self) -> Result<StorageStats> {
        decode("stats", call!(self.0, stats)?)
    }

    fn close(&self) -> Result<()> {
        call!(self.0, close)
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        call!(self.0, checkpoint, dir.as_os_str().as_bytes().into())
    }

    fn compact(&self, bounds: KeyRange<'_>) -> Result<()> {
        call!(self.0, compact, range(&bounds))
    }

    fn verify(&self) -> Result<VerifyReport> {
        decode("verify", call!(self.0, verify)?)
    }

    fn size_on_disk(&self, bounds: KeyRange<'_>) -> Result<u64> {
        call!(self.0, size_on_disk, range(&bounds))
    }
}

struct SnapshotProxy(SnapshotObject);

// SAFETY: as for `StorageProxy`.
unsafe impl Send for SnapshotProxy {}
// SAFETY: as for `StorageProxy`.
unsafe impl Sync for SnapshotProxy {}

impl Drop for SnapshotProxy {
    fn drop(&mut self) {
        // SAFETY: as for `StorageProxy`.
        report_drop("snapshot", unsafe { (self.0.functions.drop())(self.0.data) });
    }
}

impl StorageSnapshot for SnapshotProxy {
    #[inline]
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        call!(self.0, get, key.into(), value)
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        call!(self.0, multi_get, slices(keys).as_slice().into(), values.buffer())
    }

    fn cursor(&self, bounds: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(CursorProxy(call!(self.0, cursor, range(&bounds), direction as u8)?)))
    }
}

struct CursorProxy(CursorObject);

// SAFETY: what is behind the pointer is `Send`, and every use takes `&mut self`.
unsafe impl Send for CursorProxy {}

impl Drop for CursorProxy {
    fn drop(&mut self) {
        // SAFETY: as for `StorageProxy`.
        report_drop("cursor", unsafe { (self.0.functions.drop())(self.0.data) });
    }
}

impl Cursor for CursorProxy {
    #[inline]
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let full_at = page.full_at();
        match call!(self.0, next_page, page.buffer(), full_at)? {
            0 => Ok(PageEnd::More),
            1 => Ok(PageEnd::End),
            other => Err(Error::new(
                ErrorKind::AbiMismatch,
                "next_page",
                format!("the plugin answered with the unknown code {other}"),
            )),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        call!(self.0, seek, key.into())
    }
}
