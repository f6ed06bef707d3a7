//! The plugin boundary: loading, threads, buffers, and nothing that leaks.

use crate::case::{Case, CaseResult};
use crate::check::{equal, failed, holds, refused, same_rows, skipped};
use crate::fixture::{Fixture, first, get, mirrored_rows, numbered, storage_rows};
use crate::target::load_file;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use supervm_plugin_sdk::{
    ABI_VERSION, ByteBuf, Direction, Durability, ErrorKind, KeyRange, OpenMode, Page, PluginKind,
    Values, load,
};

/// Rounds after which a leak of one page a round would show.
const ROUNDS: usize = 3000;

pub(super) const CASES: &[Case] = &[
    Case::new(
        'W',
        "abi.descriptor.is_sound",
        &[29],
        "The descriptor has a well-formed name, a version, this ABI and capabilities.",
        descriptor,
    ),
    Case::new(
        'W',
        "abi.descriptor.shows_its_options",
        &[29],
        "The descriptor has a schema of the options and their defaults.",
        schema,
    ),
    Case::new(
        'W',
        "abi.library.cut_is_refused",
        &[26],
        "A library that was cut anywhere is refused, and the process lives.",
        cut_library,
    )
    .deadline(60),
    Case::new(
        'W',
        "abi.library.no_library_is_refused",
        &[26],
        "A file that is no library is refused with AbiMismatch.",
        no_library,
    ),
    Case::new(
        'W',
        "abi.library.wrong_pin_is_refused",
        &[29],
        "A library with another sha256 than the pinned one is refused.",
        wrong_pin,
    ),
    Case::new(
        'W',
        "abi.library.loaded_twice",
        &[27],
        "A library that is loaded twice works through both.",
        loaded_twice,
    ),
    Case::new(
        'W',
        "abi.library.stays_loaded",
        &[27],
        "A library stays mapped when everything of it was dropped.",
        stays_loaded,
    ),
    Case::new(
        'W',
        "abi.threads.thirty_two",
        &[14],
        "Thirty-two threads use one storage at once.",
        thirty_two,
    ),
    Case::new(
        'W',
        "abi.threads.opened_and_dropped_elsewhere",
        &[12],
        "A storage may be opened on one thread, used on a second and dropped on a third.",
        elsewhere,
    ),
    Case::new(
        'W',
        "abi.buffers.grow_on_either_side",
        &[12],
        "A buffer that the host made small is grown by the plugin and freed by the host.",
        buffers,
    ),
    Case::new(
        'W',
        "abi.buffers.are_reused",
        &[12],
        "A buffer that is large enough is not allocated again.",
        reused,
    ),
    Case::new(
        'W',
        "abi.leak.file_descriptors",
        &[17],
        "Fifty rounds of opening and dropping leave no file descriptor behind.",
        descriptors,
    )
    .deadline(60),
    Case::new(
        'W',
        "abi.leak.memory_of_cursors",
        &[12],
        "Thousands of cursors, reads and errors leave no memory behind.",
        memory,
    )
    .deadline(60),
    Case::new(
        'W',
        "abi.leak.threads",
        &[17],
        "Opening and dropping leaves no thread behind.",
        threads,
    )
    .deadline(60),
];

fn descriptor(f: &mut Fixture) -> CaseResult {
    let descriptor = f.loaded().plugin.descriptor().clone();
    descriptor.check()?;
    equal("the ABI version", &descriptor.abi_version, &ABI_VERSION)?;
    holds("it is a storage plugin", descriptor.kind == PluginKind::Storage)?;
    holds("it has a version", !descriptor.version.is_empty())?;
    holds("it names the SDK's version", !descriptor.sdk_version.is_empty())
}

fn schema(f: &mut Fixture) -> CaseResult {
    let descriptor = f.loaded().plugin.descriptor();
    holds("the schema is an object", descriptor.config_schema.is_object())?;
    let options = &descriptor.config_defaults;
    f.loaded().plugin.check_storage_config(options)?;
    let properties = descriptor.config_schema.get("properties").and_then(|all| all.as_object());
    for name in properties.into_iter().flat_map(|all| all.keys()) {
        let shown = options.contains(name.as_str());
        let optional = descriptor.config_schema.get("required").is_none();
        holds(format!("option \"{name}\" has a default or may be left out"), shown || optional)?;
    }
    Ok(())
}

fn library(f: &Fixture) -> CaseResult<PathBuf> {
    match f.loaded().target.path() {
        Some(path) => Ok(path.to_owned()),
        None => skipped("the backend is linked in; there is no library"),
    }
}

