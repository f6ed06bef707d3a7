//! LMDB through heed, with the backend's options and, as in the backend, a read transaction that is kept until the next write.

#![expect(unsafe_code, reason = "heed cannot know who else writes to a file that it maps")]

use crate::backend::Dir;
use crate::data::Put;
use crate::leg::Leg;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use supervm_plugin_sdk::KeyRange;
use supervm_storage_lmdb::LmdbConfig;

/// An LMDB environment.
pub struct HeedLeg {
    reading: Option<RoTxn<'static, WithoutTls>>,
    db: Database<'static, Bytes, Bytes>,
    env: Env<WithoutTls>,
    // Dropped after the environment that is in it.
    _dir: Arc<Dir>,
}

impl fmt::Debug for HeedLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeedLeg").field("env", &self.env).finish_non_exhaustive()
    }
}

impl HeedLeg {
    /// Opens what the backend has filled.
    pub fn open(dir: Arc<Dir>) -> Self {
        let config = LmdbConfig::default();
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(config.map_bytes_max.0 as usize).max_readers(config.readers_max);
        // SAFETY: the flag leaves out the sync of the last page of a commit, as a buffered write of the backend does; it gives
        // up durability, and no check.
        unsafe { options.flags(EnvFlags::NO_META_SYNC) };
        // SAFETY: a directory of this leg's own, which nobody else opens.
        let env = unsafe { options.open(dir.path()) }.expect("the image opens");
        let txn = env.read_txn().expect("a reader is free");
        let opened = env.open_databases_and_commit(txn, |opener, txn| {
            opener.open_database(txn, None).map(CommitOrAbort::<_, ()>::Commit)
        });
        let db = opened.expect("the unnamed database opens").commit().flatten();
        let db = db.expect("the unnamed database is always there");
        Self { reading: None, db, env, _dir: dir }
    }

    fn reading(&mut self) -> &RoTxn<'static, WithoutTls> {
        let begin = || self.env.clone().static_read_txn().expect("a reader is free");
        self.reading.get_or_insert_with(begin)
    }
}

impl Leg for HeedLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let db = self.db;
        db.get(self.reading(), key).expect("get").map(read)
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        let db = self.db;
        // LMDB does not search for an empty key.
        let is_bounded = !range.start.is_empty();
        let start = if is_bounded { Bound::Included(range.start) } else { Bound::Unbounded };
        let bounds = (start, range.end.map_or(Bound::Unbounded, Bound::Excluded));
        for entry in db.range(self.reading(), &bounds).expect("range") {
            let (key, value) = entry.expect("next entry");
            read(key, value);
        }
    }

    fn write(&mut self, batch: &[Put]) {
        self.reading = None;
        let mut txn = self.env.write_txn().expect("begin");
        for put in batch {
            self.db.put(&mut txn, &put.key, &put.value).expect("put");
        }
        txn.commit().expect("commit");
    }
}
