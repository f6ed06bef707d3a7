//! The plugins that are linked into every program that uses this crate.
//!
//! A crate that is only listed in `Cargo.toml` is dropped by the linker, and its registration with it: naming each one here is
//! what keeps it. RocksDB and LevelDB are linked in by the cargo features `rocksdb` and `leveldb`, or both by `all-backends`.

use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;
#[cfg(feature = "leveldb")]
use supervm_storage_leveldb as _;
use supervm_storage_lmdb as _;
use supervm_storage_memory as _;
#[cfg(feature = "rocksdb")]
use supervm_storage_rocksdb as _;
use supervm_storage_sqlite as _;

/// Names of the storage backends that are linked in, sorted.
pub const STORAGE_BACKENDS: &[&str] = &[
    #[cfg(feature = "leveldb")]
    "leveldb",
    "lmdb",
    "memory",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    "sqlite",
];

/// Names of the host packs that are linked in, sorted.
pub const HOST_PACKS: &[&str] = &["chain", "crypto", "storage"];
