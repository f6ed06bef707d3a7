//! The ways to a storage that are measured.

mod supervm;
mod lmdb;
mod sqlite;
mod memory;
mod redb;

pub(crate) use lmdb::HeedLeg;
pub(crate) use memory::MapLeg;
pub(crate) use redb::RedbLeg;
pub(crate) use sqlite::RusqliteLeg;
pub(crate) use supervm::SupervmLeg;
