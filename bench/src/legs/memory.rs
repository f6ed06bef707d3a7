//! The standard library's ordered map behind a lock: what a program without a storage would take.

use crate::data::{Data, Put};
use crate::leg::Leg;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;
use supervm_plugin_sdk::KeyRange;

type Bytes = Box<[u8]>;

/// A map in memory.
#[derive(Debug, Default)]
pub struct MapLeg(RwLock<BTreeMap<Bytes, Bytes>>);

impl MapLeg {
    /// Holds what `data` fills in.
    pub fn filled(data: &Data) -> Self {
        let mut leg = Self::default();
        data.fill().for_each(|batch| leg.write(&batch));
        leg
    }
}

impl Leg for MapLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.read().get(key).map(|value| read(value))
    }

    fn multi_get(&mut self, keys: &[&[u8]], mut read: impl FnMut(Option<&[u8]>)) {
        let map = self.0.read();
        keys.iter().for_each(|key| read(map.get(*key).map(AsRef::as_ref)));
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(range.start), end);
        self.0.read().range::<[u8], _>(bounds).for_each(|(key, value)| read(key, value));
    }

    fn write(&mut self, batch: &[Put]) {
        let mut map = self.0.write();
        for put in batch {
            map.insert(put.key.as_slice().into(), put.value.as_slice().into());
        }
    }
}
