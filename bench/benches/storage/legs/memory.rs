//! The standard library's ordered map behind a lock: what a program without a storage would take.

use crate::data::{Data, Put};
use crate::leg::Leg;
use parking_lot::RwLock;
use std::collections::BTreeMap;

type Bytes = Box<[u8]>;

pub(crate) struct MapLeg(RwLock<BTreeMap<Bytes, Bytes>>);

impl MapLeg {
    pub(crate) fn filled(data: &Data) -> Self {
        let mut leg = Self(RwLock::default());
        leg.write(&data.entries);
        leg
    }
}

impl Leg for MapLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.read().get(key).map(|value| read(value))
    }

    fn scan(&mut self, mut read: impl FnMut(&[u8], &[u8])) {
        self.0.read().iter().for_each(|(key, value)| read(key, value));
    }

    fn write(&mut self, batch: &[Put]) {
        let mut map = self.0.write();
        for put in batch {
            map.insert(put.key.as_slice().into(), put.value.as_slice().into());
        }
    }
}
