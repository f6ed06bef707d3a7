//! Point operations with many or computed keys and values, and with the caller's own buffer.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, same_rows};
use crate::fixture::Fixture;
use std::collections::BTreeMap;
use supervm_plugin_sdk::ByteBuf;

pub(super) const CASES: &[Case] = &[
    Case::new(
        'B',
        "point.value.every_byte",
        &[3],
        "Values keep every byte from 0x00 to 0xff.",
        every_byte,
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

fn every_byte(f: &mut Fixture) -> CaseResult {
    let value: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    f.put(b"key", &value)?;
    equal("the key", &f.get(b"key")?, &Some(value))
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
