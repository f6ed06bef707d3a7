//! Checkpoints: complete or absent, equal to the moment they were taken, openable by the same backend.

use crate::case::{Case, CaseResult};
use crate::check::{Row, equal, failed, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, mirrored_rows, numbered, storage_digest, storage_rows};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use supervm_plugin_sdk::{Capability, Direction, Durability, ErrorKind, KeyRange, OpenMode};

const NEEDS: &[Capability] = &[Capability::Checkpoint];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'Q',
        "checkpoint.same_content",
        &[22],
        "A checkpoint opens with the content of its moment.",
        same_content,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.same_digest",
        &[22, 23],
        "A checkpoint has the state digest of the storage it was taken from.",
        same_digest,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.of_an_empty_storage",
        &[22],
        "A checkpoint of an empty storage opens and is empty.",
        of_empty,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.has_what_was_not_flushed",
        &[14, 22],
        "A checkpoint has buffered writes that were never flushed.",
        unflushed,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.later_writes_are_not_in_it",
        &[22],
        "What is written after a checkpoint is not in it.",
        later_writes,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.is_a_storage_of_its_own",
        &[22],
        "A checkpoint can be written to, and the original does not see it.",
        own_storage,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.survives_the_original",
        &[22],
        "A checkpoint is whole when the original's directory is gone.",
        survives_original,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.target_must_not_exist",
        &[22],
        "An existing target is refused and left as it was.",
        target_exists,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.leaves_nothing_beside_it",
        &[22],
        "Taking a checkpoint leaves no partial copy beside the target.",
        nothing_beside,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.makes_parent_directories",
        &[22],
        "The target's missing parents are made.",
        makes_parents,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.failed_one_is_absent",
        &[16, 22],
        "A checkpoint that cannot be written leaves nothing, and the storage works on.",
        failed_is_absent,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.of_a_checkpoint",
        &[22],
        "A checkpoint of a checkpoint has the same content.",
        of_checkpoint,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.several",
        &[22],
        "Several checkpoints each keep their own moment.",
        several,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.while_writing",
        &[7, 11, 22],
        "A checkpoint that is taken while another thread writes holds whole batches only.",
        while_writing,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.large_values",
        &[3, 22],
        "A checkpoint keeps large values whole.",
        large_values,
    )
    .needs(NEEDS),
    Case::new(
        'Q',
        "checkpoint.with_live_cursors",
        &[11, 22],
        "A checkpoint does not wait for the thread's own cursor.",
        with_cursor,
    )
    .needs(NEEDS),
];

/// Opens the checkpoint at `dir` and reads everything in it.
fn content(f: &Fixture, dir: &Path) -> CaseResult<Vec<Row>> {
    storage_rows(&*f.open_at(dir, OpenMode::MustExist)?)
}

fn filled(f: &Fixture) -> CaseResult<Vec<Row>> {
    let keys = numbered(1500);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    f.delete(&keys[3])?;
    f.all_rows()
}

fn same_content(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = (filled(f)?, f.other_dir());
    f.storage().checkpoint(&dir)?;
    same_rows("the checkpoint", &content(f, &dir)?, &rows)?;
    same_rows("the storage", &f.all_rows()?, &rows)
}

fn same_digest(f: &mut Fixture) -> CaseResult {
    filled(f)?;
    let dir = f.other_dir();
    f.storage().checkpoint(&dir)?;
    let copy = f.open_at(&dir, OpenMode::MustExist)?;
    equal("the digest", &storage_digest(&*copy)?, &f.digest()?)
}

fn of_empty(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    f.storage().checkpoint(&dir)?;
    equal("entries", &content(f, &dir)?.len(), &0)
}

fn unflushed(f: &mut Fixture) -> CaseResult {
    for number in 0..100u8 {
        f.put(&[number], &[number])?;
    }
    let dir = f.other_dir();
    f.storage().checkpoint(&dir)?;
    same_rows("the checkpoint", &content(f, &dir)?, &f.all_rows()?)
}

fn later_writes(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = (filled(f)?, f.other_dir());
    f.storage().checkpoint(&dir)?;
    f.put(b"later", b"")?;
    f.delete(&rows[0].0)?;
    same_rows("the checkpoint", &content(f, &dir)?, &rows)
}

fn own_storage(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = (filled(f)?, f.other_dir());
    f.storage().checkpoint(&dir)?;
    let copy = f.open_at(&dir, OpenMode::MustExist)?;
    let wipe = batch(|batch| rows.iter().for_each(|(key, _)| batch.delete(key)));
    copy.write(&wipe, Durability::Buffered)?;
    equal("entries of the copy", &storage_rows(&*copy)?.len(), &0)?;
    same_rows("the original", &f.all_rows()?, &rows)
}

fn survives_original(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = (filled(f)?, f.other_dir());
    f.storage().checkpoint(&dir)?;
    f.drop_storage();
    fs::remove_dir_all(f.dir())?;
    same_rows("the checkpoint", &content(f, &dir)?, &rows)
}

