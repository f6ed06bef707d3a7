//! The function tables of a storage, a snapshot and a cursor.

use super::bytes::ByteBuf;
use super::error::AbiResult;
use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RSlice, RString};

/// The exporting side's `Box`, as a pointer that only that side's functions may turn back.
pub type Data = *mut ();

/// `[start, end)`, as [`KeyRange`](crate::KeyRange).
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiRange<'a> {
    pub start: RSlice<'a, u8>,
    pub end: ROption<RSlice<'a, u8>>,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct StorageObject {
    pub data: Data,
    pub functions: StorageFunctionsRef,
}

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = StorageFunctionsRef)))]
#[sabi(missing_field(panic))]
pub struct StorageFunctions {
    pub get: unsafe extern "C" fn(Data, RSlice<'_, u8>, &mut ByteBuf) -> AbiResult<bool>,
    pub multi_get:
        unsafe extern "C" fn(Data, RSlice<'_, RSlice<'_, u8>>, &mut ByteBuf) -> AbiResult<()>,
    /// The operation log, the number of its operations, the durability's code.
    pub write: unsafe extern "C" fn(Data, &ByteBuf, u64, u8) -> AbiResult<()>,
    pub snapshot: unsafe extern "C" fn(Data) -> AbiResult<SnapshotObject>,
    pub cursor: unsafe extern "C" fn(Data, AbiRange<'_>, u8) -> AbiResult<CursorObject>,
    pub flush: unsafe extern "C" fn(Data, u8) -> AbiResult<()>,
    /// [`StorageStats`](crate::StorageStats) as JSON.
    pub stats: unsafe extern "C" fn(Data) -> AbiResult<RString>,
    /// [`Capabilities`](crate::Capabilities) as JSON.
    pub capabilities: unsafe extern "C" fn(Data) -> AbiResult<RString>,
    pub close: unsafe extern "C" fn(Data) -> AbiResult<()>,
    /// The target directory, as the bytes of its path.
    pub checkpoint: unsafe extern "C" fn(Data, RSlice<'_, u8>) -> AbiResult<()>,
    pub compact: unsafe extern "C" fn(Data, AbiRange<'_>) -> AbiResult<()>,
    /// [`VerifyReport`](crate::VerifyReport) as JSON.
    pub verify: unsafe extern "C" fn(Data) -> AbiResult<RString>,
    pub size_on_disk: unsafe extern "C" fn(Data, AbiRange<'_>) -> AbiResult<u64>,
    #[sabi(last_prefix_field)]
    pub drop: unsafe extern "C" fn(Data) -> AbiResult<()>,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct SnapshotObject {
    pub data: Data,
    pub functions: SnapshotFunctionsRef,
}

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = SnapshotFunctionsRef)))]
#[sabi(missing_field(panic))]
pub struct SnapshotFunctions {
    pub get: unsafe extern "C" fn(Data, RSlice<'_, u8>, &mut ByteBuf) -> AbiResult<bool>,
    pub multi_get:
        unsafe extern "C" fn(Data, RSlice<'_, RSlice<'_, u8>>, &mut ByteBuf) -> AbiResult<()>,
    pub cursor: unsafe extern "C" fn(Data, AbiRange<'_>, u8) -> AbiResult<CursorObject>,
    #[sabi(last_prefix_field)]
    pub drop: unsafe extern "C" fn(Data) -> AbiResult<()>,
}

#[repr(C)]
#[derive(StableAbi)]
pub struct CursorObject {
    pub data: Data,
    pub functions: CursorFunctionsRef,
}

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = CursorFunctionsRef)))]
#[sabi(missing_field(panic))]
pub struct CursorFunctions {
    /// Appends to the page's buffer until it has so many bytes; returns the code of a [`PageEnd`](crate::PageEnd).
    pub next_page: unsafe extern "C" fn(Data, &mut ByteBuf, usize) -> AbiResult<u8>,
    pub seek: unsafe extern "C" fn(Data, RSlice<'_, u8>) -> AbiResult<()>,
    #[sabi(last_prefix_field)]
    pub drop: unsafe extern "C" fn(Data) -> AbiResult<()>,
}

/// The functions of a storage plugin that need no open storage.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct StorageEntry {
    /// Are these options, in TOML, ones that `open` would accept?
    pub check_config: extern "C" fn(RSlice<'_, u8>) -> AbiResult<()>,
    /// The directory as the bytes of its path, the options in TOML, the mode's code.
    pub open: extern "C" fn(RSlice<'_, u8>, RSlice<'_, u8>, u8) -> AbiResult<StorageObject>,
}
