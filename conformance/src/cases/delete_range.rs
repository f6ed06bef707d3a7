//! Ranges that are deleted: half-open, unbounded without an end, however many keys they hold.

use crate::case::{Case, CaseResult};
use crate::check::{equal, same_rows};
use crate::fixture::{Fixture, drain, mirrored_rows, numbered, snapshot_rows};
use supervm_plugin_sdk::{Capability, Direction, KeyRange, OpenMode};

const RANGE: &[Capability] = &[Capability::DeleteRange];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'J',
        "delete_range.half_open",
        &[8],
        "The start of a deleted range is removed, its end is kept.",
        half_open,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.bounds_between_keys",
        &[8],
        "Bounds of a deleted range need not be keys.",
        between_keys,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.unbounded",
        &[8],
        "Without an end every key from the start on is removed.",
        unbounded,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.unbounded_takes_ff_keys",
        &[8],
        "Without an end keys of many 0xff bytes are removed too.",
        unbounded_ff,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.everything",
        &[8],
        "The range of all keys empties the storage, which stays usable.",
        everything,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.equal_bounds",
        &[8],
        "A range with equal bounds deletes nothing and is no error.",
        equal_bounds,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.inverted_bounds",
        &[8],
        "A range with inverted bounds deletes nothing and is no error.",
        inverted_bounds,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.of_an_empty_storage",
        &[5, 8],
        "Deleting a range of an empty storage succeeds.",
        of_empty,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.without_keys",
        &[5, 8],
        "Deleting a range that has no keys keeps the keys around it.",
        without_keys,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.one_key",
        &[8],
        "The range from a key to its smallest extension deletes that key alone.",
        one_key,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.many_keys",
        &[8],
        "A range of 30000 keys is deleted whole, its neighbours stay.",
        many_keys,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.large_values",
        &[8],
        "A range of large values is deleted whole.",
        large_values,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.put_again",
        &[6, 8],
        "Keys of a deleted range can be put again.",
        put_again,
    )
    .needs(RANGE),
    Case::new('J', "delete_range.twice", &[5, 8], "Deleting a range twice succeeds.", twice)
        .needs(RANGE),
    Case::new(
        'J',
        "delete_range.invisible_to_a_cursor",
        &[10],
        "A cursor that was made before shows the deleted range.",
        invisible_cursor,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.invisible_to_a_snapshot",
        &[10],
        "A snapshot that was made before shows the deleted range.",
        invisible_snapshot,
    )
    .needs(&[Capability::DeleteRange, Capability::Snapshot]),
    Case::new(
        'J',
        "delete_range.survives_reopening",
        &[8, 15],
        "A deleted range stays deleted after reopening.",
        survives,
    )
    .needs(&[Capability::DeleteRange, Capability::SyncedWrites]),
];

const SOME: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];

fn delete(f: &Fixture, start: &[u8], end: Option<&[u8]>) -> CaseResult {
    f.write(|batch| batch.delete_range(KeyRange::new(start, end)))
}

/// Deletes a range of the five keys and compares what is left.
fn expect(f: &Fixture, start: &[u8], end: Option<&[u8]>, left: &[&[u8]]) -> CaseResult {
    f.put_all(SOME)?;
    delete(f, start, end)?;
    let end = end.map_or("no end".into(), |end| end.escape_ascii().to_string());
    let what = format!("after deleting from \"{}\" to {end}", start.escape_ascii());
    same_rows(what, &f.all_rows()?, &mirrored_rows(left.iter().copied()))
}

fn half_open(f: &mut Fixture) -> CaseResult {
    expect(f, b"b", Some(b"d"), &[b"a", b"d", b"e"])?;
    expect(f, b"", Some(b"a"), &SOME)
}

fn between_keys(f: &mut Fixture) -> CaseResult {
    expect(f, b"a\0", Some(b"c\0"), &[b"a", b"d", b"e"])?;
    expect(f, b"0", Some(b"bb"), &[b"c", b"d", b"e"])
}

fn unbounded(f: &mut Fixture) -> CaseResult {
    expect(f, b"c", None, &[b"a", b"b"])
}

fn unbounded_ff(f: &mut Fixture) -> CaseResult {
    for count in [1, 2, 8, 32, 64, 65, 255] {
        f.put(&vec![0xff; count], b"x")?;
    }
    expect(f, b"e", None, &SOME[..4])
}

fn everything(f: &mut Fixture) -> CaseResult {
    f.put_all([&[0u8][..], &[0xff; 100]])?;
    expect(f, b"", None, &[])?;
    f.put(b"new", b"new")?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&b"new"[..]]))
}

fn equal_bounds(f: &mut Fixture) -> CaseResult {
    expect(f, b"c", Some(b"c"), &SOME)?;
    expect(f, b"", Some(b""), &SOME)
}

fn inverted_bounds(f: &mut Fixture) -> CaseResult {
    expect(f, b"d", Some(b"b"), &SOME)?;
    expect(f, b"c", Some(b""), &SOME)
}

fn of_empty(f: &mut Fixture) -> CaseResult {
    delete(f, b"a", Some(b"z"))?;
    delete(f, b"", None)?;
    equal("entries", &f.all_rows()?.len(), &0)
}

fn without_keys(f: &mut Fixture) -> CaseResult {
    expect(f, b"bb", Some(b"bz"), &SOME)?;
    expect(f, b"f", None, &SOME)
}

fn one_key(f: &mut Fixture) -> CaseResult {
    f.put(b"c\0", b"c\0")?;
    expect(f, b"c", Some(b"c\0"), &[b"a", b"b", b"c\0", b"d", b"e"])
}

fn many_keys(f: &mut Fixture) -> CaseResult {
    let keys = numbered(32_000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    delete(f, &keys[1000], Some(&keys[31_000]))?;
    let left = keys[..1000].iter().chain(&keys[31_000..]).map(Vec::as_slice);
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(left))
}

fn large_values(f: &mut Fixture) -> CaseResult {
    let keys = numbered(40);
    f.write(|batch| keys.iter().for_each(|key| batch.put(key, &[5; 100_000])))?;
    delete(f, &keys[1], Some(&keys[39]))?;
    let left: Vec<_> =
        f.all_rows()?.into_iter().map(|row| row.0.escape_ascii().to_string()).collect();
    equal("the keys left", &left, &vec!["00000000".to_owned(), "00000039".to_owned()])
}

fn put_again(f: &mut Fixture) -> CaseResult {
    expect(f, b"b", Some(b"e"), &[b"a", b"e"])?;
    f.put(b"c", b"c")?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"c", b"e"]))
}

fn twice(f: &mut Fixture) -> CaseResult {
    expect(f, b"b", Some(b"e"), &[b"a", b"e"])?;
    delete(f, b"b", Some(b"e"))?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"e"]))
}

fn invisible_cursor(f: &mut Fixture) -> CaseResult {
    f.put_all(SOME)?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    expect(f, b"b", None, &[b"a"])?;
    same_rows("the cursor", &drain(&mut *cursor)?, &mirrored_rows(SOME))
}

fn invisible_snapshot(f: &mut Fixture) -> CaseResult {
    f.put_all(SOME)?;
    let snapshot = f.snapshot()?;
    expect(f, b"", None, &[])?;
    same_rows("the snapshot", &snapshot_rows(&*snapshot)?, &mirrored_rows(SOME))
}

fn survives(f: &mut Fixture) -> CaseResult {
    expect(f, b"b", Some(b"d"), &[b"a", b"d", b"e"])?;
    f.reopen(OpenMode::MustExist)?;
    same_rows("after reopening", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"d", b"e"]))
}
