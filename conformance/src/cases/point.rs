//! Point operations: what is put is what is read, byte for byte.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, same_rows};
use crate::fixture::{Fixture, mirrored_rows};
use std::collections::BTreeMap;
use supervm_plugin_sdk::ByteBuf;

pub(super) const CASES: &[Case] = &[
    Case::new(
        'B',
        "point.get.missing_is_absent",
        &[5],
        "Reading a missing key finds nothing and is no error.",
        missing,
    ),
    Case::new('B', "point.get.after_put", &[14], "A value that was put is read back.", after_put),
    Case::new(
        'B',
        "point.get.exact_key_only",
        &[1, 5],
        "A key's prefix and its extension are other keys.",
        exact_key,
    ),
    Case::new(
        'B',
        "point.put.overwrites",
        &[6, 14],
        "The later of two values of a key is the one that is read.",
        overwrites,
    ),
    Case::new(
        'B',
        "point.put.shorter_replaces_longer",
        &[14],
        "A shorter value leaves nothing of a longer one.",
        shorter,
    ),
    Case::new(
        'B',
        "point.put.longer_replaces_shorter",
        &[14],
        "A longer value replaces a shorter one whole.",
        longer,
    ),
    Case::new(
        'B',
        "point.put.same_value_again",
        &[6],
        "Putting the same value again changes nothing.",
        same_again,
    ),
    Case::new(
        'B',
        "point.put.after_delete",
        &[6, 14],
        "A key that was deleted can be put again.",
        put_after_delete,
    ),
    Case::new(
        'B',
        "point.delete.removes",
        &[14],
        "A deleted key is absent, for point reads and for scans.",
        removes,
    ),
    Case::new(
        'B',
        "point.delete.missing_succeeds",
        &[5],
        "Deleting a missing key succeeds and changes nothing.",
        delete_missing,
    ),
    Case::new('B', "point.delete.twice", &[5], "Deleting a key twice succeeds.", delete_twice),
    Case::new(
        'B',
        "point.delete.keeps_neighbours",
        &[5],
        "Deleting a key keeps its prefixes, its extensions and its neighbours.",
        keeps_neighbours,
    ),
    Case::new(
        'B',
        "point.value.empty_is_present",
        &[3],
        "An empty value is present and not absence.",
        empty_value,
    ),
    Case::new(
        'B',
        "point.value.empty_replaces",
        &[3],
        "An empty value replaces one with bytes.",
        empty_replaces,
    ),
    Case::new(
        'B',
        "point.value.every_byte",
        &[3],
        "Values keep every byte from 0x00 to 0xff.",
        every_byte,
    ),
    Case::new(
        'B',
        "point.value.only_zeros",
        &[3],
        "A value of zeros keeps its length.",
        only_zeros,
    ),
    Case::new(
        'B',
        "point.key.every_single_byte",
        &[1, 2],
        "All 256 keys of one byte are different keys.",
        every_single_byte,
    ),
    Case::new(
        'B',
        "point.key.trailing_zero_counts",
        &[1, 2],
        "A trailing zero byte makes another key.",
        trailing_zero,
    ),
    Case::new(
        'B',
        "point.key.case_and_text_do_not_matter",
        &[1],
        "Keys are bytes: case, locale and UTF-8 play no part.",
        no_text,
    ),
    Case::new(
        'B',
        "point.get.buffer_is_overwritten",
        &[12],
        "A read replaces what the buffer held.",
        buffer_overwritten,
    ),
    Case::new(
        'B',
        "point.get.buffer_survives_writes",
        &[12],
        "Bytes that were read stay as they are when the storage changes.",
        buffer_survives,
    ),
    Case::new(
        'B',
        "point.many.random_keys",
        &[1, 14],
        "Ten thousand random keys each keep their own value.",
        many,
    ),
];

fn missing(f: &mut Fixture) -> CaseResult {
    equal("a key of an empty storage", &f.get(b"key")?, &None)?;
    f.put(b"other", b"value")?;
    equal("a key beside a stored one", &f.get(b"key")?, &None)
}

fn after_put(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"value")?;
    equal("the key", &f.get(b"key")?, &Some(b"value".to_vec()))
}

fn exact_key(f: &mut Fixture) -> CaseResult {
    f.put(b"middle", b"value")?;
    for other in [&b"middl"[..], b"middle\0", b"middlf", b"middla", b"m"] {
        equal(other.escape_ascii(), &f.get(other)?, &None)?;
    }
    Ok(())
}

fn overwrites(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"first")?;
    f.put(b"key", b"other")?;
    equal("the key", &f.get(b"key")?, &Some(b"other".to_vec()))?;
    equal("entries in a scan", &f.all_rows()?.len(), &1)
}

fn shorter(f: &mut Fixture) -> CaseResult {
    f.put(b"key", &[7; 5000])?;
    f.put(b"key", b"x")?;
    equal("the key", &f.get(b"key")?, &Some(b"x".to_vec()))
}

