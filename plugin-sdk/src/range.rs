//! Ranges of keys, and the one place where a prefix becomes a range.

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

    #[test]
    fn an_inverted_range_is_empty() {
        assert!(KeyRange::new(b"b", Some(b"a")).is_empty());
        assert!(KeyRange::new(b"a", Some(b"a")).is_empty());
        assert!(!KeyRange::ALL.is_empty());
    }
}