fn target_exists(f: &mut Fixture) -> CaseResult {
    filled(f)?;
    let dir = f.other_dir();
    fs::create_dir(&dir)?;
    fs::write(dir.join("mine"), b"untouched")?;
    refused("a directory", f.storage().checkpoint(&dir), ErrorKind::InvalidArgument)?;
    equal("the file in it", &fs::read(dir.join("mine"))?, &b"untouched".to_vec())?;
    let file = dir.join("mine");
    refused("a file", f.storage().checkpoint(&file), ErrorKind::InvalidArgument)?;
    refused("the storage itself", f.storage().checkpoint(&f.dir()), ErrorKind::InvalidArgument)
        .map(drop)
}

fn names(dir: &Path) -> CaseResult<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn nothing_beside(f: &mut Fixture) -> CaseResult {
    filled(f)?;
    let parent = f.other_dir();
    for round in 0..3 {
        f.storage().checkpoint(&parent.join(format!("copy-{round}")))?;
    }
    let expected: Vec<_> = (0..3).map(|round| format!("copy-{round}")).collect();
    equal("names beside the checkpoints", &names(&parent)?, &expected)
}

fn makes_parents(f: &mut Fixture) -> CaseResult {
    let (rows, dir) = (filled(f)?, f.other_dir().join("a").join("b"));
    f.storage().checkpoint(&dir)?;
    same_rows("the checkpoint", &content(f, &dir)?, &rows)
}

fn failed_is_absent(f: &mut Fixture) -> CaseResult {
    let (rows, file) = (filled(f)?, f.other_dir());
    fs::write(&file, b"no directory")?;
    let dir = file.join("copy");
    holds("a target below a file is an error", f.storage().checkpoint(&dir).is_err())?;
    equal("the file", &fs::read(&file)?, &b"no directory".to_vec())?;
    f.put(b"zz", b"zz")?;
    equal("entries afterwards", &f.all_rows()?.len(), &(rows.len() + 1))
}

fn of_checkpoint(f: &mut Fixture) -> CaseResult {
    let (rows, first, second) = (filled(f)?, f.other_dir(), f.other_dir());
    f.storage().checkpoint(&first)?;
    f.open_at(&first, OpenMode::MustExist)?.checkpoint(&second)?;
    same_rows("the second checkpoint", &content(f, &second)?, &rows)
}

fn several(f: &mut Fixture) -> CaseResult {
    let mut taken = Vec::new();
    for round in 0..5u8 {
        f.put(&[round], &[round])?;
        let dir = f.other_dir();
        f.storage().checkpoint(&dir)?;
        taken.push((dir, f.all_rows()?));
    }
    for (dir, rows) in &taken {
        same_rows(dir.display(), &content(f, dir)?, rows)?;
    }
    Ok(())
}

fn while_writing(f: &mut Fixture) -> CaseResult {
    let dirs: Vec<_> = (0..5).map(|_| f.other_dir()).collect();
    let (storage, ended) = (f.storage(), AtomicBool::new(false));
    let together =
        |round: u8| batch(|batch| (0..50).for_each(|key| batch.put(&[key], &[round; 30])));
    storage.write(&together(0), Durability::Buffered)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> CaseResult {
            let mut rounds = (0..=255).cycle();
            while !ended.load(Ordering::Relaxed) {
                let round = rounds.next().expect("the rounds go in a circle");
                storage.write(&together(round), Durability::Buffered)?;
            }
            Ok(())
        });
        let taken = dirs.iter().try_for_each(|dir| storage.checkpoint(dir));
        ended.store(true, Ordering::Relaxed);
        writer.join().unwrap_or_else(|_| failed("the writer panicked"))?;
        Ok::<_, crate::case::Finding>(taken?)
    })?;
    for dir in &dirs {
        let rows = content(f, dir)?;
        equal("entries of a checkpoint", &rows.len(), &50)?;
        holds("a checkpoint has one batch's values", rows.iter().all(|row| row.1 == rows[0].1))?;
    }
    Ok(())
}

fn large_values(f: &mut Fixture) -> CaseResult {
    let (mut random, dir) = (f.random(), f.other_dir());
    let rows: Vec<_> = numbered(5).into_iter().map(|key| (key, random.bytes(900_000))).collect();
    f.write(|batch| rows.iter().for_each(|(key, value)| batch.put(key, value)))?;
    f.storage().checkpoint(&dir)?;
    same_rows("the checkpoint", &content(f, &dir)?, &rows)
}

fn with_cursor(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    f.put_all([&b"a"[..], b"b"])?;
    let cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    f.put(b"c", b"c")?;
    crate::job::stage("a checkpoint while the same thread holds a cursor");
    f.storage().checkpoint(&dir)?;
    drop(cursor);
    same_rows("the checkpoint", &content(f, &dir)?, &mirrored_rows([&b"a"[..], b"b", b"c"]))
}
