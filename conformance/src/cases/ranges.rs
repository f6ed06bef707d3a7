//! Ranges, forward and in reverse: each rule is one function that runs in both directions.

use crate::case::{Case, CaseResult};
use crate::check::{Row, equal, same_rows};
use crate::fixture::{Fixture, drain, mirrored_rows, numbered};
use supervm_plugin_sdk::{Capability, Direction, KeyRange};

/// Lists each rule twice: forward, and mirrored.
macro_rules! in_both_directions {
    ($($name:literal, $clauses:expr, $rule:literal, $body:ident;)*) => {
        pub(super) const CASES: &[Case] = &[$(
            Case::new('E', concat!("range.forward.", $name), $clauses, $rule, |f| $body(f, Direction::Forward)),
            Case::new('F', concat!("range.reverse.", $name), $clauses, $rule, |f| $body(f, Direction::Reverse))
                .needs(&[Capability::ReverseCursor]),
        )*];
    };
}

in_both_directions! {
    "of_an_empty_storage", &[8], "An empty storage has no entries.", empty_storage;
    "in_unsigned_byte_order", &[1], "Keys come in the order of their unsigned bytes.", unsigned_order;
    "shorter_before_longer", &[1], "A key comes before its extensions.", shorter_first;
    "whatever_the_order_of_writing", &[1], "The order does not depend on the order of writing.", any_write_order;
    "start_is_inside", &[8], "The start of a range is inside it.", start_inside;
    "end_is_outside", &[8], "The end of a range is outside it.", end_outside;
    "bounds_between_keys", &[8], "Bounds need not be keys.", between_keys;
    "bounds_are_prefixes_of_keys", &[1, 8], "A bound that is a prefix of keys sorts before them.", bounds_are_prefixes;
    "of_one_key", &[8], "The range from a key to its smallest extension holds that key alone.", of_one_key;
    "empty_when_bounds_are_equal", &[8], "A range with equal bounds is empty and no error.", equal_bounds;
    "empty_when_bounds_are_inverted", &[8], "A range with inverted bounds is empty and no error.", inverted_bounds;
    "before_the_first_key", &[8], "A range below the first key is empty.", before_first;
    "after_the_last_key", &[8], "A range above the last key is empty.", after_last;
    "empty_start_is_the_first_key", &[8], "An empty start begins at the first key, 0x00 included.", empty_start;
    "no_end_reaches_the_last_key", &[8], "A range without an end reaches keys of many 0xff bytes.", no_end;
    "end_of_ff_bytes_is_a_bound", &[8], "An end of 0xff bytes is a bound like any other.", end_of_ff;
    "ten_thousand_entries_once_each", &[10], "Ten thousand entries come once each, without holes.", ten_thousand;
    "entries_larger_than_a_page", &[3, 12], "Entries that are larger than a page come whole and in order.", large_entries;
    "after_overwriting", &[14], "An overwritten key comes once, with its last value.", after_overwriting;
    "after_deleting", &[14], "A deleted key does not come.", after_deleting;
    "with_empty_values", &[3], "Keys with empty values come like any other.", with_empty_values;
    "random_bounds", &[1, 8], "Random ranges hold exactly the keys between their bounds.", random_bounds;
}

fn in_range(f: &Fixture, range: KeyRange<'_>, direction: Direction) -> CaseResult<Vec<Row>> {
    drain(&mut *f.cursor(range, direction)?)
}

/// Checks that `range` has the keys of `ascending`, each its own value.
fn expect(
    f: &Fixture,
    range: KeyRange<'_>,
    direction: Direction,
    ascending: &[&[u8]],
) -> CaseResult {
    let mut expected = mirrored_rows(ascending.iter().copied());
    if direction == Direction::Reverse {
        expected.reverse();
    }
    let end = range.end.map_or("no end".into(), |end| end.escape_ascii().to_string());
    let what = format!("{direction:?} range from \"{}\" to {end}", range.start.escape_ascii());
    same_rows(what, &in_range(f, range, direction)?, &expected)
}

const SOME: [&[u8]; 5] = [b"a", b"c", b"e", b"g", b"i"];

fn empty_storage(f: &mut Fixture, direction: Direction) -> CaseResult {
    expect(f, KeyRange::ALL, direction, &[])?;
    expect(f, KeyRange::new(b"a", Some(b"z")), direction, &[])
}

fn unsigned_order(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys: [&[u8]; 6] = [&[0], &[1], &[0x7f], &[0x80], &[0xfe], &[0xff]];
    f.put_all(keys.into_iter().rev())?;
    expect(f, KeyRange::ALL, direction, &keys)?;
    expect(f, KeyRange::new(&[0x7f], Some(&[0xff])), direction, &keys[2..5])
}

fn shorter_first(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys: [&[u8]; 7] = [b"a", b"a\0", b"a\0\0", b"a\x01", b"aa", b"a\xff", b"b"];
    f.put_all(keys.into_iter().rev())?;
    expect(f, KeyRange::ALL, direction, &keys)
}

