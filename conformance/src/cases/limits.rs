//! Limits and edge bytes: the longest that is allowed works, one byte more is refused, and nothing of it is applied.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, first, mirrored_rows};
use supervm_plugin_sdk::{
    ByteBuf, CONTRACT_KEY_BYTES_MAX, Direction, Durability, ErrorKind, KeyRange, Limits, Values,
    WriteBatch,
};

/// Bytes of an operation's header in a batch.
const HEADER_BYTES: u64 = 9;

pub(super) const CASES: &[Case] = &[
    Case::new(
        'C',
        "limits.declared.cover_the_contract",
        &[2, 3, 7],
        "A backend's limits are at least those of the contract.",
        declared,
    ),
    Case::new(
        'C',
        "limits.key.one_byte",
        &[2],
        "A key of one byte works, be it 0x00 or 0xff.",
        key_one_byte,
    ),
    Case::new(
        'C',
        "limits.key.longest",
        &[2],
        "Keys of the greatest length are stored, read, scanned and deleted.",
        key_longest,
    ),
    Case::new(
        'C',
        "limits.key.longest_of_a_contract",
        &[2],
        "Keys of 240 bytes work on every backend.",
        key_contract,
    ),
    Case::new(
        'C',
        "limits.key.too_long_to_put",
        &[2, 4],
        "Putting a key that is one byte too long is KeyTooLarge and changes nothing.",
        key_too_long_put,
    ),
    Case::new(
        'C',
        "limits.key.too_long_to_delete",
        &[2, 4],
        "Deleting a key that is one byte too long is KeyTooLarge.",
        key_too_long_delete,
    ),
    Case::new(
        'C',
        "limits.key.too_long_to_get",
        &[2, 4],
        "Reading a key that is one byte too long is KeyTooLarge.",
        key_too_long_get,
    ),
    Case::new(
        'C',
        "limits.key.empty_to_put",
        &[2, 4],
        "Putting the empty key is InvalidKey and changes nothing.",
        key_empty_put,
    ),
    Case::new(
        'C',
        "limits.key.empty_to_delete",
        &[2, 4],
        "Deleting the empty key is InvalidKey and wipes nothing.",
        key_empty_delete,
    ),
    Case::new(
        'C',
        "limits.key.empty_to_get",
        &[2, 4],
        "Reading the empty key is InvalidKey.",
        key_empty_get,
    ),
    Case::new(
        'C',
        "limits.key.empty_among_others",
        &[2, 7],
        "A batch with an empty key applies none of its operations.",
        key_empty_among,
    ),
    Case::new(
        'C',
        "limits.key.differs_at_the_end",
        &[1, 2],
        "The longest keys that differ in their last byte are different keys.",
        differs_at_end,
    ),
    Case::new(
        'C',
        "limits.key.longest_of_zeros_and_ones",
        &[1, 2],
        "The longest keys of only 0x00 and of only 0xff are the first and the last.",
        extreme_keys,
    ),
    Case::new(
        'C',
        "limits.value.largest",
        &[3],
        "A value of 16 MiB is stored and read whole.",
        value_largest,
    )
    .deadline(60),
    Case::new(
        'C',
        "limits.value.largest_in_a_scan",
        &[3],
        "A scan hands out a value of 16 MiB whole.",
        value_largest_scan,
    )
    .deadline(60),
    Case::new(
        'C',
        "limits.value.too_large",
        &[3, 4],
        "A value that is one byte too large is ValueTooLarge and changes nothing.",
        value_too_large,
    )
    .deadline(60),
    Case::new(
        'C',
        "limits.value.around_powers_of_two",
        &[3],
        "Values of lengths around powers of two keep their length.",
        value_lengths,
    ),
    Case::new(
        'C',
        "limits.batch.most_bytes",
        &[7],
        "A batch of exactly the allowed bytes is applied.",
        batch_most_bytes,
    )
    .deadline(120),
    Case::new(
        'C',
        "limits.batch.too_many_bytes",
        &[4, 7],
        "A batch that is one byte too large is BatchTooLarge and nothing is applied.",
        batch_too_many_bytes,
    )
    .deadline(60),
    Case::new(
        'C',
        "limits.batch.too_many_operations",
        &[4, 7],
        "A batch with one operation too many is BatchTooLarge and nothing is applied.",
        batch_too_many_operations,
    )
    .deadline(60),
    Case::new(
        'C',
        "limits.batch.names_the_operation",
        &[4],
        "The refusal of a batch names the operation that is at fault.",
        batch_names_operation,
    ),
    Case::new(
        'C',
        "limits.range.bound_too_long",
        &[2, 4],
        "A range's bound that is longer than a key is KeyTooLarge for cursors and delete_range.",
        range_too_long,
    ),
    Case::new(
        'C',
        "limits.range.bound_longest",
        &[2, 8],
        "A range's bounds may be as long as the longest key.",
        range_longest,
    ),
    Case::new(
        'C',
        "limits.multi_get.bad_key",
        &[2, 4],
        "A multi-get refuses an empty key and one that is too long.",
        multi_get_bad,
    ),
];

