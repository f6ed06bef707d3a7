//! redb, a database in Rust. Its reader is kept until the next write, like LMDB's.
//!
//! It has no commit that survives the process and leaves the sync out, so that it syncs every batch.

use crate::backend::scratch_dir;
use crate::data::{Data, Put};
use crate::leg::Leg;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};
use std::fmt;
use std::ops::Bound;
use supervm_plugin_sdk::KeyRange;
use tempfile::TempDir;

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("entries");

/// A redb database.
pub struct RedbLeg {
    reading: Option<ReadOnlyTable<&'static [u8], &'static [u8]>>,
    db: Database,
    // Dropped after the database that is in it.
    _dir: TempDir,
}

impl fmt::Debug for RedbLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbLeg").field("db", &self.db).finish_non_exhaustive()
    }
}

impl RedbLeg {
    /// Holds what `data` fills in.
    pub fn filled(data: &Data) -> Self {
        let dir = scratch_dir();
        let db = Database::create(dir.path().join("storage.redb")).expect("the disk has room");
        let mut leg = Self { reading: None, db, _dir: dir };
        data.fill().for_each(|batch| leg.write(&batch));
        leg
    }

    #[inline]
    fn reading(&mut self) -> &ReadOnlyTable<&'static [u8], &'static [u8]> {
        self.reading.get_or_insert_with(|| {
            let txn = self.db.begin_read().expect("begin read");
            txn.open_table(TABLE).expect("the first batch made the table")
        })
    }
}

impl Leg for RedbLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.reading().get(key).expect("get").map(|value| read(value.value()))
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(range.start), end);
        for entry in self.reading().range::<&[u8]>(bounds).expect("range") {
            let (key, value) = entry.expect("next entry");
            read(key.value(), value.value());
        }
    }

    fn write(&mut self, batch: &[Put]) {
        self.reading = None;
        let txn = self.db.begin_write().expect("begin write");
        let mut table = txn.open_table(TABLE).expect("the table opens");
        for put in batch {
            table.insert(put.key.as_slice(), put.value.as_slice()).expect("insert");
        }
        drop(table);
        txn.commit().expect("commit");
    }
}
