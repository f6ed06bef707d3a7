//! The contract between SuperVM and its plugins.
//!
//! A plugin is a storage backend ([`StorageFactory`], [`StorageBackend`]) or a host pack ([`host::HostPack`]), written in safe
//! Rust against this crate (and `serde` and `schemars`, whose derives describe its options), and ended by [`export_plugin!`]. The
//! same crate can be linked into a program and loaded as a shared library.
//!
//! The crate knows no database and no WASM runtime. What it has for hosts (finding, checking and loading plugins) is behind the
//! feature `host`.
//!
//! # Examples
//! A whole backend is in `tests/boundary.rs`, a whole host pack in `tests/host_pack.rs`. The options of one:
//! ```
//! use supervm_plugin_sdk::prelude::*;
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct MyConfig {
//!     /// Bytes of cache.
//!     cache_bytes: ByteSize,
//! }
//!
//! impl Default for MyConfig {
//!     fn default() -> Self {
//!         Self { cache_bytes: ByteSize(8 << 20) }
//!     }
//! }
//! assert_eq!(MyConfig::default().cache_bytes.to_string(), "8MiB");
//! ```

mod abi;
mod batch;
mod capability;
mod config;
mod cursor;
mod descriptor;
mod error;
mod export;
mod guard;
pub mod host;
#[cfg(feature = "host")]
pub mod load;
mod page;
mod range;
mod storage;

pub use abi::bytes::ByteBuf;
pub use abi::root::ABI_VERSION;
pub use batch::{Operation, Operations, WriteBatch, check_key, check_range, check_value};
pub use capability::{
    BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, CONTRACT_KEY_BYTES_MAX, CURSORS_MAX, Capabilities,
    Capability, KEY_BYTES_MAX, Limits, SNAPSHOTS_MAX, Support, VALUE_BYTES_MAX,
};
pub use config::ByteSize;
pub use cursor::PagedCursor;
pub use descriptor::{NAME_BYTES_MAX, PluginDescriptor, PluginKind};
pub use error::{Effect, Error, ErrorKind, Result};
pub use guard::LOCK_FILE;
pub use page::{PAGE_BYTES, Page, PageIter, Values, ValuesIter};
pub use range::{KeyRange, RangeAhead, prefix_successor};
pub use storage::{
    Cursor, Direction, Durability, OpenMode, PageEnd, StorageBackend, StorageFactory,
    StorageSnapshot, StorageStats, VerifyReport,
};

/// What an author imports.
pub mod prelude {
    pub use crate::host::{
        Arguments, HostContext, HostError, HostFunction, HostPack, HostValue, StateAccess,
        ValueType,
    };
    pub use crate::{
        ByteBuf, ByteSize, Capabilities, Capability, Cursor, Direction, Durability, Effect, Error,
        ErrorKind, KeyRange, OpenMode, Operation, Page, PageEnd, PagedCursor, RangeAhead, Result,
        StorageBackend, StorageFactory, StorageSnapshot, StorageStats, Values, VerifyReport,
        WriteBatch, export_plugin,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

/// What the expansion of [`export_plugin!`] names; no part of the contract.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi::root::{Exportable, Header, Identity, Linked, PluginRootRef, header};
    pub use crate::export::{assert_plugin_name, host_pack_root, storage_root};
    pub use inventory;
}