fn key_max(f: &Fixture) -> usize {
    f.limits().key_bytes_max as usize
}

fn declared(f: &mut Fixture) -> CaseResult {
    let (found, least) = (f.limits(), Limits::CONTRACT);
    for (name, found, least) in [
        ("key_bytes_max", found.key_bytes_max, least.key_bytes_max),
        ("value_bytes_max", found.value_bytes_max, least.value_bytes_max),
        ("batch_bytes_max", found.batch_bytes_max, least.batch_bytes_max),
        ("batch_operations_max", found.batch_operations_max, least.batch_operations_max),
        ("cursors_max", found.cursors_max, least.cursors_max),
        ("snapshots_max", found.snapshots_max, least.snapshots_max),
    ] {
        holds(format!("{name} is {found}, at least {least}"), found >= least)?;
    }
    Ok(())
}

fn key_one_byte(f: &mut Fixture) -> CaseResult {
    f.put_all([&[0u8][..], &[0xff]])?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&[0u8][..], &[0xff]]))
}

fn key_longest(f: &mut Fixture) -> CaseResult {
    let keys: Vec<_> = (0..50).map(|byte| vec![byte * 5; key_max(f)]).collect();
    f.put_all(keys.iter().map(Vec::as_slice))?;
    equal("a key", &f.get(&keys[17])?, &Some(keys[17].clone()))?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))?;
    f.delete(&keys[17])?;
    equal("the deleted key", &f.get(&keys[17])?, &None)
}

fn key_contract(f: &mut Fixture) -> CaseResult {
    let key = vec![b'k'; CONTRACT_KEY_BYTES_MAX];
    f.put(&key, b"value")?;
    equal("the key", &f.get(&key)?, &Some(b"value".to_vec()))
}

fn write_refused(
    f: &Fixture,
    what: &str,
    kind: ErrorKind,
    fill: impl FnOnce(&mut WriteBatch),
) -> CaseResult {
    f.put(b"kept", b"kept")?;
    refused(what, f.storage().write(&batch(fill), Durability::Buffered), kind)?;
    same_rows(format!("the storage after {what}"), &f.all_rows()?, &mirrored_rows([&b"kept"[..]]))
}

fn key_too_long_put(f: &mut Fixture) -> CaseResult {
    let key = vec![1; key_max(f) + 1];
    write_refused(f, "putting a long key", ErrorKind::KeyTooLarge, |batch| batch.put(&key, b""))
}

fn key_too_long_delete(f: &mut Fixture) -> CaseResult {
    let key = vec![1; key_max(f) + 1];
    write_refused(f, "deleting a long key", ErrorKind::KeyTooLarge, |batch| batch.delete(&key))
}

