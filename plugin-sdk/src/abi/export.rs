//! The plugin's half: the exported functions around an author's backend.

use super::bytes::ByteBuf;
use super::contain;
use super::error::AbiResult;
use super::storage::*;
use crate::guard::{Guarded, GuardedCursor, GuardedSnapshot, Sharing};
use crate::{
    Direction, Durability, Error, ErrorKind, KeyRange, OpenMode, Page, Result, StorageFactory,
    Values, WriteBatch,
};
use abi_stable::prefix_type::WithMetadata;
use abi_stable::staticref;
use abi_stable::std_types::{ROption, RSlice, RString};
use serde::Serialize;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

pub(crate) const fn storage_entry<B: StorageFactory>() -> StorageEntry {
    StorageEntry { check_config: check_config::<B>, open: open::<B> }
}

extern "C" fn check_config<B: StorageFactory>(options: RSlice<'_, u8>) -> AbiResult<()> {
    contain("check configuration", || (), || B::check(&parse_config::<B>(options.as_slice())?))
}

extern "C" fn open<B: StorageFactory>(
    dir: RSlice<'_, u8>,
    options: RSlice<'_, u8>,
    mode: u8,
) -> AbiResult<StorageObject> {
    contain(
        "open",
        || (),
        || {
            let config = parse_config::<B>(options.as_slice())?;
            let mode = match mode {
                0 => OpenMode::Create,
                1 => OpenMode::MustExist,
                2 => OpenMode::ReadOnly,
                other => return Err(unknown_code("open mode", other)),
            };
            let storage = Guarded::<B>::open(path(dir.as_slice()), config, mode)?;
            let functions = StorageFunctionsRef(Exported::<B>::STORAGE.as_prefix());
            Ok(StorageObject { data: Box::into_raw(Box::new(storage)).cast(), functions })
        },
    )
}

fn parse_config<B: StorageFactory>(options: &[u8]) -> Result<B::Config> {
    let refused =
        |message: String| Error::new(ErrorKind::ConfigInvalid, "read storage options", message);
    let text = str::from_utf8(options).map_err(|error| refused(error.to_string()))?;
    toml::from_str(text).map_err(|error| {
        let place = error.span().map_or(text, |span| text.get(span).unwrap_or(text));
        refused(error.message().to_owned()).with("at", place.trim())
    })
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn unknown_code(what: &str, code: u8) -> Error {
    Error::new(ErrorKind::InvalidArgument, "decode", format!("unknown {what} {code}"))
}

fn direction(code: u8) -> Result<Direction> {
    match code {
        0 => Ok(Direction::Forward),
        1 => Ok(Direction::Reverse),
        other => Err(unknown_code("direction", other)),
    }
}

fn durability(code: u8) -> Result<Durability> {
    match code {
        0 => Ok(Durability::Buffered),
        1 => Ok(Durability::Synced),
        other => Err(unknown_code("durability", other)),
    }
}

fn range<'a>(range: &AbiRange<'a>) -> KeyRange<'a> {
    let end = match range.end {
        ROption::RSome(end) => Some(end.as_slice()),
        ROption::RNone => None,
    };
    KeyRange::new(range.start.as_slice(), end)
}

fn json(value: &impl Serialize) -> Result<RString> {
    let text = serde_json::to_string(value);
    text.map(RString::from)
        .map_err(|error| Error::new(ErrorKind::Internal, "encode", error.to_string()))
}

/// Lends a host's buffer to `fill` in the shape that the contract's traits use, and gives it back.
fn lend<P, T>(
    buffer: &mut ByteBuf,
    wrap: impl FnOnce(ByteBuf) -> P,
    unwrap: impl FnOnce(P) -> ByteBuf,
    fill: impl FnOnce(&mut P) -> T,
) -> T {
    let mut lent = wrap(mem::take(buffer));
    let outcome = fill(&mut lent);
    *buffer = unwrap(lent);
    outcome
}

/// Turns a data pointer back into what this side boxed.
///
/// # Safety
/// `data` came from `Box::into_raw` of a `Box<T>` of this side and was not dropped.
unsafe fn shared<'a, T>(data: Data) -> &'a T {
    // SAFETY: the caller's promise; argument 1 of the module `abi`.
    unsafe { &*data.cast::<T>() }
}

/// As [`shared`], exclusively.
///
/// # Safety
/// As [`shared`]; and no other reference to it lives during the call.
unsafe fn exclusive<'a, T>(data: Data) -> &'a mut T {
    // SAFETY: the caller's promise; the importing side owns the cursor and calls through `&mut`.
    unsafe { &mut *data.cast::<T>() }
}

