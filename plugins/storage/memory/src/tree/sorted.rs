//! Items in the order of their keys: what nodes are made of.

use std::iter::repeat_n;
use std::sync::Arc;

/// Most items of a node. A leaf's heads are then eight cache lines, of which a search touches three or four.
pub(super) const ITEMS_MAX: usize = 64;
/// Bytes of a common prefix that are used, at most.
const PREFIX_BYTES_MAX: usize = 24;

/// What has a place in the order of keys.
pub(super) trait Keyed {
    fn key(&self) -> &[u8];
}

/// A key and its value, in one piece.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    bytes: Arc<[u8]>,
    key_bytes: u32,
}

impl Entry {
    pub(super) fn new(key: &[u8], value: &[u8]) -> Self {
        let mut bytes: Arc<[u8]> = repeat_n(0, key.len() + value.len()).collect();
        let content = Arc::get_mut(&mut bytes).expect("nothing shares it yet");
        let (key_place, value_place) = content.split_at_mut(key.len());
        key_place.copy_from_slice(key);
        value_place.copy_from_slice(value);
        Self { bytes, key_bytes: key.len() as u32 }
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[self.key_bytes as usize..]
    }

    /// Sets the value, in place where it fits and no clone of the tree has it; the length of the one before.
    pub(super) fn replace(&mut self, key: &[u8], value: &[u8]) -> usize {
        let length = self.value().len();
        if let Some(content) = Arc::get_mut(&mut self.bytes)
            && length == value.len()
        {
            content[key.len()..].copy_from_slice(value);
        } else {
            *self = Self::new(key, value);
        }
        length
    }
}

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_bytes as usize]
    }
}

/// What keys of two neighbours are told apart by.
#[derive(Debug, Clone)]
pub(super) struct Separator(Arc<[u8]>);

impl Separator {
    /// The shortest that is above `left` and not above `right`, which are in ascending order.
    pub(super) fn between(left: &[u8], right: &[u8]) -> Self {
        Self(right[..=common_bytes(left, right)].into())
    }
}

impl Keyed for Separator {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.0
    }
}

/// Items in the order of their keys, at most [`ITEMS_MAX`], and what finds one of them.
#[derive(Debug, Clone)]
pub(super) struct Sorted<T> {
    prefix_bytes: usize,
    prefix: [u8; PREFIX_BYTES_MAX],
    /// Of `items`, and beyond them of none.
    heads: [u64; ITEMS_MAX],
    pub(super) items: Vec<T>,
}

impl<T: Keyed> Sorted<T> {
    pub(super) fn of(items: Vec<T>) -> Self {
        let mut sorted =
            Self { prefix_bytes: 0, prefix: [0; PREFIX_BYTES_MAX], heads: [0; ITEMS_MAX], items };
        sorted.refresh();
        sorted
    }

    /// Where `key` is, or else where it would have its place.
    #[inline]
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix = &self.prefix[..self.prefix_bytes];
        let Some(rest) = key.strip_prefix(prefix) else {
            return Err(if key < prefix { 0 } else { self.items.len() });
        };
        let head = head(rest);
        let heads = &self.heads[..self.items.len()];
        let first = heads.partition_point(|other| *other < head);
        let equal = heads[first..].partition_point(|other| *other == head);
        let found = self.items[first..first + equal].binary_search_by(|item| item.key().cmp(key));
        found.map(|index| first + index).map_err(|index| first + index)
    }

    pub(super) fn insert(&mut self, index: usize, item: T) {
        let len = self.items.len();
        let rest = item.key().strip_prefix(&self.prefix[..self.prefix_bytes]).map(head);
        self.items.insert(index, item);
        match rest {
            Some(head) if len > 0 => {
                self.heads.copy_within(index..len, index + 1);
                self.heads[index] = head;
            }
            _ => self.refresh(),
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> T {
        self.heads.copy_within(index + 1..self.items.len(), index);
        self.items.remove(index)
    }

    /// The items from `index` on, which are no longer in this one.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let right = Self::of(self.items.split_off(index));
        self.refresh();
        right
    }

    pub(super) fn append(&mut self, items: Vec<T>) {
        self.items.extend(items);
        self.refresh();
    }

    /// Finds prefix and heads anew. What the first and the last key have in common, all keys have.
    fn refresh(&mut self) {
        let (Some(first), Some(last)) = (self.items.first(), self.items.last()) else {
            self.prefix_bytes = 0;
            return;
        };
        let common = common_bytes(first.key(), last.key()).min(PREFIX_BYTES_MAX);
        self.prefix[..common].copy_from_slice(&first.key()[..common]);
        self.prefix_bytes = common;
        let rests = self.items.iter().map(|item| &item.key()[common..]);
        self.heads.iter_mut().zip(rests).for_each(|(place, rest)| *place = head(rest));
    }
}

/// The first eight bytes as a number that orders like them. A shorter key has zeros there, as a longer one may have too; then the
/// keys themselves are compared.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; size_of::<u64>()];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(padded)
}

fn common_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The place, whether something is there or not.
pub(super) fn either(found: Result<usize, usize>) -> usize {
    found.unwrap_or_else(|place| place)
}
