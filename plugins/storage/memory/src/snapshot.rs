//! Fixed views of the map: snapshots and cursors.
//!
//! Both own a clone of the persistent map. The clone shares every node with the live map until a write changes it, so a view
//! costs a pointer when it is made, and afterwards the nodes that were rewritten since.

use imbl::OrdMap;
use std::ops::Bound;
use std::sync::Arc;
use supervm_plugin_sdk::prelude::*;

/// Keys and values by key; both are shared with every clone.
pub(crate) type Map = OrdMap<Arc<[u8]>, Arc<[u8]>>;

/// The entries of `map` in `range`, in both directions.
pub(crate) fn entries<'a>(
    map: &'a Map,
    range: KeyRange<'a>,
) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> {
    // An inverted range becomes the empty one at its start.
    let end = match range.end {
        Some(end) => Bound::Excluded(end.max(range.start)),
        None => Bound::Unbounded,
    };
    map.range::<_, [u8]>((Bound::Included(range.start), end))
        .map(|(key, value)| (key.as_ref(), value.as_ref()))
}

pub(crate) fn get(map: &Map, key: &[u8], value: &mut ByteBuf) -> bool {
    map.get(key).inspect(|found| value.set(found)).is_some()
}

pub(crate) fn multi_get(map: &Map, keys: &[&[u8]], values: &mut Values) {
    for key in keys {
        values.push(map.get(*key).map(AsRef::as_ref));
    }
}

/// A view that keys are read from and cursors are made on.
pub(crate) struct MemorySnapshot(pub(crate) Map);

impl StorageSnapshot for MemorySnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        Ok(get(&self.0, key, value))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        multi_get(&self.0, keys, values);
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(MemoryCursor::new(self.0.clone(), range, direction)))
    }
}

/// A position in a range of a view.
pub(crate) struct MemoryCursor {
    map: Map,
    ahead: RangeAhead,
}

impl MemoryCursor {
    pub(crate) fn new(map: Map, range: KeyRange<'_>, direction: Direction) -> Self {
        Self { map, ahead: RangeAhead::new(range, direction) }
    }
}

impl Cursor for MemoryCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let rows = entries(&self.map, self.ahead.range());
        let last = match self.ahead.direction() {
            Direction::Forward => fill(page, rows),
            Direction::Reverse => fill(page, rows.rev()),
        };
        let Some(last) = last.map(<[u8]>::to_vec) else {
            self.ahead.finish();
            return Ok(PageEnd::End);
        };
        self.ahead.pass(&last);
        Ok(PageEnd::More)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.ahead.seek(key);
        Ok(())
    }
}

/// Appends entries until the page is full, and returns the key that filled it; `None` when the entries ended first.
fn fill<'a>(
    page: &mut Page,
    entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<&'a [u8]> {
    for (key, value) in entries {
        if !page.push(key, value) {
            return Some(key);
        }
    }
    None
}
