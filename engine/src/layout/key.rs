//! Storage keys.

use super::{Version, corrupt};
use supervm_plugin_sdk::{KEY_BYTES_MAX, KeyRange, Result};

/// Longest key of chain state, in bytes.
///
/// What the storage's own limit leaves when the key is made an ordered one with a prefix and a version.
pub const STATE_KEY_BYTES_MAX: usize = 432;

const GROUP_BYTES: usize = 8;
const FILLED: u8 = u8::MAX;
const VERSION_BYTES: usize = 8;
const PREFIX_BYTES: usize = 2;

const _: () = {
    let groups = STATE_KEY_BYTES_MAX / GROUP_BYTES + 1;
    assert!(PREFIX_BYTES + groups * (GROUP_BYTES + 1) + VERSION_BYTES <= KEY_BYTES_MAX);
};

/// A part of the storage's keys that belongs to one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    /// `a/`: code of deployed contracts.
    Code,
    /// `b/`: blocks.
    Blocks,
    /// `c/`: latest values.
    Latest,
    /// `h/`: old values.
    History,
    /// `l/`: which keys a version changed.
    ChangeLog,
    /// `m/`: facts about the whole.
    Meta,
}

impl Area {
    /// All areas, in the order of their keys.
    pub const ALL: [Self; 6] =
        [Self::Code, Self::Blocks, Self::Latest, Self::History, Self::ChangeLog, Self::Meta];

    /// What the area's keys begin with.
    pub const fn prefix(self) -> &'static [u8; PREFIX_BYTES] {
        match self {
            Self::Code => b"a/",
            Self::Blocks => b"b/",
            Self::Latest => b"c/",
            Self::History => b"h/",
            Self::ChangeLog => b"l/",
            Self::Meta => b"m/",
        }
    }

    /// The range of the area's keys.
    pub const fn range(self) -> KeyRange<'static> {
        // '0' follows '/'.
        let end: &[u8] = match self {
            Self::Code => b"a0",
            Self::Blocks => b"b0",
            Self::Latest => b"c0",
            Self::History => b"h0",
            Self::ChangeLog => b"l0",
            Self::Meta => b"m0",
        };
        KeyRange::new(self.prefix(), Some(end))
    }
}

/// Replaces `stored` by the storage key of the latest value of `key`.
pub fn latest_key(key: &[u8], stored: &mut Vec<u8>) {
    stored.clear();
    stored.extend_from_slice(Area::Latest.prefix());
    stored.extend_from_slice(key);
}

/// Replaces `start` and `end` by the bounds of the storage keys of the latest values of the state keys in `range`.
pub fn latest_range(range: KeyRange<'_>, start: &mut Vec<u8>, end: &mut Vec<u8>) {
    latest_key(range.start, start);
    match range.end {
        Some(key) => latest_key(key, end),
        None => put_area_end(Area::Latest, end),
    }
}

/// Replaces `start` and `end` by the bounds of the storage keys of the old values of the state keys in `range`.
pub fn history_range(range: KeyRange<'_>, start: &mut Vec<u8>, end: &mut Vec<u8>) {
    history_prefix(range.start, start);
    match range.end {
        Some(key) => history_prefix(key, end),
        None => put_area_end(Area::History, end),
    }
}

fn put_area_end(area: Area, end: &mut Vec<u8>) {
    end.clear();
    end.extend_from_slice(area.range().end.expect("an area ends"));
}

/// Replaces `stored` by the prefix that the storage keys of all old values of `key` share.
pub fn history_prefix(key: &[u8], stored: &mut Vec<u8>) {
    stored.clear();
    stored.extend_from_slice(Area::History.prefix());
    put_ordered_key(key, stored);
}

/// Replaces `stored` by the storage key of the value of `key` that `superseded_at` replaced or deleted.
pub fn history_key(key: &[u8], superseded_at: Version, stored: &mut Vec<u8>) {
    history_prefix(key, stored);
    stored.extend_from_slice(&superseded_at.0.to_be_bytes());
}

/// Replaces `key` by the state key in a storage key of the area [`Area::History`], and returns the version that superseded the value.
///
/// # Errors
/// `Corruption`.
pub fn split_history_key(stored: &[u8], key: &mut Vec<u8>) -> Result<Version> {
    let parsed = stored
        .strip_prefix(Area::History.prefix())
        .and_then(|rest| take_ordered_key(rest, key))
        .and_then(|rest| <[u8; VERSION_BYTES]>::try_from(rest).ok());
    let version = parsed.ok_or_else(|| corrupt("the key of an old value", stored))?;
    Ok(Version(u64::from_be_bytes(version)))
}

/// The storage key of the record of block `number`.
pub fn block_key(number: u64) -> [u8; 10] {
    let mut stored = [0; 10];
    stored[..PREFIX_BYTES].copy_from_slice(Area::Blocks.prefix());
    stored[PREFIX_BYTES..].copy_from_slice(&number.to_be_bytes());
    stored
}

/// The number in a storage key of the area [`Area::Blocks`].
///
/// # Errors
/// `Corruption`.
pub fn split_block_key(stored: &[u8]) -> Result<u64> {
    let rest = stored.strip_prefix(Area::Blocks.prefix());
    let number = rest.and_then(|rest| rest.try_into().ok());
    number.map(u64::from_be_bytes).ok_or_else(|| corrupt("the key of a block", stored))
}