fn any_write_order(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys = numbered(300);
    let mut shuffled = keys.clone();
    f.random().shuffle(&mut shuffled);
    for key in &shuffled {
        f.put(key, key)?;
    }
    expect(f, KeyRange::ALL, direction, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn start_inside(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    expect(f, KeyRange::new(b"c", None), direction, &SOME[1..])?;
    expect(f, KeyRange::new(b"c", Some(b"d")), direction, &SOME[1..2])
}

fn end_outside(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    expect(f, KeyRange::new(b"", Some(b"e")), direction, &SOME[..2])?;
    expect(f, KeyRange::new(b"c", Some(b"i")), direction, &SOME[1..4])
}

fn between_keys(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    expect(f, KeyRange::new(b"b", Some(b"f")), direction, &SOME[1..3])?;
    expect(f, KeyRange::new(b"c\0", Some(b"g\0")), direction, &SOME[2..4])
}

fn bounds_are_prefixes(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys: [&[u8]; 5] = [b"aa", b"ab", b"b", b"ba", b"bb"];
    f.put_all(keys)?;
    expect(f, KeyRange::new(b"a", Some(b"b")), direction, &keys[..2])?;
    expect(f, KeyRange::new(b"b", Some(b"bb")), direction, &keys[2..4])
}

fn of_one_key(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all([&b"k"[..], b"k\0", b"k\0\0", b"l"])?;
    expect(f, KeyRange::new(b"k", Some(b"k\0")), direction, &[b"k"])
}

fn equal_bounds(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    for bound in [&b"c"[..], b"b", b"\xff"] {
        expect(f, KeyRange::new(bound, Some(bound)), direction, &[])?;
    }
    expect(f, KeyRange::new(b"", Some(b"")), direction, &[])
}

fn inverted_bounds(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    expect(f, KeyRange::new(b"g", Some(b"c")), direction, &[])?;
    expect(f, KeyRange::new(b"z", Some(b"")), direction, &[])
}

fn before_first(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    expect(f, KeyRange::new(b"", Some(b"a")), direction, &[])?;
    expect(f, KeyRange::new(b"0", Some(b"9")), direction, &[])
}

fn after_last(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    expect(f, KeyRange::new(b"j", Some(b"z")), direction, &[])?;
    expect(f, KeyRange::new(b"i\0", None), direction, &[])
}

fn empty_start(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys: [&[u8]; 3] = [&[0], &[0, 0], b"a"];
    f.put_all(keys)?;
    expect(f, KeyRange::new(b"", Some(b"b")), direction, &keys)
}

/// Keys that a bound made of a fixed number of 0xff bytes misses.
fn ff_keys() -> Vec<Vec<u8>> {
    [1, 2, 3, 16, 32, 64, 65, 255].map(|count| vec![0xff; count]).into()
}

fn no_end(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys = ff_keys();
    let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
    f.put(b"a", b"a")?;
    f.put_all(keys.iter().copied())?;
    expect(f, KeyRange::new(b"b", None), direction, &keys)?;
    expect(f, KeyRange::new(&[0xff; 33], None), direction, &keys[5..])
}

fn end_of_ff(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys: [&[u8]; 4] = [b"a", &[0xff], &[0xff, 0xff], &[0xff, 0xff, 0]];
    f.put_all(keys)?;
    expect(f, KeyRange::new(b"", Some(&[0xff])), direction, &keys[..1])?;
    expect(f, KeyRange::new(b"", Some(&[0xff, 0xff])), direction, &keys[..2])?;
    expect(f, KeyRange::new(b"", Some(&[0xff, 0xff, 0xff])), direction, &keys)
}

fn ten_thousand(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys = numbered(10_000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
    expect(f, KeyRange::ALL, direction, &keys)?;
    expect(f, KeyRange::new(b"00002000", Some(b"00009000")), direction, &keys[2000..9000])
}

fn large_entries(f: &mut Fixture, direction: Direction) -> CaseResult {
    let mut random = f.random();
    let mut expected: Vec<Row> =
        numbered(12).into_iter().map(|key| (key, random.bytes(50_000))).collect();
    expected.extend([(b"z1".to_vec(), random.bytes(300_000)), (b"z2".to_vec(), Vec::new())]);
    for (key, value) in &expected {
        f.put(key, value)?;
    }
    if direction == Direction::Reverse {
        expected.reverse();
    }
    same_rows("the range", &in_range(f, KeyRange::ALL, direction)?, &expected)
}

fn after_overwriting(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    f.put(b"e", b"first")?;
    f.put(b"e", b"e")?;
    expect(f, KeyRange::ALL, direction, &SOME)
}

fn after_deleting(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.put_all(SOME)?;
    for key in [b"a", b"e", b"i"] {
        f.delete(key)?;
    }
    expect(f, KeyRange::ALL, direction, &[b"c", b"g"])
}

fn with_empty_values(f: &mut Fixture, direction: Direction) -> CaseResult {
    f.write(|batch| SOME.iter().for_each(|key| batch.put(key, b"")))?;
    let mut expected: Vec<Row> = SOME.iter().map(|key| (key.to_vec(), Vec::new())).collect();
    if direction == Direction::Reverse {
        expected.reverse();
    }
    same_rows("the range", &in_range(f, KeyRange::ALL, direction)?, &expected)
}

fn random_bounds(f: &mut Fixture, direction: Direction) -> CaseResult {
    let mut random = f.random();
    let bytes = [0, 1, b'a', b'b', 0xfe, 0xff];
    let mut draw = |least: usize| -> Vec<u8> {
        (0..least + random.below(4)).map(|_| *random.choose(&bytes)).collect()
    };
    let mut keys: Vec<_> = (0..300).map(|_| draw(1)).collect();
    keys.sort();
    keys.dedup();
    f.put_all(keys.iter().map(Vec::as_slice))?;
    for _ in 0..300 {
        let (start, end) = (draw(0), draw(0));
        let range = KeyRange::new(&start, (end.len() != 3).then_some(&end));
        let inside: Vec<_> =
            keys.iter().map(Vec::as_slice).filter(|key| range.contains(key)).collect();
        expect(f, range, direction, &inside)?;
    }
    equal("keys are left", &keys.is_empty(), &false)
}
