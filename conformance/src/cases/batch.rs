//! Batches: random and large ones, refusals, and the batch as the caller's own object.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, mirrored_rows, numbered};
use crate::job::stage;
use crate::oracle::Oracle;
use supervm_plugin_sdk::{
    Capability, Direction, Durability, ErrorKind, KeyRange, Limits, WriteBatch,
};

const RANGE: &[Capability] = &[Capability::DeleteRange];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'I',
        "batch.order.random_operations",
        &[6, 7, 30],
        "Three hundred random batches leave what an ordered map has.",
        random_operations,
    )
    .needs(RANGE),
    Case::new(
        'I',
        "batch.order.same_in_one_batch_and_in_many",
        &[6, 30],
        "Operations in one batch leave the same as one batch for each.",
        one_or_many,
    )
    .needs(RANGE),
    Case::new(
        'I',
        "batch.empty",
        &[7],
        "An empty batch succeeds, buffered and synced, and changes nothing.",
        empty,
    ),
    Case::new(
        'I',
        "batch.many_operations",
        &[7],
        "A batch of 100000 puts is applied whole.",
        many_operations,
    )
    .deadline(60),
    Case::new(
        'I',
        "batch.most_operations",
        &[7],
        "A batch of as many operations as the contract allows is applied whole.",
        most_operations,
    )
    .deadline(180),
    Case::new(
        'I',
        "batch.many_deletes",
        &[7],
        "A batch of ten thousand deletes removes exactly its keys.",
        many_deletes,
    ),
    Case::new(
        'I',
        "batch.large_values",
        &[3, 7],
        "A batch of values that are larger than a page is applied whole.",
        large_values,
    ),
    Case::new('I', "batch.written_twice", &[6, 7], "A batch may be written again.", written_twice),
    Case::new(
        'I',
        "batch.stays_as_it_was",
        &[12],
        "Writing a batch leaves its bytes as they were.",
        stays,
    ),
    Case::new(
        'I',
        "batch.reused_after_clear",
        &[12],
        "A batch that was cleared and filled again holds the new operations alone.",
        reused,
    ),
    Case::new(
        'I',
        "batch.refused.storage_stays_usable",
        &[7, 16],
        "After a refused batch the storage reads and writes on.",
        refused_stays_usable,
    ),
    Case::new(
        'I',
        "batch.refused.large_one_is_no_success",
        &[7],
        "A batch over the limit is an error and never a silent success.",
        large_is_no_success,
    )
    .deadline(60),
];

fn expect(f: &Fixture, rows: &[(&[u8], &[u8])]) -> CaseResult {
    let expected: Vec<_> = rows.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    same_rows("the storage", &f.all_rows()?, &expected)
}

/// A batch of up to `most` random operations on few keys.
fn random_batch(f: &Fixture, number: usize, most: usize) -> WriteBatch {
    let mut random = crate::random::Random::new(f.seed() ^ number as u64, "batch");
    let mut key = || format!("{:02}", random.below(60)).into_bytes();
    let keys: Vec<_> = (0..3 * most).map(|_| key()).collect();
    batch(|batch| {
        for chunk in keys.chunks(3).take(1 + random.below(most)) {
            match random.below(10) {
                0..6 => batch.put(&chunk[0], &chunk[1]),
                6..9 => batch.delete(&chunk[0]),
                _ => batch.delete_range(KeyRange::new(
                    &chunk[0],
                    (chunk[2][0] != b'0').then_some(&chunk[1]),
                )),
            }
        }
    })
}

fn random_operations(f: &mut Fixture) -> CaseResult {
    let mut oracle = Oracle::default();
    for number in 0..300 {
        let batch = random_batch(f, number, 30);
        f.storage().write(&batch, Durability::Buffered)?;
        oracle.apply(&batch);
        let expected = oracle.rows(KeyRange::ALL, Direction::Forward);
        same_rows(format!("after batch {number}"), &f.all_rows()?, &expected)?;
    }
    Ok(())
}

fn one_or_many(f: &mut Fixture) -> CaseResult {
    let whole = random_batch(f, 1000, 400);
    f.storage().write(&whole, Durability::Buffered)?;
    let (in_one, dir) = (f.all_rows()?, f.other_dir());
    let other = f.open_at(&dir, supervm_plugin_sdk::OpenMode::Create)?;
    for operation in whole.iter() {
        use supervm_plugin_sdk::Operation::{Delete, DeleteRange, Put};
        let single = batch(|batch| match operation {
            Put { key, value } => batch.put(key, value),
            Delete { key } => batch.delete(key),
            DeleteRange { range } => batch.delete_range(range),
        });
        other.write(&single, Durability::Buffered)?;
    }
    same_rows("one batch for each operation", &crate::fixture::storage_rows(&*other)?, &in_one)
}

