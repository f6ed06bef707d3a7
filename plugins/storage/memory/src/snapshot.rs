//! Fixed views of the tree: snapshots and cursors.
//!
//! Both own a clone of the tree. The clone shares every node with the live one until a write changes it, so a view
//! costs a pointer when it is made, and afterwards the nodes that were rewritten since.

use crate::tree::Tree;
use supervm_plugin_sdk::prelude::*;

pub(crate) fn get(tree: &Tree, key: &[u8], value: &mut ByteBuf) -> bool {
    tree.get(key).inspect(|found| value.set(found)).is_some()
}

pub(crate) fn multi_get(tree: &Tree, keys: &[&[u8]], values: &mut Values) {
    keys.iter().for_each(|key| values.push(tree.get(key)));
}

/// A view that keys are read from and cursors are made on.
pub(crate) struct MemorySnapshot(pub(crate) Tree);

impl StorageSnapshot for MemorySnapshot {
    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        Ok(get(&self.0, key, value))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        multi_get(&self.0, keys, values);
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(cursor(self.0.clone(), range, direction))
    }
}

/// A cursor over `tree`, which is of one moment.
pub(crate) fn cursor(tree: Tree, range: KeyRange<'_>, direction: Direction) -> Box<dyn Cursor> {
    Box::new(PagedCursor::new(range, direction, move |range, direction, page| {
        let last = match direction {
            Direction::Forward => fill(page, tree.ascending(range)),
            Direction::Reverse => fill(page, tree.descending(range)),
        };
        Ok(last.map(<[u8]>::to_vec))
    }))
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
