//! Prefixes: a prefix is the range from itself to its successor.

use crate::case::{Case, CaseResult};
use crate::check::same_rows;
use crate::fixture::{Fixture, drain, mirrored_rows};
use supervm_plugin_sdk::{Capability, Direction, KeyRange, OpenMode, prefix_successor};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'G',
        "scan.prefix.only_its_keys",
        &[9],
        "A prefix holds the keys that begin with it and no other.",
        only_its_keys,
    ),
    Case::new(
        'G',
        "scan.prefix.excludes_what_follows",
        &[9],
        "A scan of a prefix does not run on into the keys after it.",
        excludes_following,
    ),
    Case::new(
        'G',
        "scan.prefix.a_against_ab",
        &[9],
        "A prefix that begins with another one is inside it.",
        a_against_ab,
    ),
    Case::new(
        'G',
        "scan.prefix.is_itself_a_key",
        &[9],
        "A key that equals the prefix is inside it.",
        itself_a_key,
    ),
    Case::new(
        'G',
        "scan.prefix.longer_than_the_keys",
        &[9],
        "A prefix that is longer than a key does not hold that key.",
        longer_than_keys,
    ),
    Case::new(
        'G',
        "scan.prefix.ends_in_ff",
        &[9],
        "A prefix that ends in 0xff holds its keys and not those of its neighbour.",
        ends_in_ff,
    ),
    Case::new(
        'G',
        "scan.prefix.all_ff",
        &[8, 9],
        "A prefix of only 0xff bytes is unbounded above and finds its keys.",
        all_ff,
    ),
    Case::new(
        'G',
        "scan.prefix.zero_bytes",
        &[1, 9],
        "A prefix of zero bytes holds exactly its keys.",
        zero_bytes,
    ),
    Case::new(
        'G',
        "scan.prefix.empty_is_everything",
        &[9],
        "The empty prefix holds every key.",
        empty_prefix,
    ),
    Case::new(
        'G',
        "scan.prefix.without_keys",
        &[9],
        "A prefix that no key has is empty, wherever it lies.",
        without_keys,
    ),
    Case::new(
        'G',
        "scan.prefix.of_the_longest_key",
        &[2, 9],
        "A key of the greatest length is a prefix of itself.",
        longest_key,
    ),
    Case::new(
        'G',
        "scan.prefix.many_side_by_side",
        &[9],
        "Two hundred prefixes side by side each hold their own keys.",
        side_by_side,
    ),
    Case::new(
        'G',
        "scan.prefix.reverse",
        &[9],
        "In reverse a prefix has the same keys from the last to the first.",
        reverse,
    )
    .needs(&[Capability::ReverseCursor]),
    Case::new(
        'G',
        "scan.prefix.reverse_all_ff",
        &[8, 9],
        "In reverse a prefix of only 0xff bytes begins at the last key.",
        reverse_all_ff,
    )
    .needs(&[Capability::ReverseCursor]),
    Case::new(
        'G',
        "scan.prefix.delete",
        &[8, 9],
        "Deleting the range of a prefix removes its keys and no other.",
        delete,
    )
    .needs(&[Capability::DeleteRange]),
    Case::new(
        'G',
        "scan.prefix.delete_all_ff",
        &[8, 9],
        "Deleting a prefix of only 0xff bytes removes every key above it.",
        delete_all_ff,
    )
    .needs(&[Capability::DeleteRange]),
    Case::new(
        'G',
        "scan.prefix.after_reopen",
        &[9, 15],
        "Prefixes hold the same keys after reopening.",
        after_reopen,
    )
    .needs(&[Capability::SyncedWrites]),
];

fn expect(f: &Fixture, prefix: &[u8], expected: &[&[u8]]) -> CaseResult {
    let end = prefix_successor(prefix);
    let rows = f.rows(KeyRange::new(prefix, end.as_deref()))?;
    let what = format!("prefix \"{}\"", prefix.escape_ascii());
    same_rows(what, &rows, &mirrored_rows(expected.iter().copied()))
}

fn only_its_keys(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"account/1"[..], b"account/2", b"block/1", b"accoun"])?;
    expect(f, b"account/", &[b"account/1", b"account/2"])
}

fn excludes_following(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a/1"[..], b"a0", b"a/\xff\xff", b"b", b"a/\xff\xff\xff\xff", b"a."])?;
    expect(f, b"a/", &[b"a/1", b"a/\xff\xff", b"a/\xff\xff\xff\xff"])
}

fn a_against_ab(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"aa", b"ab", b"aba", b"ac", b"b"])?;
    expect(f, b"a", &[b"a", b"aa", b"ab", b"aba", b"ac"])?;
    expect(f, b"ab", &[b"ab", b"aba"])
}