/// # Safety
/// As [`shared`]; `data` is not used again.
unsafe extern "C" fn drop_box<T: Sharing>(data: Data) -> AbiResult<()> {
    // SAFETY: the caller's promise; the importing side calls `drop` once, from its owner's `Drop`.
    let object = unsafe { Box::from_raw(data.cast::<T>()) };
    let shared = object.shared().clone();
    contain(
        "drop",
        || shared.poison(),
        || {
            drop(object);
            Ok(())
        },
    )
}

/// Packs a snapshot that was made behind the guard.
fn export_snapshot(snapshot: GuardedSnapshot) -> SnapshotObject {
    let functions = SnapshotFunctionsRef(Views::SNAPSHOT.as_prefix());
    SnapshotObject { data: Box::into_raw(Box::new(snapshot)).cast(), functions }
}

fn export_cursor(cursor: GuardedCursor) -> CursorObject {
    let functions = CursorFunctionsRef(Views::CURSOR.as_prefix());
    CursorObject { data: Box::into_raw(Box::new(cursor)).cast(), functions }
}

/// The function table of one backend type.
struct Exported<B>(PhantomData<B>);

impl<B: StorageFactory> Exported<B> {
    staticref! {
        const STORAGE: WithMetadata<StorageFunctions> = WithMetadata::new(StorageFunctions {
            get: Self::get,
            multi_get: Self::multi_get,
            write: Self::write,
            snapshot: Self::snapshot,
            cursor: Self::cursor,
            flush: Self::flush,
            stats: Self::stats,
            capabilities: Self::capabilities,
            close: Self::close,
            checkpoint: Self::checkpoint,
            compact: Self::compact,
            verify: Self::verify,
            size_on_disk: Self::size_on_disk,
            drop: drop_box::<Guarded<B>>,
        });
    }

    /// Runs `body` on the storage behind `data`; a panic poisons it.
    ///
    /// # Safety
    /// `data` is the pointer of a live [`StorageObject`] of this backend type.
    #[inline]
    unsafe fn on<T>(
        data: Data,
        operation: &'static str,
        body: impl FnOnce(&Guarded<B>) -> Result<T>,
    ) -> AbiResult<T> {
        // SAFETY: the caller's promise.
        let storage = unsafe { shared::<Guarded<B>>(data) };
        contain(operation, || storage.shared().poison(), || body(storage))
    }

    unsafe extern "C" fn get(
        data: Data,
        key: RSlice<'_, u8>,
        value: &mut ByteBuf,
    ) -> AbiResult<bool> {
        // SAFETY: `data` belongs to this table (argument 1 of the module `abi`); so in every function below.
        unsafe { Self::on(data, "get", |storage| storage.get(key.as_slice(), value)) }
    }

    unsafe extern "C" fn multi_get(
        data: Data,
        keys: RSlice<'_, RSlice<'_, u8>>,
        values: &mut ByteBuf,
    ) -> AbiResult<()> {
        // SAFETY: as in `get`.
        unsafe {
            Self::on(data, "multi_get", |storage| {
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
                lend(values, Values::from_buffer, Values::into_buffer, |values| {
                    storage.multi_get(&keys, values)
                })
            })
        }
    }

    unsafe extern "C" fn write(
        data: Data,
        log: &ByteBuf,
        operations: u64,
        code: u8,
    ) -> AbiResult<()> {
        // SAFETY: as in `get`. The copy of `log` shares its memory, is only read, and is never dropped, so the
        // owner's buffer is untouched when the call ends.
        unsafe {
            Self::on(data, "write", |storage| {
                let batch = WriteBatch::from_log(ptr::read(log), operations);
                let batch = ManuallyDrop::new(batch);
                storage.write(&batch, durability(code)?)
            })
        }
    }

    unsafe extern "C" fn snapshot(data: Data) -> AbiResult<SnapshotObject> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "snapshot", |storage| storage.snapshot().map(export_snapshot)) }
    }

    unsafe extern "C" fn cursor(
        data: Data,
        bounds: AbiRange<'_>,
        code: u8,
    ) -> AbiResult<CursorObject> {
        // SAFETY: as in `get`.
        unsafe {
            Self::on(data, "cursor", |storage| {
                storage.cursor(range(&bounds), direction(code)?).map(export_cursor)
            })
        }
    }

    unsafe extern "C" fn flush(data: Data, code: u8) -> AbiResult<()> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "flush", |storage| storage.flush(durability(code)?)) }
    }

    unsafe extern "C" fn stats(data: Data) -> AbiResult<RString> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "stats", |storage| json(&storage.stats()?)) }
    }

    unsafe extern "C" fn capabilities(data: Data) -> AbiResult<RString> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "capabilities", |storage| json(&storage.capabilities())) }
    }

    unsafe extern "C" fn close(data: Data) -> AbiResult<()> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "close", Guarded::close) }
    }

    unsafe extern "C" fn checkpoint(data: Data, dir: RSlice<'_, u8>) -> AbiResult<()> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "checkpoint", |storage| storage.checkpoint(path(dir.as_slice()))) }
    }

    unsafe extern "C" fn compact(data: Data, bounds: AbiRange<'_>) -> AbiResult<()> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "compact", |storage| storage.compact(range(&bounds))) }
    }

    unsafe extern "C" fn verify(data: Data) -> AbiResult<RString> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "verify", |storage| json(&storage.verify()?)) }
    }

    unsafe extern "C" fn size_on_disk(data: Data, bounds: AbiRange<'_>) -> AbiResult<u64> {
        // SAFETY: as in `get`.
        unsafe { Self::on(data, "size_on_disk", |storage| storage.size_on_disk(range(&bounds))) }
    }
}

