//! What is particular to this backend: the image on disk and the quota.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::load;
use supervm_plugin_sdk::prelude::*;
use supervm_storage_memory as _;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn open_with(dir: &Path, options: &str, mode: OpenMode) -> Result<Box<dyn StorageBackend>> {
    let plugins = load::linked().unwrap();
    let memory = plugins.iter().find(|plugin| plugin.descriptor().name == "memory").unwrap();
    memory.open_storage(dir, options, mode)
}

fn open(dir: &Path) -> Box<dyn StorageBackend> {
    open_with(dir, "", OpenMode::Create).unwrap()
}

fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    storage.write(&batch, Durability::Buffered)
}

fn entries(storage: &dyn StorageBackend) -> Entries {
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    let (mut page, mut all) = (Page::new(), Vec::new());
    loop {
        page.clear();
        let end = cursor.next_page(&mut page).unwrap();
        all.extend(page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        if end == PageEnd::End {
            return all;
        }
    }
}

fn image(dir: &Path) -> PathBuf {
    dir.join("memory.image")
}

/// A directory whose image holds some entries, of which one is empty and one has the longest key.
fn filled() -> (tempfile::TempDir, Entries) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"a", b"1").unwrap();
    put(&*storage, b"empty", b"").unwrap();
    put(&*storage, &[0xff; 511], &[7; 100_000]).unwrap();
    let content = entries(&*storage);
    storage.close().unwrap();
    (dir, content)
}

fn refused(dir: &Path, mode: OpenMode) -> Error {
    open_with(dir, "", mode).map(drop).unwrap_err()
}

#[test]
fn what_was_closed_is_there_at_the_next_open() {
    let (dir, content) = filled();
    assert_eq!(content.len(), 3);
    let storage = open_with(dir.path(), "", OpenMode::MustExist).unwrap();
    assert_eq!(entries(&*storage), content);
    let stats = storage.stats().unwrap();
    assert_eq!(stats.keys, Some(3));
    assert_eq!(stats.backend["content_bytes"], 1 + 1 + 5 + 511 + 100_000);
    assert_eq!(stats.disk_bytes, Some(fs::metadata(image(dir.path())).unwrap().len()));
}

#[test]
fn what_was_dropped_without_close_is_there_too() {
    let dir = tempfile::tempdir().unwrap();
    put(&*open(dir.path()), b"a", b"1").unwrap();
    assert_eq!(entries(&*open(dir.path())), [(b"a".to_vec(), b"1".to_vec())]);
}

#[test]
fn a_flush_is_what_a_killed_process_leaves() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = open(dir.path());
    put(&*storage, b"a", b"flushed").unwrap();
    storage.flush(Durability::Buffered).unwrap();
    put(&*storage, b"a", b"after the flush").unwrap();
    put(&*storage, b"b", b"after the flush").unwrap();
    fs::copy(image(dir.path()), image(killed.path())).unwrap();
    assert_eq!(entries(&*open(killed.path())), [(b"a".to_vec(), b"flushed".to_vec())]);
}

#[test]
fn a_flush_without_a_change_does_not_write_the_image_again() {
    use std::os::unix::fs::MetadataExt;
    let (dir, _) = filled();
    let inode = || fs::metadata(image(dir.path())).unwrap().ino();
    let storage = open(dir.path());
    let before = inode();
    storage.flush(Durability::Buffered).unwrap();
    assert_eq!(inode(), before);
    put(&*storage, b"b", b"").unwrap();
    storage.flush(Durability::Buffered).unwrap();
    assert_ne!(inode(), before);
}

#[test]
fn synced_writes_are_not_declared() {
    let dir = tempfile::tempdir().unwrap();
    let capabilities = open(dir.path()).capabilities();
    assert!(!capabilities.has(Capability::SyncedWrites));
    assert!(capabilities.has(Capability::Checksums));
}

#[test]
fn an_image_that_is_cut_anywhere_is_corruption_with_its_path() {
    let (dir, _) = filled();
    let whole = fs::read(image(dir.path())).unwrap();
    for length in [0, 3, 8, 11, 19, 20, 51, 52, 60, whole.len() / 2, whole.len() - 1] {
        fs::write(image(dir.path()), &whole[..length]).unwrap();
        let error = refused(dir.path(), OpenMode::Create);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{length}: {error}");
        assert!(error.to_string().contains("memory.image"), "{error}");
        assert!(error.to_string().contains("cut"), "{error}");
        assert_eq!(fs::read(image(dir.path())).unwrap().len(), length, "left as it was");
    }
}

#[test]
fn an_image_with_a_flipped_bit_is_corruption() {
    let (dir, _) = filled();
    let whole = fs::read(image(dir.path())).unwrap();
    for at in [12, 20, 30, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(image(dir.path()), &damaged).unwrap();
        let error = refused(dir.path(), OpenMode::ReadOnly);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{at}: {error}");
    }
}