fn empty(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"1")?;
    f.write(|_| {})?;
    if f.has(Capability::SyncedWrites) {
        f.storage().write(&WriteBatch::new(), Durability::Synced)?;
    }
    expect(f, &[(b"k", b"1")])
}

fn whole_batch(f: &Fixture, count: usize) -> CaseResult {
    let keys = numbered(count);
    stage(format!("writing a batch of {count} operations"));
    f.write(|batch| keys.iter().for_each(|key| batch.put(key, key)))?;
    stage("scanning");
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(keys.iter().map(Vec::as_slice)))
}

fn many_operations(f: &mut Fixture) -> CaseResult {
    whole_batch(f, 100_000)
}

fn most_operations(f: &mut Fixture) -> CaseResult {
    whole_batch(
        f,
        f.limits().batch_operations_max.min(Limits::CONTRACT.batch_operations_max) as usize,
    )
}

fn many_deletes(f: &mut Fixture) -> CaseResult {
    let keys = numbered(12_000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    f.write(|batch| keys[1000..11_000].iter().for_each(|key| batch.delete(key)))?;
    let left = keys[..1000].iter().chain(&keys[11_000..]).map(Vec::as_slice);
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(left))
}

fn large_values(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    let rows: Vec<_> = numbered(30).into_iter().map(|key| (key, random.bytes(100_000))).collect();
    f.write(|batch| rows.iter().for_each(|(key, value)| batch.put(key, value)))?;
    same_rows("a scan", &f.all_rows()?, &rows)
}

fn written_twice(f: &mut Fixture) -> CaseResult {
    let batch = batch(|batch| {
        batch.put(b"a", b"1");
        batch.delete(b"b");
    });
    f.storage().write(&batch, Durability::Buffered)?;
    f.put(b"b", b"between")?;
    f.put(b"a", b"between")?;
    f.storage().write(&batch, Durability::Buffered)?;
    expect(f, &[(b"a", b"1")])
}

fn stays(f: &mut Fixture) -> CaseResult {
    let batch = batch(|batch| {
        batch.put(b"a", &[9; 1000]);
        batch.delete(b"b");
    });
    let before = batch.clone();
    f.storage().write(&batch, Durability::Buffered)?;
    equal("the batch's bytes", batch.as_bytes(), before.as_bytes())
}

fn reused(f: &mut Fixture) -> CaseResult {
    let mut batch = batch(|batch| batch.put(b"a", b"1"));
    f.storage().write(&batch, Durability::Buffered)?;
    f.delete(b"a")?;
    batch.clear();
    batch.put(b"b", b"2");
    f.storage().write(&batch, Durability::Buffered)?;
    expect(f, &[(b"b", b"2")])
}

fn write_bad_batch(f: &Fixture) -> CaseResult {
    let bad = batch(|batch| {
        batch.put(b"new", b"1");
        batch.delete(b"kept");
        batch.put(b"kept too", b"2");
        batch.put(b"", b"");
    });
    refused("the batch", f.storage().write(&bad, Durability::Buffered), ErrorKind::InvalidKey)
        .map(drop)
}

fn refused_stays_usable(f: &mut Fixture) -> CaseResult {
    for round in 0..20u8 {
        write_bad_batch(f)?;
        f.put(b"k", &[round])?;
        equal("the value", &f.get(b"k")?, &Some(vec![round]))?;
    }
    Ok(())
}

fn large_is_no_success(f: &mut Fixture) -> CaseResult {
    let limits = f.limits();
    let value = vec![1; limits.value_bytes_max as usize];
    let count = limits.batch_bytes_max / limits.value_bytes_max + 1;
    let large =
        batch(|batch| (0..count).for_each(|number| batch.put(&number.to_be_bytes(), &value)));
    let outcome = f.storage().write(&large, Durability::Buffered);
    refused("the batch", outcome, ErrorKind::BatchTooLarge)?;
    holds("none of it is there", f.get(&0u64.to_be_bytes())?.is_none())
}
