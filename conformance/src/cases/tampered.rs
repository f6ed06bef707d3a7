//! Damaged checkpoints and data files: an error or the truth, never something else in silence.

use crate::case::{Case, CaseResult};
use crate::check::{Row, equal, failed, holds, same_rows, skipped};
use crate::damage::{Verdict, check_damaged, check_first_batches, copy_dir, cut, files_of, flip};
use crate::fixture::{Fixture, numbered, storage_digest, storage_rows};
use crate::job::stage;
use crate::random::Random;
use std::fs;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Capability, Cursor, Direction, KeyRange, OpenMode, Page, PageEnd};

const CHECKED: &[Capability] = &[Capability::Checkpoint, Capability::Checksums];
const DURABLE_CHECKED: &[Capability] = &[Capability::Checksums, Capability::SyncedWrites];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'Q',
        "checkpoint.tampered.flipped_byte",
        &[13, 22],
        "A checkpoint with a changed bit in any of its files is noticed or has the content of before.",
        flipped_byte,
    )
    .needs(CHECKED)
    .deadline(120),
    Case::new(
        'Q',
        "checkpoint.tampered.cut_file",
        &[13, 22],
        "A checkpoint with any of its files cut short is noticed or has the content of before.",
        cut_file,
    )
    .needs(CHECKED)
    .deadline(120),
    Case::new(
        'Q',
        "checkpoint.tampered.leaves_the_original",
        &[22],
        "Damage to a checkpoint, to its last file, does not reach the storage it was taken from.",
        leaves_original,
    )
    .needs(&[Capability::Checkpoint]),
    Case::new(
        'Q',
        "checkpoint.restored_elsewhere",
        &[22, 23],
        "A checkpoint whose files are copied to another directory opens there with the same digest.",
        restored,
    )
    .needs(&[Capability::Checkpoint]),
    Case::new(
        'O',
        "durability.damaged_after_a_drop",
        &[13, 15],
        "What a handle leaves that was dropped without close, with a changed bit in any file, is noticed, or has all that was closed before and the first of the later batches, whole.",
        damaged_after_drop,
    )
    .needs(DURABLE_CHECKED)
    .deadline(120),
    Case::new(
        'H',
        "cursor.error.damage_is_not_the_end",
        &[13],
        "A cursor that meets damaged data reports an error and does not take it for the end.",
        damage_is_not_the_end,
    )
    .needs(DURABLE_CHECKED)
    .deadline(60),
    Case::new(
        'H',
        "cursor.error.is_sticky",
        &[13],
        "After its first error a cursor goes on erring and hands out no further entry.",
        error_is_sticky,
    )
    .needs(DURABLE_CHECKED)
    .deadline(60),
];

/// A storage of several files' worth of entries, and its checkpoint.
fn checkpointed(f: &mut Fixture) -> CaseResult<(Vec<Row>, PathBuf)> {
    let mut random = f.random();
    let rows: Vec<Row> = numbered(400).into_iter().map(|key| (key, random.bytes(120))).collect();
    f.write(|batch| rows.iter().for_each(|(key, value)| batch.put(key, value)))?;
    let dir = f.other_dir();
    f.storage().checkpoint(&dir)?;
    holds("the checkpoint has files", !files_of(&dir)?.is_empty())?;
    Ok((rows, dir))
}

/// Damages a file, whose length is given, at a place in it; says how.
type Damage = fn(&mut Random, &Path, usize, usize) -> CaseResult<String>;

fn change_a_bit(random: &mut Random, file: &Path, length: usize, at: usize) -> CaseResult<String> {
    let bit = random.below(8);
    flip(file, at, 1 << bit)?;
    Ok(format!("bit {bit} of byte {at} of {length} changed"))
}

fn cut_short(_: &mut Random, file: &Path, length: usize, at: usize) -> CaseResult<String> {
    cut(file, at as u64)?;
    Ok(format!("a cut from {length} to {at} bytes"))
}

/// Tries `damage` on every file of `dir`, at its beginning, middle and end, and anywhere, each time in a copy that `check` is shown.
fn try_damage(
    f: &mut Fixture,
    dir: &Path,
    damage: Damage,
    mut check: impl FnMut(&Fixture, &Path, &str) -> CaseResult,
) -> CaseResult {
    const ANYWHERE: usize = 12;
    let mut random = f.random();
    for file in files_of(dir)? {
        let length = fs::metadata(dir.join(&file))?.len() as usize;
        if length == 0 {
            continue;
        }
        let mut places = vec![0, length / 2, length - 1];
        places.extend((0..ANYWHERE).map(|_| random.below(length)));
        for at in places {
            let copy = f.other_dir();
            copy_dir(dir, &copy)?;
            let how = damage(&mut random, &copy.join(&file), length, at)?;
            let what = format!("{} with {how}", file.display());
            stage(format!("opening and reading a copy that has {what}"));
            check(f, &copy, &what)?;
            fs::remove_dir_all(&copy)?;
        }
    }
    Ok(())
}

/// Tries `damage` on a checkpoint, which is noticed or does no harm, and is noticed at least once.
fn checkpoint_resists(f: &mut Fixture, damage: Damage) -> CaseResult {
    let (rows, dir) = checkpointed(f)?;
    let mut noticed = 0;
    try_damage(f, &dir, damage, |f, copy, what| {
        noticed += usize::from(check_damaged(f, copy, what, &rows)? == Verdict::Noticed);
        Ok(())
    })?;
    holds("the damage was noticed in at least one file", noticed > 0)
}