fn key_too_long_get(f: &mut Fixture) -> CaseResult {
    let outcome = f.storage().get(&vec![1; key_max(f) + 1], &mut ByteBuf::new());
    refused("reading a long key", outcome, ErrorKind::KeyTooLarge).map(drop)
}

fn key_empty_put(f: &mut Fixture) -> CaseResult {
    write_refused(f, "putting the empty key", ErrorKind::InvalidKey, |batch| batch.put(b"", b"x"))
}

fn key_empty_delete(f: &mut Fixture) -> CaseResult {
    write_refused(f, "deleting the empty key", ErrorKind::InvalidKey, |batch| batch.delete(b""))
}

fn key_empty_get(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"a")?;
    let outcome = f.storage().get(b"", &mut ByteBuf::new());
    refused("reading the empty key", outcome, ErrorKind::InvalidKey).map(drop)
}

fn key_empty_among(f: &mut Fixture) -> CaseResult {
    write_refused(f, "a batch with an empty key in the middle", ErrorKind::InvalidKey, |batch| {
        batch.put(b"before", b"1");
        batch.delete(b"kept");
        batch.put(b"", b"2");
        batch.put(b"after", b"3");
    })
}

fn differs_at_end(f: &mut Fixture) -> CaseResult {
    let mut keys = vec![vec![b'k'; key_max(f)]; 3];
    for (last, key) in keys.iter_mut().enumerate() {
        *key.last_mut().expect("a key has bytes") = last as u8;
    }
    f.put_all(keys.iter().map(Vec::as_slice))?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn extreme_keys(f: &mut Fixture) -> CaseResult {
    let (least, most) = (vec![0; key_max(f)], vec![0xff; key_max(f)]);
    f.put_all([&most[..], b"middle", &least])?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows([&least[..], b"middle", &most]))
}

fn value_largest(f: &mut Fixture) -> CaseResult {
    let value = f.random().bytes(f.limits().value_bytes_max as usize);
    f.put(b"large", &value)?;
    equal("the value", &f.get(b"large")?, &Some(value))
}

fn value_largest_scan(f: &mut Fixture) -> CaseResult {
    let value = f.random().bytes(f.limits().value_bytes_max as usize);
    f.put(b"a", b"small")?;
    f.put(b"b", &value)?;
    f.put(b"c", b"small")?;
    let expected = [
        (b"a".to_vec(), b"small".to_vec()),
        (b"b".to_vec(), value),
        (b"c".to_vec(), b"small".to_vec()),
    ];
    same_rows("a scan", &f.all_rows()?, &expected)
}

fn value_too_large(f: &mut Fixture) -> CaseResult {
    let value = vec![0; f.limits().value_bytes_max as usize + 1];
    write_refused(f, "putting a large value", ErrorKind::ValueTooLarge, |batch| {
        batch.put(b"small", b"x");
        batch.put(b"large", &value);
    })
}

fn value_lengths(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    for power in [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20] {
        for length in [(1usize << power) - 1, 1 << power, (1 << power) + 1] {
            let value = random.bytes(length);
            f.put(b"key", &value)?;
            equal(format!("a value of {length} bytes"), &f.get(b"key")?, &Some(value))?;
        }
    }
    Ok(())
}

/// A batch of exactly `bytes` bytes, in values of 1 MiB.
fn sized_batch(bytes: u64) -> (WriteBatch, u64) {
    const KEY_BYTES: u64 = 8;
    let value = vec![7; 1 << 20];
    let mut batch = WriteBatch::new();
    let mut count = 0u64;
    while (batch.as_bytes().len() as u64) < bytes {
        let left = bytes - batch.as_bytes().len() as u64;
        let whole = HEADER_BYTES + KEY_BYTES + value.len() as u64;
        // Half of a remainder that a whole value does not fit is left for a last operation.
        let length = if left >= 2 * whole {
            value.len() as u64
        } else if left > whole {
            left / 2 - HEADER_BYTES - KEY_BYTES
        } else {
            left - HEADER_BYTES - KEY_BYTES
        };
        batch.put(&count.to_be_bytes(), &value[..length as usize]);
        count += 1;
    }
    (batch, count)
}

