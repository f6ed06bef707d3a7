//! Ranges of keys, the one place where a prefix becomes a range, and what of a range is ahead of a cursor.

use crate::Direction;

/// A half-open range of keys, `[start, end)`, in unsigned byte order.
///
/// An empty `start` begins at the first key; an absent `end` has no upper bound, whatever number of `0xff`
/// bytes the last key begins with (clause 8). A range with `start >= end` is empty, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyRange<'a> {
    /// The first key that may be in the range.
    pub start: &'a [u8],
    /// The first key past the range; `None` = unbounded.
    pub end: Option<&'a [u8]>,
}

impl<'a> KeyRange<'a> {
    /// Every key.
    pub const ALL: KeyRange<'static> = KeyRange { start: &[], end: None };

    /// The range `[start, end)`.
    pub const fn new(start: &'a [u8], end: Option<&'a [u8]>) -> Self {
        Self { start, end }
    }

    /// Is `key` in the range?
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start && self.end.is_none_or(|end| key < end)
    }

    /// Can no key be in the range?
    pub fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| self.start >= end)
    }
}

/// The smallest key that is greater than every key with this prefix; `None` when there is none
/// (an empty prefix, or only `0xff` bytes), that is: unbounded (clause 9).
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::prefix_successor;
/// assert_eq!(prefix_successor(b"ab"), Some(b"ac".to_vec()));
/// assert_eq!(prefix_successor(&[1, 0xff, 0xff]), Some(vec![2]));
/// assert_eq!(prefix_successor(&[0xff, 0xff]), None);
/// assert_eq!(prefix_successor(b""), None);
/// ```
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut successor = prefix[..=last].to_vec();
    successor[last] += 1;
    Some(successor)
}

/// What of a range is still ahead of a cursor that looks each page up anew, from the key where the last ended.
///
/// [`PagedCursor`](crate::PagedCursor) is a cursor that keeps one.
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::{Direction, KeyRange, RangeAhead};
/// let mut ahead = RangeAhead::new(KeyRange::new(b"b", Some(b"y")), Direction::Reverse);
/// ahead.pass(b"x");
/// assert_eq!(ahead.range(), KeyRange::new(b"b", Some(b"x")));
/// ahead.seek(b"d");
/// assert!(ahead.range().contains(b"d") && !ahead.range().contains(b"e"));
/// ahead.seek(b"z");
/// assert_eq!(ahead.range(), KeyRange::new(b"b", Some(b"y")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeAhead {
    direction: Direction,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    /// `[ahead_start, ahead_end)`, within `[start, end)`.
    ahead_start: Vec<u8>,
    ahead_end: Option<Vec<u8>>,
}

impl RangeAhead {
    /// All of `range` is ahead.
    pub fn new(range: KeyRange<'_>, direction: Direction) -> Self {
        let (start, end) = (range.start.to_vec(), range.end.map(<[u8]>::to_vec));
        Self { direction, ahead_start: start.clone(), ahead_end: end.clone(), start, end }
    }

    /// The order in which the cursor walks.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The keys that are ahead; an empty range at the end.
    pub fn range(&self) -> KeyRange<'_> {
        KeyRange::new(&self.ahead_start, self.ahead_end.as_deref())
    }

    /// The cursor has read everything up to and including `key`, which was ahead.
    pub fn pass(&mut self, key: &[u8]) {
        match self.direction {
            Direction::Forward => self.ahead_start = key_after(key),
            Direction::Reverse => self.ahead_end = Some(key.to_vec()),
        }
    }

    /// The cursor has read everything.
    pub fn finish(&mut self) {
        self.ahead_end = Some(self.ahead_start.clone());
    }

    /// As [`Cursor::seek`](crate::Cursor::seek): what is ahead begins at `key`, clamped to the cursor's range.
    pub fn seek(&mut self, key: &[u8]) {
        (self.ahead_start, self.ahead_end) = (self.start.clone(), self.end.clone());
        match self.direction {
            Direction::Forward => self.ahead_start = key.max(&self.start).to_vec(),
            Direction::Reverse => {
                let past = key_after(key);
                if self.end.as_ref().is_none_or(|end| past < *end) {
                    self.ahead_end = Some(past);
                }
            }
        }
    }
}

/// The smallest key above `key`.
fn key_after(key: &[u8]) -> Vec<u8> {
    let mut after = Vec::with_capacity(key.len() + 1);
    after.extend_from_slice(key);
    after.push(0);
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_below_the_successor_exactly_when_it_has_or_precedes_the_prefix(
            prefix in proptest::collection::vec(prop_oneof![Just(0xffu8), any::<u8>()], 0..4),
            key in proptest::collection::vec(prop_oneof![Just(0xffu8), any::<u8>()], 0..6),
        ) {
            let end = prefix_successor(&prefix);
            let range = KeyRange::new(&prefix, end.as_deref());
            prop_assert_eq!(range.contains(&key), key.starts_with(&prefix));
        }
    }

    proptest! {
        #[test]
        fn a_sought_range_has_the_keys_of_the_cursors_range_from_there_on(
            (start, end, key, at) in (bytes(), proptest::option::of(bytes()), bytes(), bytes()),
            is_reverse in any::<bool>(),
        ) {
            let direction = if is_reverse { Direction::Reverse } else { Direction::Forward };
            let range = KeyRange::new(&start, end.as_deref());
            let mut ahead = RangeAhead::new(range, direction);
            ahead.finish();
            prop_assert!(!ahead.range().contains(&key));
            ahead.seek(&at);
            let is_ahead = if is_reverse { key <= at } else { key >= at };
            prop_assert_eq!(ahead.range().contains(&key), range.contains(&key) && is_ahead);
            ahead.pass(&at);
            let is_ahead = if is_reverse { key < at } else { key > at };
            prop_assert!(!range.contains(&at) || ahead.range().contains(&key) == (range.contains(&key) && is_ahead));
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0u8), Just(0xffu8), any::<u8>()], 0..3)
    }

    #[test]
    fn an_inverted_range_is_empty() {
        assert!(KeyRange::new(b"b", Some(b"a")).is_empty());
        assert!(KeyRange::new(b"a", Some(b"a")).is_empty());
        assert!(!KeyRange::ALL.is_empty());
    }
}