/// The function tables of the views, which are the same for every backend type.
struct Views;

impl Views {
    staticref! {
        const SNAPSHOT: WithMetadata<SnapshotFunctions> = WithMetadata::new(SnapshotFunctions {
            get: snapshot_get,
            multi_get: snapshot_multi_get,
            cursor: snapshot_cursor,
            drop: drop_box::<GuardedSnapshot>,
        });

        const CURSOR: WithMetadata<CursorFunctions> = WithMetadata::new(CursorFunctions {
            next_page: cursor_next_page,
            seek: cursor_seek,
            drop: drop_box::<GuardedCursor>,
        });
    }
}

/// # Safety
/// `data` is the pointer of a live [`SnapshotObject`] of this side.
unsafe fn on_snapshot<T>(
    data: Data,
    operation: &'static str,
    body: impl FnOnce(&GuardedSnapshot) -> Result<T>,
) -> AbiResult<T> {
    // SAFETY: the caller's promise.
    let snapshot = unsafe { shared::<GuardedSnapshot>(data) };
    contain(operation, || snapshot.shared().poison(), || body(snapshot))
}

unsafe extern "C" fn snapshot_get(
    data: Data,
    key: RSlice<'_, u8>,
    value: &mut ByteBuf,
) -> AbiResult<bool> {
    // SAFETY: `data` belongs to the table `SNAPSHOT`; so in the functions below.
    unsafe { on_snapshot(data, "snapshot get", |snapshot| snapshot.get(key.as_slice(), value)) }
}

unsafe extern "C" fn snapshot_multi_get(
    data: Data,
    keys: RSlice<'_, RSlice<'_, u8>>,
    values: &mut ByteBuf,
) -> AbiResult<()> {
    // SAFETY: as in `snapshot_get`.
    unsafe {
        on_snapshot(data, "snapshot multi_get", |snapshot| {
            let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
            lend(values, Values::from_buffer, Values::into_buffer, |values| {
                snapshot.multi_get(&keys, values)
            })
        })
    }
}

unsafe extern "C" fn snapshot_cursor(
    data: Data,
    bounds: AbiRange<'_>,
    code: u8,
) -> AbiResult<CursorObject> {
    // SAFETY: as in `snapshot_get`.
    unsafe {
        on_snapshot(data, "snapshot cursor", |snapshot| {
            snapshot.cursor(range(&bounds), direction(code)?).map(export_cursor)
        })
    }
}

/// # Safety
/// `data` is the pointer of a live [`CursorObject`] of this side, used by one thread at a time.
unsafe fn on_cursor<T>(
    data: Data,
    operation: &'static str,
    body: impl FnOnce(&mut GuardedCursor) -> Result<T>,
) -> AbiResult<T> {
    // SAFETY: the caller's promise.
    let cursor = unsafe { exclusive::<GuardedCursor>(data) };
    let shared = cursor.shared().clone();
    contain(operation, || shared.poison(), || body(cursor))
}

unsafe extern "C" fn cursor_next_page(
    data: Data,
    entries: &mut ByteBuf,
    full_at: usize,
) -> AbiResult<u8> {
    // SAFETY: `data` belongs to the table `CURSOR`, and the importing side calls through `&mut`.
    unsafe {
        on_cursor(data, "next_page", |cursor| {
            let wrap = |entries| Page::from_buffer(entries, full_at);
            let end = lend(entries, wrap, Page::into_buffer, |page| cursor.next_page(page))?;
            Ok(end as u8)
        })
    }
}

unsafe extern "C" fn cursor_seek(data: Data, key: RSlice<'_, u8>) -> AbiResult<()> {
    // SAFETY: as in `cursor_next_page`.
    unsafe { on_cursor(data, "seek", |cursor| cursor.seek(key.as_slice())) }
}