fn batch_most_bytes(f: &mut Fixture) -> CaseResult {
    let most = f.limits().batch_bytes_max.min(Limits::CONTRACT.batch_bytes_max);
    let (batch, count) = sized_batch(most);
    equal("bytes of the batch", &(batch.as_bytes().len() as u64), &most)?;
    f.storage().write(&batch, Durability::Buffered)?;
    let last = (count - 1).to_be_bytes();
    holds("the batch's last key is present", f.get(&last)?.is_some())?;
    holds("the batch's first key is present", f.get(&[0; 8])?.is_some())?;
    holds("no key follows the last", f.get(&count.to_be_bytes())?.is_none())
}

fn batch_too_many_bytes(f: &mut Fixture) -> CaseResult {
    let (batch, _) = sized_batch(f.limits().batch_bytes_max + 1);
    let outcome = f.storage().write(&batch, Durability::Buffered);
    refused("the batch", outcome, ErrorKind::BatchTooLarge)?;
    equal("entries", &f.all_rows()?.len(), &0)
}

fn batch_too_many_operations(f: &mut Fixture) -> CaseResult {
    let count = f.limits().batch_operations_max + 1;
    let batch = batch(|batch| (0..count).for_each(|_| batch.put(b"k", b"")));
    let outcome = f.storage().write(&batch, Durability::Buffered);
    refused("the batch", outcome, ErrorKind::BatchTooLarge)?;
    equal("entries", &f.all_rows()?.len(), &0)
}

fn batch_names_operation(f: &mut Fixture) -> CaseResult {
    let batch = batch(|batch| {
        batch.put(b"a", b"");
        batch.delete(b"b");
        batch.put(b"", b"");
    });
    let outcome = f.storage().write(&batch, Durability::Buffered);
    let error = refused("the batch", outcome, ErrorKind::InvalidKey)?;
    let index = error.context().find(|(name, _)| *name == "operation_index");
    equal("the named operation", index.map_or("none", |(_, index)| index), "2")
}

fn range_too_long(f: &mut Fixture) -> CaseResult {
    let long = vec![1; key_max(f) + 1];
    for range in [KeyRange::new(&long, None), KeyRange::new(b"", Some(&long))] {
        let cursor = f.storage().cursor(range, Direction::Forward);
        refused("a cursor with a long bound", cursor, ErrorKind::KeyTooLarge)?;
        let batch = batch(|batch| batch.delete_range(range));
        let written = f.storage().write(&batch, Durability::Buffered);
        refused("a delete_range with a long bound", written, ErrorKind::KeyTooLarge)?;
    }
    Ok(())
}

fn range_longest(f: &mut Fixture) -> CaseResult {
    let (low, high) = (vec![b'a'; key_max(f)], vec![b'c'; key_max(f)]);
    f.put_all([&b"a"[..], &low, b"b", &high, b"d"])?;
    let rows = f.rows(KeyRange::new(&low, Some(&high)))?;
    same_rows("a scan", &rows, &mirrored_rows([&low[..], b"b"]))?;
    let mut cursor = f.cursor(KeyRange::new(&high, None), Direction::Forward)?;
    equal("the first key", &first(&mut *cursor)?.map(|row| row.0), &Some(high))
}

fn multi_get_bad(f: &mut Fixture) -> CaseResult {
    let (long, mut values) = (vec![1; key_max(f) + 1], Values::new());
    let outcome = f.storage().multi_get(&[b"a", b""], &mut values);
    refused("an empty key", outcome, ErrorKind::InvalidKey)?;
    let outcome = f.storage().multi_get(&[b"a", &long], &mut values);
    refused("a long key", outcome, ErrorKind::KeyTooLarge).map(drop)
}
