//! Snapshots as a database with versions has them: each pins its moment, and compaction takes the moments without a pin.

use crate::backend::{Map, Shared};
use crate::fault::Fault;
use crate::view::View;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

/// The moments that snapshots were taken of.
#[derive(Default)]
pub(crate) struct Versions {
    maps: HashMap<usize, Arc<Map>>,
    /// The mistake: a set has one pin for two snapshots of the same moment.
    pins: HashSet<usize>,
}

impl Versions {
    /// Takes the moments that are not pinned.
    pub(crate) fn collect(&mut self) {
        let pins = &self.pins;
        self.maps.retain(|moment, _| pins.contains(moment));
    }
}

/// A snapshot that knows its moment, and looks up what was there then.
pub(crate) struct PinnedSnapshot {
    shared: Arc<Shared>,
    moment: usize,
}

impl PinnedSnapshot {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let map = shared.current();
        let moment = Arc::as_ptr(&map).addr();
        let mut versions = shared.versions();
        versions.maps.insert(moment, map);
        versions.pins.insert(moment);
        Self { shared: shared.clone(), moment }
    }

    /// What was there at the moment, or what is there now when the moment was taken.
    fn view(&self) -> View {
        let map = self.shared.versions().maps.get(&self.moment).cloned();
        let map = map.unwrap_or_else(|| self.shared.current());
        View::of(map, &self.shared, Fault::SnapshotsShareAPin)
    }
}

impl Drop for PinnedSnapshot {
    fn drop(&mut self) {
        self.shared.versions().pins.remove(&self.moment);
    }
}

impl StorageSnapshot for PinnedSnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.view().get(key, value)
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(self.view().cursor(range, direction)))
    }
}
