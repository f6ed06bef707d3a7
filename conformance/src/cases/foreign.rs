//! Directories that another program or another backend has written: never wiped, never converted.

use crate::agree::Neighbour;
use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, refused, same_rows, skipped};
use crate::damage::files_of;
use crate::fixture::{Fixture, batch, mirrored_rows, numbered, storage_digest, storage_rows};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Capability, Durability, ErrorKind, OpenMode};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'A',
        "open.foreign.other_files_stay",
        &[20, 28],
        "Files of others in the directory stay as they are while a storage is made, used, closed and opened there.",
        other_files_stay,
    ),
    Case::new(
        'A',
        "open.foreign.must_exist_finds_no_storage",
        &[20, 28],
        "MustExist on a directory that has only files of others is NotFound and changes none of them.",
        must_exist,
    )
    .needs(&[Capability::SyncedWrites]),
    Case::new(
        'A',
        "open.foreign.directory_of_another_backend",
        &[28],
        "A directory of another backend is refused or left intact: the other still opens it with the same digest.",
        another_backend,
    )
    .needs(&[Capability::SyncedWrites]),
];

/// Files that no backend has a right to, with their content.
const FOREIGN: &[(&str, &[u8])] = &[
    ("README", b"not a database"),
    ("notes.txt", b""),
    ("supervm.toml", b"backend = \"of the host\"\n"),
    ("modules/one.wasm", b"\0asm\x01\0\0\0"),
    (".hidden", b"\xff\xfe\xfd"),
];

fn put_foreign(dir: &Path) -> CaseResult {
    for (name, content) in FOREIGN {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, content)?;
    }
    Ok(())
}

fn foreign_is_untouched(dir: &Path, when: &str) -> CaseResult {
    for (name, content) in FOREIGN {
        let found = fs::read(dir.join(name)).ok();
        equal(format!("{name} {when}"), &found, &Some(content.to_vec()))?;
    }
    Ok(())
}

fn other_files_stay(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    put_foreign(&dir)?;
    let storage = f.open_at(&dir, OpenMode::Create)?;
    let keys = numbered(500);
    let filled = batch(|batch| keys.iter().for_each(|key| batch.put(key, key)));
    storage.write(&filled, Durability::Buffered)?;
    foreign_is_untouched(&dir, "after a write")?;
    let expected = mirrored_rows(keys.iter().map(Vec::as_slice));
    same_rows("the storage", &storage_rows(&*storage)?, &expected)?;
    storage.close()?;
    drop(storage);
    foreign_is_untouched(&dir, "after close")?;
    drop(f.open_at(&dir, OpenMode::Create)?);
    foreign_is_untouched(&dir, "after opening again")
}

fn must_exist(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    put_foreign(&dir)?;
    let before = files_of(&dir)?;
    let opened = f.open_at(&dir, OpenMode::MustExist);
    refused("MustExist on a directory of other files", opened, ErrorKind::NotFound)?;
    foreign_is_untouched(&dir, "after the refusal")?;
    let names = |files: Vec<PathBuf>| -> Vec<String> {
        files.iter().map(|file| file.display().to_string()).collect()
    };
    equal("files in the directory", &names(files_of(&dir)?), &names(before))
}

/// Every file below `dir` with its content.
fn contents(dir: &Path) -> CaseResult<BTreeMap<PathBuf, Vec<u8>>> {
    let read = |file: PathBuf| Ok((file.clone(), fs::read(dir.join(file))?));
    files_of(dir)?.into_iter().map(read).collect()
}

fn another_backend(f: &mut Fixture) -> CaseResult {
    let neighbours = Neighbour::all(&f.loaded().target)?;
    if neighbours.is_empty() {
        return skipped("no other backend lies beside this one or is linked in");
    }
    for neighbour in neighbours {
        let dir = f.other_dir();
        let Some(digest) = neighbour.fill(&dir)? else { continue };
        let before = contents(&dir)?;
        for mode in [OpenMode::MustExist, OpenMode::Create] {
            let Ok(storage) = f.open_at(&dir, mode) else { continue };
            let rows = storage_rows(&*storage)?;
            let claim = format!(
                "what {mode:?} opens in a directory of {} is not that backend's data, converted",
                neighbour.name()
            );
            holds(claim, rows.is_empty() || storage_digest(&*storage)? != digest)?;
            drop(storage);
        }
        for file in before.keys() {
            let claim = format!("{} of {} is still there", file.display(), neighbour.name());
            holds(claim, dir.join(file).exists())?;
        }
        let after = neighbour.digest(&dir)?;
        equal(
            format!("what {} has in its directory afterwards", neighbour.name()),
            &after,
            &digest,
        )?;
    }
    Ok(())
}