/// Writes `bytes` as a library that the path policy accepts.
fn write_library(dir: &Path, bytes: &[u8]) -> CaseResult<PathBuf> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    let path = dir.join("libchanged.so");
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

fn cut_library(f: &mut Fixture) -> CaseResult {
    let (bytes, dir, mut random) = (fs::read(library(f)?)?, f.other_dir(), f.random());
    let mut lengths = vec![0, 1, 15, 63, 64, 1000, bytes.len() / 2, bytes.len() * 9 / 10];
    lengths.extend((0..12).map(|_| random.below(bytes.len() * 9 / 10)));
    for length in lengths {
        crate::job::stage(format!("loading the first {length} bytes of the library"));
        let path = write_library(&dir, &bytes[..length])?;
        refused(format!("{length} bytes"), load_file(&path), ErrorKind::AbiMismatch)?;
    }
    Ok(())
}

fn no_library(f: &mut Fixture) -> CaseResult {
    library(f)?;
    let dir = f.other_dir();
    for bytes in [&b"#!/bin/sh\n"[..], &[0; 4096], b"\x7fELF and nothing more"] {
        let path = write_library(&dir, bytes)?;
        refused(bytes[..4].escape_ascii(), load_file(&path), ErrorKind::AbiMismatch)?;
    }
    Ok(())
}

fn wrong_pin(f: &mut Fixture) -> CaseResult {
    let path = library(f)?;
    let root = path.parent().unwrap_or(Path::new("/")).to_owned();
    let wrong = "0".repeat(64);
    let outcome = load::library(&path, &root, Some(&wrong));
    refused("a wrong pin", outcome, ErrorKind::PermissionDenied)?;
    let right = f.loaded().target.sha256()?;
    load::library(&path, &root, right.as_deref())?;
    Ok(())
}

fn loaded_twice(f: &mut Fixture) -> CaseResult {
    let (path, dir) = (library(f)?, f.other_dir());
    let again = load_file(&path)?;
    equal("the name", &again.descriptor().name, &f.loaded().plugin.descriptor().name)?;
    let other = again.open_storage(&dir, "", OpenMode::Create)?;
    f.put(b"first", b"first")?;
    let change = crate::fixture::batch(|batch| batch.put(b"second", b"second"));
    other.write(&change, Durability::Buffered)?;
    same_rows("through the first", &f.all_rows()?, &mirrored_rows([&b"first"[..]]))?;
    same_rows("through the second", &storage_rows(&*other)?, &mirrored_rows([&b"second"[..]]))
}

/// Executable mappings of this process; a library has at least one.
fn executable_mappings() -> CaseResult<usize> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter(|line| line.contains(" r-xp ")).count())
}

fn stays_loaded(f: &mut Fixture) -> CaseResult {
    let (path, dir) = (library(f)?, f.other_dir());
    // The same content would be the library that is loaded already; what follows the sections is never mapped.
    let mut bytes = fs::read(&path)?;
    bytes.extend([0; 64]);
    let copy = write_library(&dir, &bytes)?;
    let before = executable_mappings()?;
    let plugin = load_file(&copy)?;
    let storage = plugin.open_storage(&dir.join("store"), "", OpenMode::Create)?;
    let loaded = executable_mappings()?;
    holds(format!("loading a copy adds to {before} mappings"), loaded > before)?;
    drop((storage, plugin));
    let after = executable_mappings()?;
    holds(format!("of {loaded} mappings {after} are left when all is dropped"), after >= loaded)
}

fn thirty_two(f: &mut Fixture) -> CaseResult {
    let storage = f.storage();
    thread::scope(|scope| {
        let work = |number: u8| -> CaseResult {
            for round in 0..30u8 {
                let change = crate::fixture::batch(|batch| batch.put(&[number, round], &[round]));
                storage.write(&change, Durability::Buffered)?;
                equal(
                    "a key of this thread",
                    &get(storage, &[number, round])?,
                    &Some(vec![round]),
                )?;
                let mut cursor =
                    storage.cursor(KeyRange::new(&[number], None), Direction::Forward)?;
                let found = first(&mut *cursor)?.map(|row| row.0);
                equal("the first key of this thread", &found, &Some(vec![number, 0]))?;
                storage.stats()?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..32).map(|number| scope.spawn(move || work(number))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| failed("a thread panicked")))
    })
}