fn longer(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"x")?;
    f.put(b"key", &[7; 70_000])?;
    equal("the key", &f.get(b"key")?, &Some(vec![7; 70_000]))
}

fn same_again(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"value")?;
    f.put(b"key", b"value")?;
    same_rows("the storage", &f.all_rows()?, &[(b"key".to_vec(), b"value".to_vec())])
}

fn put_after_delete(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"first")?;
    f.delete(b"key")?;
    f.put(b"key", b"again")?;
    equal("the key", &f.get(b"key")?, &Some(b"again".to_vec()))
}

fn removes(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    f.delete(b"a")?;
    equal("the deleted key", &f.get(b"a")?, &None)?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&b"b"[..]]))
}

fn delete_missing(f: &mut Fixture) -> CaseResult {
    f.delete(b"never put")?;
    f.put(b"a", b"a")?;
    f.delete(b"b")?;
    same_rows("the storage", &f.all_rows()?, &mirrored_rows([&b"a"[..]]))
}

fn delete_twice(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    f.delete(b"a")?;
    f.delete(b"a")?;
    equal("entries", &f.all_rows()?.len(), &0)
}

fn keeps_neighbours(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"ab", b"ab\0", b"aba", b"ac"])?;
    f.delete(b"ab")?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"ab\0", b"aba", b"ac"]))
}

fn empty_value(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"")?;
    equal("the key", &f.get(b"key")?, &Some(Vec::new()))?;
    same_rows("a scan", &f.all_rows()?, &[(b"key".to_vec(), Vec::new())])
}

fn empty_replaces(f: &mut Fixture) -> CaseResult {
    f.put(b"key", b"value")?;
    f.put(b"key", b"")?;
    equal("the key", &f.get(b"key")?, &Some(Vec::new()))
}

fn every_byte(f: &mut Fixture) -> CaseResult {
    let value: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    f.put(b"key", &value)?;
    equal("the key", &f.get(b"key")?, &Some(value))
}

fn only_zeros(f: &mut Fixture) -> CaseResult {
    for length in [1, 7, 4096] {
        f.put(b"key", &vec![0; length])?;
        equal(format!("{length} zeros"), &f.get(b"key")?, &Some(vec![0; length]))?;
    }
    Ok(())
}

fn every_single_byte(f: &mut Fixture) -> CaseResult {
    for byte in (0..=255).rev() {
        f.put(&[byte], &[byte, byte])?;
    }
    for byte in 0..=255 {
        equal(format!("key {byte:#04x}"), &f.get(&[byte])?, &Some(vec![byte, byte]))?;
    }
    equal("entries in a scan", &f.all_rows()?.len(), &256)
}

fn trailing_zero(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"a\0", b"a\0\0"])?;
    f.delete(b"a\0")?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"a\0\0"]))
}

fn no_text(f: &mut Fixture) -> CaseResult {
    let keys = [&b"B"[..], b"a", b"b", b"z", b"\xc3\x28", b"\xc3\xa4", b"\xff\xfe"];
    f.put_all(keys.into_iter().rev())?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys))
}

fn buffer_overwritten(f: &mut Fixture) -> CaseResult {
    f.put(b"long", &[1; 3000])?;
    f.put(b"short", b"x")?;
    f.put(b"empty", b"")?;
    let mut buffer = ByteBuf::new();
    for (key, expected) in
        [(&b"long"[..], vec![1; 3000]), (b"short", b"x".to_vec()), (b"empty", vec![])]
    {
        holds(format!("{} is present", key.escape_ascii()), f.storage().get(key, &mut buffer)?)?;
        equal(format!("the buffer after {}", key.escape_ascii()), &buffer.to_vec(), &expected)?;
    }
    holds("a missing key is absent", !f.storage().get(b"missing", &mut buffer)?)
}

fn buffer_survives(f: &mut Fixture) -> CaseResult {
    f.put(b"key", &[1; 100])?;
    let (mut first, mut second) = (ByteBuf::new(), ByteBuf::new());
    f.storage().get(b"key", &mut first)?;
    f.put(b"key", &[2; 100])?;
    f.storage().get(b"key", &mut second)?;
    f.delete(b"key")?;
    equal("the first buffer", &first.to_vec(), &vec![1; 100])?;
    equal("the second buffer", &second.to_vec(), &vec![2; 100])
}

fn many(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    let mut expected = BTreeMap::new();
    for _ in 0..10_000 {
        let (key_length, value_length) = (1 + random.below(40), random.below(200));
        expected.insert(random.bytes(key_length), random.bytes(value_length));
    }
    let rows: Vec<_> = expected.into_iter().collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    random.shuffle(&mut order);
    for chunk in order.chunks(500) {
        f.write(|batch| chunk.iter().for_each(|&row| batch.put(&rows[row].0, &rows[row].1)))?;
    }
    for (key, value) in &rows {
        equal(key.escape_ascii(), &f.get(key)?, &Some(value.clone()))?;
    }
    same_rows("a scan", &f.all_rows()?, &rows)
}
