//! The ways to a storage that are measured.

mod supervm;
mod lmdb;
mod sqlite;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "leveldb")]
mod leveldb;
mod memory;
mod redb;

#[cfg(feature = "leveldb")]
pub use leveldb::LevelDbLeg;
pub use lmdb::HeedLeg;
pub use memory::MapLeg;
pub use redb::RedbLeg;
#[cfg(feature = "rocksdb")]
pub use rocksdb::RocksDbLeg;
pub use sqlite::RusqliteLeg;
pub use supervm::SupervmLeg;
