//! State in a map: what a block must leave, by the plainest means.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use supervm_engine::mvcc::MvccStore;
use supervm_engine::state::{StateRows, StateView};
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A view of a map; clones are views of the same one.
#[derive(Clone, Default)]
pub(crate) struct Model(pub(crate) Arc<Mutex<Map>>);

impl Model {
    pub(crate) fn apply(&self, writes: &[(Vec<u8>, Option<Vec<u8>>)]) {
        let mut map = self.0.lock();
        for (key, value) in writes {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
    }
}

impl StateView for Model {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        Ok(self.0.lock().get(key).map(|found| value.set(found)).is_some())
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        let map = self.0.lock();
        let all = map.iter().filter(|(key, _)| {
            key.as_slice() >= range.start && range.end.is_none_or(|end| key.as_slice() < end)
        });
        let mut rows: Vec<_> = all.map(|(key, value)| (key.clone(), value.clone())).collect();
        if direction == Direction::Forward {
            rows.reverse();
        }
        Ok(Box::new(Rows(rows)))
    }
}

/// The rows of a walk, the next one last.
struct Rows(Vec<(Vec<u8>, Vec<u8>)>);

impl StateRows for Rows {
    fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.0.last().map(|(key, value)| (key.as_slice(), value.as_slice())))
    }

    fn advance(&mut self) {
        self.0.pop();
    }
}

/// All that a store has.
pub(crate) fn content(store: &MvccStore) -> Map {
    store.begin_read_only().scan_prefix(b"", usize::MAX).unwrap().into_iter().collect()
}
