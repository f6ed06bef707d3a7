//! RocksDB through its crate, with the backend's options: the same object, because what RocksDB writes down of its options and reads
//! back has no filter. A batch is in the log, and the log with the operating system, when a write returns.

use crate::backend::Dir;
use crate::data::Put;
use crate::leg::Leg;
use rocksdb::{ColumnFamily, DB, DEFAULT_COLUMN_FAMILY_NAME, ReadOptions, WriteBatch};
use std::fmt;
use std::sync::Arc;
use supervm_plugin_sdk::KeyRange;
use supervm_storage_rocksdb::{RocksDbConfig, database_options};

/// A RocksDB database.
pub struct RocksDbLeg {
    db: DB,
    read: ReadOptions,
    // Dropped after the database that is in it.
    _dir: Arc<Dir>,
}

impl fmt::Debug for RocksDbLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksDbLeg").field("dir", &self.db.path()).finish_non_exhaustive()
    }
}

impl RocksDbLeg {
    /// Opens what the backend has filled.
    pub fn open(dir: Arc<Dir>) -> Self {
        let options = database_options(&RocksDbConfig::default());
        let families = [(DEFAULT_COLUMN_FAMILY_NAME, options.clone())];
        let db = DB::open_cf_with_opts(&options, dir.path(), families).expect("the image opens");
        Self { db, read: ReadOptions::default(), _dir: dir }
    }

    fn family(&self) -> &ColumnFamily {
        self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).expect("it was opened")
    }
}

impl Leg for RocksDbLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let found = self.db.get_pinned_opt(key, &self.read).expect("get");
        found.map(|value| read(&value))
    }

    fn multi_get(&mut self, keys: &[&[u8]], mut read: impl FnMut(Option<&[u8]>)) {
        let keys = keys.iter().copied();
        for found in self.db.batched_multi_get_cf_opt(self.family(), keys, false, &self.read) {
            read(found.expect("get").as_deref());
        }
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        let mut options = ReadOptions::default();
        if !range.start.is_empty() {
            options.set_iterate_lower_bound(range.start);
        }
        if let Some(end) = range.end {
            options.set_iterate_upper_bound(end);
        }
        let mut entries = self.db.raw_iterator_opt(options);
        entries.seek_to_first();
        while let Some((key, value)) = entries.item() {
            read(key, value);
            entries.next();
        }
        entries.status().expect("every block was read");
    }

    fn write(&mut self, batch: &[Put]) {
        let mut writes = WriteBatch::default();
        batch.iter().for_each(|put| writes.put(put.key, &put.value));
        self.db.write(writes).expect("write");
    }
}