fn itself_a_key(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"key"[..], b"key\0", b"kez"])?;
    expect(f, b"key", &[b"key", b"key\0"])
}

fn longer_than_keys(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"ab"])?;
    expect(f, b"abc", &[])
}

fn ends_in_ff(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a\xff"[..], b"a\xff\0", b"a\xff\xff\xff", b"b", b"b\0", b"a\xfe\xff"])?;
    expect(f, b"a\xff", &[b"a\xff", b"a\xff\0", b"a\xff\xff\xff"])?;
    expect(f, b"a\xff\xff", &[b"a\xff\xff\xff"])
}

fn all_ff(f: &mut Fixture) -> CaseResult {
    let long = vec![0xff; 200];
    f.put_all([&b"a"[..], b"\xfe\xff", b"\xff", b"\xff\0", b"\xff\xff", b"\xff\xff\x01", &long])?;
    expect(f, b"\xff", &[b"\xff", b"\xff\0", b"\xff\xff", b"\xff\xff\x01", &long])?;
    expect(f, b"\xff\xff", &[b"\xff\xff", b"\xff\xff\x01", &long])?;
    expect(f, &[0xff; 100], &[&long])
}

fn zero_bytes(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"\0"[..], b"\0\0", b"\0\0\x01", b"\0\x01", b"\x01"])?;
    expect(f, b"\0", &[b"\0", b"\0\0", b"\0\0\x01", b"\0\x01"])?;
    expect(f, b"\0\0", &[b"\0\0", b"\0\0\x01"])
}

fn empty_prefix(f: &mut Fixture) -> CaseResult {
    let keys: [&[u8]; 4] = [b"\0", b"a", b"\xff", b"\xff\xff\xff"];
    f.put_all(keys)?;
    expect(f, b"", &keys)
}

fn without_keys(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"b"[..], b"d"])?;
    for prefix in [&b"a"[..], b"c", b"e", b"ba", b"\xff", b"\0"] {
        expect(f, prefix, &[])?;
    }
    Ok(())
}

fn longest_key(f: &mut Fixture) -> CaseResult {
    let key = vec![b'k'; f.limits().key_bytes_max as usize];
    f.put_all([&key[..], b"k", b"l"])?;
    expect(f, &key, &[&key])
}

fn side_by_side(f: &mut Fixture) -> CaseResult {
    let keys: Vec<Vec<Vec<u8>>> = (0..200u8)
        .map(|group| (0..10u8).map(|slot| vec![b'p', group, slot * 28]).collect())
        .collect();
    f.put_all(keys.iter().flatten().map(Vec::as_slice))?;
    for (group, keys) in keys.iter().enumerate() {
        let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        expect(f, &[b'p', group as u8], &keys)?;
    }
    Ok(())
}

fn expect_reverse(f: &Fixture, prefix: &[u8], expected: &[&[u8]]) -> CaseResult {
    let end = prefix_successor(prefix);
    let mut cursor = f.cursor(KeyRange::new(prefix, end.as_deref()), Direction::Reverse)?;
    let what = format!("prefix \"{}\" in reverse", prefix.escape_ascii());
    same_rows(what, &drain(&mut *cursor)?, &mirrored_rows(expected.iter().copied()))
}

fn reverse(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"ab", b"ab\xff\xff", b"abc", b"ac", b"b"])?;
    expect_reverse(f, b"ab", &[b"ab\xff\xff", b"abc", b"ab"])
}

fn reverse_all_ff(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"\xfe\xff", b"\xff", b"\xff\xff\xff\xff"])?;
    expect_reverse(f, b"\xff", &[b"\xff\xff\xff\xff", b"\xff"])
}

fn delete_prefix(f: &Fixture, prefix: &[u8]) -> CaseResult {
    let end = prefix_successor(prefix);
    f.write(|batch| batch.delete_range(KeyRange::new(prefix, end.as_deref())))
}

fn delete(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"ab", b"ab\xff", b"abc", b"ac", b"b"])?;
    delete_prefix(f, b"ab")?;
    expect(f, b"", &[b"a", b"ac", b"b"])
}

fn delete_all_ff(f: &mut Fixture) -> CaseResult {
    let long = vec![0xff; 200];
    f.put_all([&b"a"[..], b"\xfe", b"\xff", b"\xff\0", &long])?;
    delete_prefix(f, b"\xff")?;
    expect(f, b"", &[b"a", b"\xfe"])
}

fn after_reopen(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"ab", b"ab\xff", b"b", b"\xff", b"\xff\xff"])?;
    f.reopen(OpenMode::MustExist)?;
    expect(f, b"ab", &[b"ab", b"ab\xff"])?;
    expect(f, b"\xff", &[b"\xff", b"\xff\xff"])
}
