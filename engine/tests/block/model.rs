//! State in a map: what a block must leave, by the plainest means.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use supervm_engine::mvcc::MvccStore;
use supervm_engine::state::{StateRows, StateView};
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result};

pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A view of a map; clones are views of the same one.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) map: Arc<Mutex<Map>>,
    /// The keys that the block has written and that are absent.
    removed: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

impl Model {
    pub(crate) fn begin_block(&self) {
        self.removed.lock().clear();
    }

    /// What [`restore`](Self::restore) puts back.
    pub(crate) fn state(&self) -> (Map, BTreeSet<Vec<u8>>) {
        (self.map.lock().clone(), self.removed.lock().clone())
    }

    pub(crate) fn restore(&self, (map, removed): (Map, BTreeSet<Vec<u8>>)) {
        (*self.map.lock(), *self.removed.lock()) = (map, removed);
    }

    pub(crate) fn apply(&self, writes: &[(Vec<u8>, Option<Vec<u8>>)]) {
        let (mut map, mut removed) = (self.map.lock(), self.removed.lock());
        for (key, value) in writes {
            match value {
                Some(value) => {
                    map.insert(key.clone(), value.clone());
                    removed.remove(key);
                }
                None => {
                    map.remove(key);
                    removed.insert(key.clone());
                }
            };
        }
    }
}

impl StateView for Model {
    fn get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        Ok(self.map.lock().get(key).map(|found| value.set(found)).is_some())
    }

    fn rows(&mut self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn StateRows>> {
        let is_within = |key: &[u8]| key >= range.start && range.end.is_none_or(|end| key < end);
        let (map, removed) = (self.map.lock(), self.removed.lock());
        let entries = map.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
        let absent = removed.iter().map(|key| (key.clone(), None));
        let mut rows: Vec<_> = entries.chain(absent).filter(|(key, _)| is_within(key)).collect();
        rows.sort();
        if direction == Direction::Forward {
            rows.reverse();
        }
        Ok(Box::new(Rows(rows)))
    }
}

/// The rows of a walk, the next one last; without a value = a removed key.
struct Rows(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl StateRows for Rows {
    fn pass_removed(&mut self) -> Result<u64> {
        let is_removed = matches!(self.0.last(), Some((_, None)));
        if is_removed {
            self.0.pop();
        }
        Ok(u64::from(is_removed))
    }

    fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        while self.pass_removed()? > 0 {}
        Ok(self.0.last().map(|(key, value)| (key.as_slice(), value.as_deref().unwrap_or_default())))
    }

    fn advance(&mut self) {
        self.0.pop();
    }
}

/// All that a store has.
pub(crate) fn content(store: &MvccStore) -> Map {
    store.begin_read_only().scan_prefix(b"", usize::MAX).unwrap().into_iter().collect()
}