fn elsewhere(f: &mut Fixture) -> CaseResult {
    let (loaded, dir) = (f.loaded().clone(), f.other_dir());
    let panicked = |_| failed("a thread panicked");
    let opened = thread::spawn(move || Ok(loaded.open(&dir, OpenMode::Create)?)).join();
    let storage = opened.unwrap_or_else(panicked)?;
    let used = thread::spawn(move || -> CaseResult<_> {
        let change = crate::fixture::batch(|batch| batch.put(b"k", b"k"));
        storage.write(&change, Durability::Buffered)?;
        equal("the key", &get(&*storage, b"k")?, &Some(b"k".to_vec()))?;
        Ok(storage)
    });
    let storage = used.join().unwrap_or_else(|_| failed("a thread panicked"))?;
    let dropped = thread::spawn(move || drop(storage)).join();
    holds("the drop on a third thread returns", dropped.is_ok())
}

fn buffers(f: &mut Fixture) -> CaseResult {
    let value = f.random().bytes(3 << 20);
    f.put(b"k", &value)?;
    for capacity in [0, 1, 100, 1 << 20, 4 << 20] {
        let mut buffer = ByteBuf::with_capacity(capacity);
        f.storage().get(b"k", &mut buffer)?;
        equal(format!("a buffer of {capacity}"), &buffer.to_vec(), &value)?;
        equal("the buffer as a vector", &buffer.into_vec(), &value)?;
    }
    let (mut page, mut values) = (Page::new(), Values::new());
    f.cursor(KeyRange::ALL, Direction::Forward)?.next_page(&mut page)?;
    f.storage().multi_get(&[b"k", b"k"], &mut values)?;
    equal("values", &values.iter().flatten().map(<[u8]>::len).sum::<usize>(), &(2 * value.len()))
}

fn reused(f: &mut Fixture) -> CaseResult {
    f.put(b"k", &[1; 1000])?;
    let mut buffer = ByteBuf::with_capacity(1 << 16);
    let before = (buffer.as_ptr() as usize, buffer.capacity());
    for _ in 0..100 {
        f.storage().get(b"k", &mut buffer)?;
    }
    equal("the buffer's capacity", &buffer.capacity(), &before.1)?;
    equal("the buffer's address", &(buffer.as_ptr() as usize), &before.0)
}

fn entries(dir: &str) -> CaseResult<usize> {
    Ok(fs::read_dir(dir)?.count())
}

/// Opens and drops a storage, `rounds` times.
fn open_and_drop(f: &mut Fixture, rounds: usize) -> CaseResult {
    let dir = f.other_dir();
    for _ in 0..rounds {
        let storage = f.open_at(&dir, OpenMode::Create)?;
        let change = crate::fixture::batch(|batch| batch.put(b"k", b"k"));
        storage.write(&change, Durability::Buffered)?;
        drop(storage.cursor(KeyRange::ALL, Direction::Forward)?);
    }
    Ok(())
}

fn descriptors(f: &mut Fixture) -> CaseResult {
    open_and_drop(f, 3)?;
    let before = entries("/proc/self/fd")?;
    open_and_drop(f, 50)?;
    let after = entries("/proc/self/fd")?;
    let claim = format!(
        "fifty openings and drops leave as many open files as before: {before} became {after}"
    );
    holds(claim, after <= before + 2)
}

fn threads(f: &mut Fixture) -> CaseResult {
    open_and_drop(f, 3)?;
    let before = entries("/proc/self/task")?;
    open_and_drop(f, 30)?;
    let after = entries("/proc/self/task")?;
    let claim = format!(
        "thirty openings and drops leave as many threads as before: {before} became {after}"
    );
    holds(claim, after <= before + 2)
}

/// Resident memory of this process, KiB.
fn resident() -> CaseResult<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    number.map_or_else(|| skipped("the system does not tell the process' memory"), Ok)
}

fn memory(f: &mut Fixture) -> CaseResult {
    let keys = numbered(200);
    f.write(|batch| keys.iter().for_each(|key| batch.put(key, &[7; 400])))?;
    let round = |count: usize| -> CaseResult {
        for number in 0..count {
            first(&mut *f.cursor(KeyRange::ALL, Direction::Forward)?)?;
            f.get(&keys[number % keys.len()])?;
            refused(
                "the empty key",
                f.storage().get(b"", &mut ByteBuf::new()),
                ErrorKind::InvalidKey,
            )?;
        }
        Ok(())
    };
    round(ROUNDS / 3)?;
    let before = resident()?;
    round(ROUNDS)?;
    let after = resident()?;
    let claim = format!(
        "memory went from {before} KiB to {after} KiB in {ROUNDS} rounds, by less than 32 MiB"
    );
    holds(claim, after < before + (32 << 10))
}