/// The storage key of one part of the list of keys that `version` changed; parts count from 0.
pub fn change_log_key(version: Version, part: u32) -> [u8; 14] {
    let mut stored = [0; 14];
    stored[..PREFIX_BYTES].copy_from_slice(Area::ChangeLog.prefix());
    stored[PREFIX_BYTES..10].copy_from_slice(&version.0.to_be_bytes());
    stored[10..].copy_from_slice(&part.to_be_bytes());
    stored
}

/// The version and the part in a storage key of the area [`Area::ChangeLog`].
///
/// # Errors
/// `Corruption`.
pub fn split_change_log_key(stored: &[u8]) -> Result<(Version, u32)> {
    let parse = || {
        let rest = stored.strip_prefix(Area::ChangeLog.prefix())?;
        let (version, part) = rest.split_first_chunk()?;
        let part = part.try_into().ok()?;
        Some((Version(u64::from_be_bytes(*version)), u32::from_be_bytes(part)))
    };
    parse().ok_or_else(|| corrupt("the key of a list of changed keys", stored))
}

/// Appends `key` so that its end can be found and the order of keys is kept.
///
/// Groups of eight bytes, each followed by 0xff; the last one, which is never full, is filled up with zeros and followed by the count
/// of its bytes. 9/8 of the key's length, whatever bytes it has. Source: MyRocks' memcomparable format.
///
/// # Examples
/// ```
/// use supervm_engine::layout::put_ordered_key;
/// let mut ordered = Vec::new();
/// put_ordered_key(b"abc", &mut ordered);
/// assert_eq!(ordered, b"abc\0\0\0\0\0\x03");
/// ```
pub fn put_ordered_key(key: &[u8], ordered: &mut Vec<u8>) {
    let (groups, rest) = key.as_chunks::<GROUP_BYTES>();
    for group in groups {
        ordered.extend_from_slice(group);
        ordered.push(FILLED);
    }
    let mut last = [0; GROUP_BYTES + 1];
    last[..rest.len()].copy_from_slice(rest);
    last[GROUP_BYTES] = rest.len() as u8;
    ordered.extend_from_slice(&last);
}

/// Replaces `key` by the key at the beginning of `ordered` and returns what follows; `None` when there is no such key.
pub fn take_ordered_key<'a>(mut ordered: &'a [u8], key: &mut Vec<u8>) -> Option<&'a [u8]> {
    key.clear();
    loop {
        let (group, rest) = ordered.split_first_chunk::<{ GROUP_BYTES + 1 }>()?;
        ordered = rest;
        let (bytes, mark) = (&group[..GROUP_BYTES], group[GROUP_BYTES]);
        if mark == FILLED {
            key.extend_from_slice(bytes);
            continue;
        }
        let (bytes, filler) = bytes.split_at_checked(usize::from(mark))?;
        key.extend_from_slice(bytes);
        return (!filler.is_empty() && filler.iter().all(|byte| *byte == 0)).then_some(ordered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(key: &[u8]) -> Vec<u8> {
        let mut ordered = Vec::new();
        put_ordered_key(key, &mut ordered);
        ordered
    }

    proptest! {
        #[test]
        fn ordered_keys_keep_the_order_and_read_back(
            a in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..40),
            b in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..40),
        ) {
            prop_assert_eq!(a.cmp(&b), ordered(&a).cmp(&ordered(&b)));
            let mut bytes = ordered(&a);
            bytes.extend_from_slice(b"rest");
            let mut key = Vec::new();
            prop_assert_eq!(take_ordered_key(&bytes, &mut key), Some(&b"rest"[..]));
            prop_assert_eq!(key, a);
        }
    }

    #[test]
    fn the_longest_state_key_has_a_history_key_that_every_storage_accepts() {
        let mut stored = Vec::new();
        history_key(&[0xff; STATE_KEY_BYTES_MAX], Version::MAX, &mut stored);
        assert!(stored.len() <= KEY_BYTES_MAX, "{}", stored.len());
        let mut key = Vec::new();
        assert_eq!(split_history_key(&stored, &mut key).expect("own key"), Version::MAX);
        assert_eq!(key, [0xff; STATE_KEY_BYTES_MAX]);
    }

    #[test]
    fn a_malformed_history_key_is_corruption() {
        for stored in [
            &b"h/"[..],
            b"c/abc\0\0\0\0\0\x0312345678",
            b"h/abc\0\0\0\0\0\x08",
            b"h/abcx\0\0\0\0\x0312345678",
        ] {
            assert!(split_history_key(stored, &mut Vec::new()).is_err(), "{stored:?}");
        }
    }

    #[test]
    fn keys_of_blocks_and_lists_read_back_and_malformed_ones_are_corruption() {
        assert_eq!(split_block_key(&block_key(7)).expect("own key"), 7);
        let list = change_log_key(Version(7), 3);
        assert_eq!(split_change_log_key(&list).expect("own key"), (Version(7), 3));
        for stored in [&b""[..], b"b/", b"b/1234567", b"b/123456789", b"l/12345678"] {
            assert!(split_block_key(stored).is_err(), "{stored:?}");
        }
        for stored in [&b""[..], b"l/", b"l/12345678901", b"l/1234567890123", b"b/123456789012"] {
            assert!(split_change_log_key(stored).is_err(), "{stored:?}");
        }
    }

    #[test]
    fn areas_do_not_overlap_and_cover_their_keys() {
        for pair in Area::ALL.windows(2) {
            assert!(pair[0].range().end.expect("bounded") <= pair[1].range().start);
        }
        assert!(Area::Blocks.range().contains(&block_key(u64::MAX)));
        assert!(Area::ChangeLog.range().contains(&change_log_key(Version::MAX, u32::MAX)));
    }
}
