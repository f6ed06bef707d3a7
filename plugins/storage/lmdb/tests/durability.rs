//! What is left after a killed process and after a power cut: everything up to some batch, and nothing after it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use supervm_plugin_sdk::prelude::*;
use support::{entries, figure, get, open, put};

const PAGE_BYTES: usize = 4096;
const META_PAGES: usize = 2;
const DATA_FILE: &str = "data.mdb";

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The data file and the content after one batch.
struct Version {
    pages: Vec<u8>,
    content: Entries,
}

impl Version {
    fn page(&self, index: usize) -> Option<&[u8]> {
        self.pages.chunks(PAGE_BYTES).nth(index)
    }
}

/// Writes batches that overwrite, delete and reuse pages, and keeps each version.
fn versions(dir: &Path, count: u32, durability: impl Fn(u32) -> Durability) -> Vec<Version> {
    let storage = open(dir);
    let version = |round: u32| {
        let mut batch = WriteBatch::new();
        for index in 0..40u32 {
            let mixed = (round * 40 + index).wrapping_mul(2_654_435_761) >> 24;
            batch.put(&mixed.to_be_bytes(), &vec![round as u8; (mixed as usize * 37) % 6000]);
        }
        let from = round.wrapping_mul(97) % 256;
        batch.delete_range(KeyRange::new(&from.to_be_bytes(), Some(&(from + 20).to_be_bytes())));
        storage.write(&batch, durability(round)).unwrap();
        Version { pages: fs::read(dir.join(DATA_FILE)).unwrap(), content: entries(&*storage) }
    };
    (0..count).map(version).collect()
}

/// What a storage holds whose file consists of these pages.
fn content_of(pages: &[u8]) -> Entries {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(DATA_FILE), pages).unwrap();
    let storage = open(dir.path());
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
    entries(&*storage)
}

/// A power cut while batch `next` writes its pages: some are on disk, and the roots are those of `roots`.
fn cut(roots: &Version, synced: &Version, next: &Version, seed: usize) -> Vec<u8> {
    let count = synced.pages.len().max(next.pages.len()) / PAGE_BYTES;
    let page = |index: usize| {
        let is_written = (index * 31 + seed * 17).is_multiple_of(3);
        let newer = is_written.then(|| next.page(index)).flatten();
        let page =
            if index < META_PAGES { roots.page(index) } else { newer.or(synced.page(index)) };
        page.unwrap_or(&[0; PAGE_BYTES]).to_vec()
    };
    (0..count).flat_map(page).collect()
}

#[test]
fn a_power_cut_during_buffered_writes_takes_at_most_the_last_batch_that_returned() {
    let dir = tempfile::tempdir().unwrap();
    let versions = versions(dir.path(), 60, |_| Durability::Buffered);
    for (seed, three) in versions.windows(3).enumerate() {
        let [before, last, next] = three else { unreachable!("windows of three") };
        // The pages of `last` were synced before it returned; its root may have reached the disk or not.
        assert_eq!(content_of(&cut(before, last, next, seed)), before.content, "batch {seed}");
        assert_eq!(content_of(&cut(last, last, next, seed)), last.content, "batch {seed}");
    }
}

#[test]
fn a_power_cut_during_synced_and_buffered_writes_leaves_the_last_root_whole() {
    let dir = tempfile::tempdir().unwrap();
    let durability = |round: u32| match round % 3 {
        0 => Durability::Synced,
        _ => Durability::Buffered,
    };
    let versions = versions(dir.path(), 60, durability);
    for (seed, pair) in versions.windows(2).enumerate() {
        let image = cut(&pair[0], &pair[0], &pair[1], seed);
        assert_eq!(content_of(&image), pair[0].content, "batch {seed}");
    }
}

/// Writes until it is killed, with readers open; says after each write that it returned.
fn write_until_killed(dir: &Path) -> ! {
    let storage = open(dir);
    let mut held = Vec::new();
    for round in 0.. {
        put(&*storage, format!("{round:08}").as_bytes(), &[1; 500]).unwrap();
        if round < 20 {
            held.push(storage.snapshot().unwrap());
        }
        println!("written {round}");
        std::io::stdout().flush().unwrap();
    }
    unreachable!("the parent kills this process")
}

#[test]
fn a_killed_process_loses_no_returned_write_and_leaves_no_reader_behind() {
    const CHILD_DIR: &str = "LMDB_TEST_CHILD_DIR";
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "a_killed_process_loses_no_returned_write_and_leaves_no_reader_behind";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let written: Vec<_> =
        lines.map(Result::unwrap).filter(|line| line.contains("written ")).take(100).collect();
    assert_eq!(written.len(), 100);
    child.kill().unwrap();
    child.wait().unwrap();
    let storage = open(dir.path());
    for round in 0..100 {
        assert!(
            get(&*storage, format!("{round:08}").as_bytes()).is_some(),
            "write {round} is lost"
        );
    }
    assert!(figure(&*storage, "readers_most") <= 2, "{:?}", storage.stats().unwrap());
    let bytes_before = storage.stats().unwrap().disk_bytes.unwrap();
    for _ in 0..1000 {
        put(&*storage, b"key", &[2; 500]).unwrap();
    }
    let grown = storage.stats().unwrap().disk_bytes.unwrap() - bytes_before;
    assert!(grown < 256 << 10, "a reader that is gone holds back {grown} bytes");
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
}
