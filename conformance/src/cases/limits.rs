//! Limits: what a text script cannot say of them, because it is computed or too much to read.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, mirrored_rows};
use crate::job::stage;
use supervm_plugin_sdk::{Durability, ErrorKind, Limits, WriteBatch};

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
        "limits.key.longest",
        &[2],
        "Keys of the greatest length are stored, read, scanned and deleted.",
        key_longest,
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

fn key_longest(f: &mut Fixture) -> CaseResult {
    let keys: Vec<_> = (0..50).map(|byte| vec![byte * 5; key_max(f)]).collect();
    f.put_all(keys.iter().map(Vec::as_slice))?;
    equal("a key", &f.get(&keys[17])?, &Some(keys[17].clone()))?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))?;
    f.delete(&keys[17])?;
    equal("the deleted key", &f.get(&keys[17])?, &None)
}

fn differs_at_end(f: &mut Fixture) -> CaseResult {
    let mut keys = vec![vec![b'k'; key_max(f)]; 3];
    for (last, key) in keys.iter_mut().enumerate() {
        *key.last_mut().expect("a key has bytes") = last as u8;
    }
    f.put_all(keys.iter().map(Vec::as_slice))?;
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn value_largest(f: &mut Fixture) -> CaseResult {
    let value = f.random().bytes(f.limits().value_bytes_max as usize);
    stage(format!("writing a value of {} bytes", value.len()));
    f.put(b"large", &value)?;
    stage("reading it");
    equal("the value", &f.get(b"large")?, &Some(value))
}

fn value_largest_scan(f: &mut Fixture) -> CaseResult {
    let value = f.random().bytes(f.limits().value_bytes_max as usize);
    f.put(b"a", b"small")?;
    stage(format!("writing a value of {} bytes", value.len()));
    f.put(b"b", &value)?;
    f.put(b"c", b"small")?;
    let expected = [
        (b"a".to_vec(), b"small".to_vec()),
        (b"b".to_vec(), value),
        (b"c".to_vec(), b"small".to_vec()),
    ];
    same_rows("a scan", &f.all_rows()?, &expected)
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
    stage(format!("writing a batch of {most} bytes"));
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
