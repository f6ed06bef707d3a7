//! Compaction and verification: neither changes any content.

use crate::case::{Case, CaseResult, Finding};
use crate::check::{equal, failed, holds, same_rows};
use crate::fixture::{Fixture, drain, mirrored_rows, numbered};
use std::thread;
use supervm_plugin_sdk::{Capability, Direction, KeyRange, OpenMode};

const COMPACT: &[Capability] = &[Capability::Compact];
const VERIFY: &[Capability] = &[Capability::Verify];
/// Compactions beside which another thread writes.
const COMPACTIONS: usize = 10;
/// Batches that are written beside them, at least, and at most.
const WRITES_MIN: usize = 400;
const WRITES_MAX: usize = 20_000;

pub(super) const CASES: &[Case] = &[
    Case::new(
        'S',
        "compact.changes_no_content",
        &[10, 23],
        "Compaction leaves the state digest as it was.",
        changes_nothing,
    )
    .needs(COMPACT),
    Case::new(
        'S',
        "compact.of_an_empty_storage",
        &[5],
        "Compacting an empty storage succeeds.",
        of_empty,
    )
    .needs(COMPACT),
    Case::new(
        'S',
        "compact.of_a_part",
        &[8],
        "Compacting a range, an empty or an inverted one changes no content.",
        of_a_part,
    )
    .needs(COMPACT),
    Case::new(
        'S',
        "compact.invisible_to_a_cursor",
        &[10, 11],
        "A cursor that was made before compaction goes on with its moment.",
        under_cursor,
    )
    .needs(COMPACT),
    Case::new(
        'S',
        "compact.survives_reopening",
        &[15],
        "What was compacted is whole after reopening.",
        survives,
    )
    .needs(&[Capability::Compact, Capability::SyncedWrites]),
    Case::new(
        'S',
        "compact.again_and_again",
        &[10],
        "Ten rounds of writing, deleting and compacting lose nothing.",
        again,
    )
    .needs(COMPACT),
    Case::new(
        'S',
        "compact.while_writing",
        &[11, 15],
        "What is written during compactions is there, then and after reopening.",
        while_writing,
    )
    .needs(COMPACT)
    .deadline(60),
    Case::new(
        'S',
        "verify.finds_a_sound_storage_sound",
        &[22],
        "Verifying a storage that was written normally finds no problem and looks at something.",
        sound,
    )
    .needs(VERIFY),
    Case::new(
        'S',
        "verify.of_an_empty_storage",
        &[5],
        "Verifying an empty storage finds no problem.",
        verify_empty,
    )
    .needs(VERIFY),
    Case::new(
        'S',
        "verify.after_reopening",
        &[15],
        "Verifying finds no problem after a drop without close and a reopening.",
        verify_reopened,
    )
    .needs(&[Capability::Verify, Capability::SyncedWrites]),
];

/// Writes, overwrites and deletes so that there is space to give back.
fn churn(f: &Fixture) -> CaseResult {
    let keys = numbered(2000);
    for round in 0..3u8 {
        f.write(|batch| keys.iter().for_each(|key| batch.put(key, &[round; 80])))?;
    }
    f.write(|batch| keys.iter().step_by(2).for_each(|key| batch.delete(key)))
}

fn changes_nothing(f: &mut Fixture) -> CaseResult {
    churn(f)?;
    let (before, rows) = (f.digest()?, f.all_rows()?);
    f.storage().compact(KeyRange::ALL)?;
    same_rows("after compaction", &f.all_rows()?, &rows)?;
    equal("the digest", &f.digest()?, &before)
}

fn of_empty(f: &mut Fixture) -> CaseResult {
    f.storage().compact(KeyRange::ALL)?;
    f.put(b"k", b"")?;
    f.delete(b"k")?;
    f.storage().compact(KeyRange::ALL)?;
    equal("entries", &f.all_rows()?.len(), &0)
}

fn of_a_part(f: &mut Fixture) -> CaseResult {
    churn(f)?;
    let before = f.all_rows()?;
    for range in [
        KeyRange::new(b"00000500", Some(b"00001000")),
        KeyRange::new(b"00001500", None),
        KeyRange::new(b"x", Some(b"x")),
        KeyRange::new(b"z", Some(b"a")),
        KeyRange::new(b"zzz", None),
    ] {
        f.storage().compact(range)?;
    }
    same_rows("the storage", &f.all_rows()?, &before)
}

fn under_cursor(f: &mut Fixture) -> CaseResult {
    churn(f)?;
    let before = f.all_rows()?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    f.write(|batch| before.iter().for_each(|(key, _)| batch.delete(key)))?;
    crate::job::stage("compacting while the same thread holds a cursor");
    f.storage().compact(KeyRange::ALL)?;
    same_rows("the cursor", &drain(&mut *cursor)?, &before)?;
    equal("entries afterwards", &f.all_rows()?.len(), &0)
}

fn survives(f: &mut Fixture) -> CaseResult {
    churn(f)?;
    let before = f.all_rows()?;
    f.storage().compact(KeyRange::ALL)?;
    f.drop_storage();
    f.open(OpenMode::MustExist)?;
    same_rows("after reopening", &f.all_rows()?, &before)
}

fn again(f: &mut Fixture) -> CaseResult {
    for round in 0..10u8 {
        churn(f)?;
        f.put(&[b'z', round], &[round])?;
        f.storage().compact(KeyRange::ALL)?;
    }
    equal("entries", &f.all_rows()?.len(), &1010)
}

fn while_writing(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    let (mut keys, mut count) = (numbered(WRITES_MAX), 0);
    thread::scope(|scope| {
        let compacting =
            scope.spawn(|| (0..COMPACTIONS).try_for_each(|_| storage.compact(KeyRange::ALL)));
        // Until after the last compaction: one that began later would find what an earlier one lost still in memory, and mend it.
        let mut write = || {
            while count < WRITES_MIN || count < WRITES_MAX && !compacting.is_finished() {
                f.put(&keys[count], &keys[count])?;
                count += 1;
            }
            Ok::<(), Finding>(())
        };
        let written = write();
        let compacted = compacting.join();
        written?;
        match compacted {
            Ok(compacted) => Ok(compacted?),
            Err(_) => failed("the compacting thread panicked"),
        }
    })?;
    keys.truncate(count);
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    same_rows("after compactions", &f.all_rows()?, &expected)?;
    if !f.has(Capability::SyncedWrites) {
        return Ok(());
    }
    f.drop_storage();
    f.open(OpenMode::MustExist)?;
    same_rows("written during compactions, after reopening", &f.all_rows()?, &expected)
}

fn expect_sound(f: &Fixture) -> CaseResult<u64> {
    let report = f.storage().verify()?;
    equal("problems", &report.problems, &Vec::new())?;
    Ok(report.checked)
}

fn sound(f: &mut Fixture) -> CaseResult {
    churn(f)?;
    let before = f.digest()?;
    let checked = expect_sound(f)?;
    holds(format!("{checked} units were looked at, at least 1"), checked >= 1)?;
    equal("the digest", &f.digest()?, &before)
}

fn verify_empty(f: &mut Fixture) -> CaseResult {
    expect_sound(f).map(drop)
}

fn verify_reopened(f: &mut Fixture) -> CaseResult {
    churn(f)?;
    f.drop_storage();
    f.open(OpenMode::MustExist)?;
    expect_sound(f).map(drop)
}
