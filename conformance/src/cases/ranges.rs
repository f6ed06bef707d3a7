//! Ranges with many, large or random entries: each rule is one function that runs in both directions.

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
    "whatever_the_order_of_writing", &[1], "The order does not depend on the order of writing.", any_write_order;
    "ten_thousand_entries_once_each", &[10], "Ten thousand entries come once each, without holes.", ten_thousand;
    "entries_larger_than_a_page", &[3, 12], "Entries that are larger than a page come whole and in order.", large_entries;
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

fn any_write_order(f: &mut Fixture, direction: Direction) -> CaseResult {
    let keys = numbered(300);
    let mut shuffled = keys.clone();
    f.random().shuffle(&mut shuffled);
    for key in &shuffled {
        f.put(key, key)?;
    }
    expect(f, KeyRange::ALL, direction, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())
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