fn flipped_byte(f: &mut Fixture) -> CaseResult {
    checkpoint_resists(f, change_a_bit)
}

fn cut_file(f: &mut Fixture) -> CaseResult {
    checkpoint_resists(f, cut_short)
}

fn leaves_original(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = checkpointed(f)?;
    let before = f.digest()?;
    for file in files_of(&dir)? {
        // A hard link that both directories share must not be written through, so the name gets a file of its own.
        let path = dir.join(&file);
        let garbage = vec![0x5a; fs::metadata(&path)?.len() as usize];
        fs::remove_file(&path)?;
        fs::write(&path, garbage)?;
    }
    equal("the digest", &f.digest()?, &before)?;
    f.put(b"later", b"later")?;
    equal("entries", &f.all_rows()?.len(), &(rows.len() + 1))
}

fn restored(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = checkpointed(f)?;
    let elsewhere = f.other_dir().join("restored");
    copy_dir(&dir, &elsewhere)?;
    fs::remove_dir_all(&dir)?;
    let digest = f.digest()?;
    let storage = f.open_at(&elsewhere, OpenMode::MustExist)?;
    same_rows("the restored storage", &storage_rows(&*storage)?, &rows)?;
    equal("the digest", &storage_digest(&*storage)?, &digest)
}

fn damaged_after_drop(f: &mut Fixture) -> CaseResult {
    const BATCH_ROWS: usize = 4;
    let mut random = f.random();
    let rows: Vec<Row> = numbered(240).into_iter().map(|key| (key, random.bytes(100))).collect();
    let (closed, later) = rows.split_at(120);
    write_in_batches(f, closed, BATCH_ROWS)?;
    f.reopen(OpenMode::MustExist)?;
    write_in_batches(f, later, BATCH_ROWS)?;
    f.drop_storage();
    try_damage(f, &f.dir(), change_a_bit, |f, copy, what| {
        check_first_batches(f, copy, what, &rows, closed.len(), BATCH_ROWS)
    })
}

fn write_in_batches(f: &Fixture, rows: &[Row], batch_rows: usize) -> CaseResult {
    for rows in rows.chunks(batch_rows) {
        f.write(|batch| rows.iter().for_each(|(key, value)| batch.put(key, value)))?;
    }
    Ok(())
}

/// Writes enough for several pages, closes, and damages the data in the middle of the largest file.
fn damaged_storage(f: &mut Fixture) -> CaseResult<Vec<Row>> {
    let mut random = f.random();
    let rows: Vec<Row> = numbered(4000).into_iter().map(|key| (key, random.bytes(200))).collect();
    write_in_batches(f, &rows, 500)?;
    if f.has(Capability::Compact) {
        f.storage().compact(KeyRange::ALL)?;
    }
    f.storage().close()?;
    f.drop_storage();
    let mut largest = (0, PathBuf::new());
    for file in files_of(&f.dir())? {
        let path = f.dir().join(file);
        largest = largest.max((fs::metadata(&path)?.len(), path));
    }
    let (length, path) = largest;
    let middle = length as usize / 2;
    for offset in [middle, middle + 1, middle + 2] {
        flip(&path, offset, 0x10)?;
    }
    Ok(rows)
}

/// Reads a damaged storage up to the cursor's first error; `None` when the damage kept it from opening.
fn read_to_error(f: &mut Fixture, rows: &[Row]) -> CaseResult<Option<Box<dyn Cursor>>> {
    let opened = f.open_at(&f.dir(), OpenMode::MustExist);
    let Ok(storage) = opened else { return Ok(None) };
    let Ok(mut cursor) = storage.cursor(KeyRange::ALL, Direction::Forward) else {
        return Ok(None);
    };
    let (mut page, mut found) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page);
        found.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        same_rows("what came before the error", &found, &rows[..found.len().min(rows.len())])?;
        match end {
            Ok(PageEnd::More) => {}
            Ok(PageEnd::End) if found.len() == rows.len() => {
                return skipped(
                    "the changed bytes are in no entry's data, so no cursor meets them",
                );
            }
            Ok(PageEnd::End) => {
                return failed(format!(
                    "the cursor says end after {} of {} entries of a damaged storage, without an error",
                    found.len(),
                    rows.len()
                ));
            }
            Err(_) => return Ok(Some(cursor)),
        }
    }
}

fn damage_is_not_the_end(f: &mut Fixture) -> CaseResult {
    let rows = damaged_storage(f)?;
    read_to_error(f, &rows).map(drop)
}

fn error_is_sticky(f: &mut Fixture) -> CaseResult {
    let rows = damaged_storage(f)?;
    let Some(mut cursor) = read_to_error(f, &rows)? else {
        return skipped("the damage keeps the storage from opening, so no cursor meets it");
    };
    let mut page = Page::new();
    for attempt in 0..3 {
        let outcome = cursor.next_page(&mut page);
        holds(format!("page {attempt} after the error is an error"), outcome.is_err())?;
        holds(format!("page {attempt} after the error is empty"), page.is_empty())?;
    }
    holds("a seek after the error is an error", cursor.seek(&rows[0].0).is_err())?;
    holds("a page after that seek is an error", cursor.next_page(&mut page).is_err())
}