#[test]
fn another_file_or_version_is_a_format_mismatch() {
    let (dir, _) = filled();
    let mut newer = fs::read(image(dir.path())).unwrap();
    newer[8] = 2;
    for (content, named) in [(newer, "version 2"), (b"SQLite format 3".to_vec(), "SVMEMORY")] {
        fs::write(image(dir.path()), content).unwrap();
        let error = refused(dir.path(), OpenMode::MustExist);
        assert_eq!(error.kind(), ErrorKind::FormatMismatch);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn verify_finds_an_image_that_was_damaged_after_it_was_opened() {
    let (dir, _) = filled();
    let storage = open(dir.path());
    let report = storage.verify().unwrap();
    assert_eq!((report.checked, report.problems.len()), (3, 0));
    let mut damaged = fs::read(image(dir.path())).unwrap();
    damaged[100] ^= 1;
    fs::write(image(dir.path()), damaged).unwrap();
    let report = storage.verify().unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].contains("checksum"), "{}", report.problems[0]);
}

#[test]
fn a_directory_without_an_image_is_not_found_unless_it_may_be_created() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [OpenMode::MustExist, OpenMode::ReadOnly] {
        let error = refused(dir.path(), mode);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!image(dir.path()).exists());
    }
    drop(open(dir.path()));
    assert!(open_with(dir.path(), "", OpenMode::MustExist).is_ok(), "created empty");
}

#[test]
fn a_read_only_open_reads_the_image_and_leaves_the_directory_as_it_is() {
    let (dir, content) = filled();
    let listing = || {
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = listing();
    let storage = open_with(dir.path(), "", OpenMode::ReadOnly).unwrap();
    assert_eq!(entries(&*storage), content);
    assert_eq!(put(&*storage, b"b", b"").unwrap_err().kind(), ErrorKind::ReadOnly);
    storage.close().unwrap();
    drop(storage);
    assert_eq!(listing(), before);
}

#[test]
fn a_checkpoint_is_an_image_of_its_moment() {
    let (dir, content) = filled();
    let storage = open(dir.path());
    let copy = dir.path().join("copy");
    storage.checkpoint(&copy).unwrap();
    put(&*storage, b"later", b"").unwrap();
    assert_eq!(entries(&*open_with(&copy, "", OpenMode::MustExist).unwrap()), content);
}

#[test]
fn a_batch_above_the_quota_changes_nothing_and_deletes_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "quota_bytes = 10", OpenMode::Create).unwrap();
    put(&*storage, b"a", &[1; 9]).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete(b"a");
    batch.put(b"b", &[2; 10]);
    let error = storage.write(&batch, Durability::Buffered).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::QuotaFull, Effect::NotApplied));
    assert!(error.context().any(|pair| pair == ("quota_bytes", "10")));
    assert_eq!(entries(&*storage), [(b"a".to_vec(), vec![1; 9])]);
    batch.put(b"b", &[2; 9]);
    storage.write(&batch, Durability::Buffered).unwrap();
    assert_eq!(entries(&*storage), [(b"b".to_vec(), vec![2; 9])]);
}

#[test]
fn a_storage_above_a_quota_that_was_lowered_accepts_what_frees_space() {
    let (dir, _) = filled();
    let storage = open_with(dir.path(), "quota_bytes = \"1KiB\"", OpenMode::Create).unwrap();
    assert_eq!(put(&*storage, b"b", b"").unwrap_err().kind(), ErrorKind::QuotaFull);
    put(&*storage, &[0xff; 511], &[7; 50_000]).unwrap();
    assert_eq!(storage.stats().unwrap().backend["content_bytes"], 7 + 511 + 50_000);
}

#[test]
fn a_quota_of_nothing_is_refused_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("store");
    let error = open_with(&target, "quota_bytes = 0", OpenMode::Create).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("quota_bytes"), "{error}");
    assert!(!target.exists());
}

#[test]
fn a_view_keeps_its_moment_while_the_map_changes_beneath_it() {
    let (dir, content) = filled();
    let storage = open(dir.path());
    let snapshot = storage.snapshot().unwrap();
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::ALL);
    storage.write(&batch, Durability::Buffered).unwrap();
    assert!(entries(&*storage).is_empty());
    assert_eq!(storage.stats().unwrap().backend["content_bytes"], 0);
    let mut value = ByteBuf::new();
    assert!(snapshot.get(b"a", &mut value).unwrap());
    let mut page = Page::new();
    assert_eq!(cursor.next_page(&mut page).unwrap(), PageEnd::More, "100 kB fill a page");
    assert_eq!(page.iter().next().unwrap().0, &content[2].0[..]);
    page.clear();
    assert_eq!(cursor.next_page(&mut page).unwrap(), PageEnd::End);
    assert_eq!(page.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&b"empty"[..], b"a"]);
}
