//! What is damaged is an error and a line of `verify`, never a wrong answer; what a log lost is its end.

use crate::*;

const COUNT: u32 = 5000;

/// A closed storage whose entries are in one table.
fn closed(dir: &Path) -> PathBuf {
    let storage = open(dir);
    fill(&*storage, COUNT, 100);
    storage.compact(KeyRange::ALL).unwrap();
    storage.close().unwrap();
    drop(storage);
    let tables = files(dir, ".sst");
    assert_eq!(tables.len(), 1);
    tables[0].clone()
}

#[test]
fn a_changed_byte_in_a_table_is_corruption_for_reads_scans_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let table = closed(dir.path());
    damage(&table, |length| length / 3);
    let storage = open(dir.path());
    let reads = (0..COUNT).map(|key| (key, value(&*storage, &key.to_be_bytes())));
    let mut failed = 0;
    for (key, read) in reads {
        match read {
            Ok(found) => assert_eq!(found, Some(noise(key, 100))),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
                assert!(error.context().any(|pair| pair == ("rocksdb_code", "Corruption")));
                failed += 1;
            }
        }
    }
    assert!(failed > 0, "the damage was not read");
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut cursor = storage.cursor(KeyRange::ALL, direction).unwrap();
        assert_eq!(drain(&mut *cursor).unwrap_err().kind(), ErrorKind::Corruption);
        let again = cursor.next_page(&mut Page::new()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Corruption, "an error is not followed by an end");
    }
    let keys: Vec<_> = (0..COUNT).map(u32::to_be_bytes).collect();
    let keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
    let all = storage.multi_get(&keys, &mut Values::new());
    assert_eq!(all.unwrap_err().kind(), ErrorKind::Corruption);
    let report = storage.verify().unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(report.problems[0].contains(".sst"), "{report:?}");
}

#[test]
fn verify_reads_from_disk_what_a_read_has_in_its_cache() {
    let dir = tempfile::tempdir().unwrap();
    let table = closed(dir.path());
    let storage = open(dir.path());
    assert_eq!(entries(&*storage).len(), COUNT as usize);
    assert_eq!(
        storage.verify().unwrap(),
        VerifyReport { checked: u64::from(COUNT), problems: vec![] }
    );
    damage(&table, |length| length / 2);
    assert_eq!(entries(&*storage).len(), COUNT as usize, "the cache has the blocks");
    assert_eq!(storage.verify().unwrap().problems.len(), 1);
}

#[test]
fn verify_reads_what_a_range_deletion_covers() {
    let dir = tempfile::tempdir().unwrap();
    let table = closed(dir.path());
    let storage = open(dir.path());
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::ALL);
    storage.write(&batch, Durability::Synced).unwrap();
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
    damage(&table, |length| length / 2);
    assert_eq!(storage.verify().unwrap().problems.len(), 1);
}

#[test]
fn a_table_that_is_gone_or_cut_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let table = closed(dir.path());
    let storage = open(dir.path());
    let content = fs::read(&table).unwrap();
    fs::write(&table, &content[..content.len() - 100]).unwrap();
    assert_eq!(storage.verify().unwrap().problems.len(), 1);
    fs::remove_file(&table).unwrap();
    let problems = storage.verify().unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains(".sst"), "{problems:?}");
    drop(storage);
    assert_eq!(refused(dir.path(), "", OpenMode::Create).kind(), ErrorKind::Corruption);
}

#[test]
fn a_damaged_list_of_files_is_corruption_and_nothing_is_lost() {
    for (name, bytes) in [
        ("CURRENT", &b"MANIFEST-999999\n"[..]),
        ("CURRENT", b"nonsense"),
        ("CURRENT", b""),
        ("MANIFEST", b"nonsense"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let table = closed(dir.path());
        let current = dir.path().join("CURRENT");
        let manifest = fs::read_to_string(&current).unwrap();
        let path = if name == "CURRENT" { current } else { dir.path().join(manifest.trim()) };
        let before = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        for mode in [OpenMode::Create, OpenMode::MustExist, OpenMode::ReadOnly] {
            let error = refused(dir.path(), "", mode);
            assert_eq!(error.kind(), ErrorKind::Corruption, "{name} {bytes:?} {mode:?} {error}");
        }
        assert!(table.exists());
        fs::write(&path, before).unwrap();
        assert_eq!(entries(&*open(dir.path())).len(), COUNT as usize);
    }
}

#[test]
fn a_directory_that_lost_current_is_corruption_and_keeps_its_tables() {
    let dir = tempfile::tempdir().unwrap();
    let table = closed(dir.path());
    let current = fs::read(dir.path().join("CURRENT")).unwrap();
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    for mode in [OpenMode::Create, OpenMode::MustExist, OpenMode::ReadOnly] {
        assert_eq!(refused(dir.path(), "", mode).kind(), ErrorKind::Corruption, "{mode:?}");
    }
    assert!(table.exists());
    fs::write(dir.path().join("CURRENT"), current).unwrap();
    assert_eq!(entries(&*open(dir.path())).len(), COUNT as usize);
}

/// What a killed process leaves: ten batches in the log, whose last `cut` bytes are missing or, when `flip` is set, changed.
fn killed(dir: &Path, options: &str, change: impl Fn(&mut Vec<u8>)) {
    let storage = open_with(dir, options, OpenMode::Create).unwrap();
    for round in 0..10u8 {
        put(&*storage, &[round], &noise(u32::from(round), 1000));
    }
    drop(storage);
    let logs = files(dir, ".log");
    let log = logs.last().unwrap();
    let mut bytes = fs::read(log).unwrap();
    change(&mut bytes);
    fs::write(log, bytes).unwrap();
}

/// How many of the ten batches are there, or why there are none; those that are there are the first ones.
fn recovered(change: impl Fn(&mut Vec<u8>), mode: &str) -> std::result::Result<usize, ErrorKind> {
    let dir = tempfile::tempdir().unwrap();
    let options = format!("wal_recovery = \"{mode}\"");
    killed(dir.path(), &options, change);
    let storage =
        open_with(dir.path(), &options, OpenMode::MustExist).map_err(|error| error.kind())?;
    let found = entries(&*storage);
    for (round, (key, value)) in (0u8..).zip(&found) {
        assert_eq!((&key[..], value), (&[round][..], &noise(u32::from(round), 1000)));
    }
    Ok(found.len())
}

#[test]
fn a_log_that_was_cut_is_recovered_as_the_option_says() {
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 500);
    assert_eq!(recovered(cut, "point_in_time"), Ok(9));
    assert_eq!(recovered(cut, "tolerate_corrupted_tail_records"), Ok(9));
    assert_eq!(recovered(cut, "absolute_consistency"), Err(ErrorKind::Corruption));
}

#[test]
fn a_log_with_a_changed_byte_is_recovered_as_the_option_says() {
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let kept = recovered(flip, "point_in_time").unwrap();
    assert!((3..=6).contains(&kept), "{kept} batches before the damage");
    assert_eq!(recovered(flip, "tolerate_corrupted_tail_records"), Err(ErrorKind::Corruption));
    assert_eq!(recovered(flip, "absolute_consistency"), Err(ErrorKind::Corruption));
}

/// Logs are written over, so the newest one may end in the bytes of an older one.
#[test]
fn after_a_kill_a_log_that_was_written_over_gives_what_was_written_last() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "write_buffer_bytes = \"1MiB\"", OpenMode::Create).unwrap();
    let rounds = 2000_u32;
    let mut recycled = 0;
    let mut before = files(dir.path(), ".log");
    for round in 0..rounds {
        put(&*storage, &[(round % 100) as u8], &noise(round, 10_000));
        let logs = files(dir.path(), ".log");
        // A log that is new and as long as one that is full was one.
        let is_new = |log: &&std::path::PathBuf| !before.contains(*log);
        let length = |log: &std::path::PathBuf| fs::metadata(log).map_or(0, |file| file.len());
        recycled += logs.iter().filter(is_new).filter(|log| length(log) > 200_000).count();
        before = logs;
    }
    assert!(recycled > 3, "only {recycled} logs were written over");
    drop(storage);
    let found = entries(&*open(dir.path()));
    assert_eq!(found.len(), 100);
    for (key, value) in found {
        assert!(value == noise(rounds - 100 + u32::from(key[0]), 10_000), "{key:?}");
    }
}

/// A storage of 400 entries and its checkpoint, with the names of the checkpoint's files that are copies and no links.
fn with_checkpoint(dir: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (source, target) = (dir.join("source"), dir.join("target"));
    let storage = open(&source);
    fill(&*storage, 400, 120);
    storage.checkpoint(&target).unwrap();
    let mut copies = files(&target, "");
    copies.retain(|path| path.extension().is_none_or(|end| end != "sst"));
    (target, copies)
}

/// Does a copy of `dir` whose file has this content open, and hold anything but 400 entries, without a word?
fn is_lost_in_silence(dir: &Path, file: &Path, content: &[u8]) -> bool {
    let copy = tempfile::tempdir().unwrap();
    for file in files(dir, "") {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    fs::write(copy.path().join(file.file_name().unwrap()), content).unwrap();
    let Ok(storage) = open_with(copy.path(), "", OpenMode::MustExist) else { return false };
    let count = drain(&mut *storage.cursor(KeyRange::ALL, Direction::Forward).unwrap());
    count.is_ok_and(|entries| entries.len() != 400) && storage.verify().unwrap().problems.is_empty()
}

/// Damages every small file of a checkpoint, each time at another byte: every `step`th, or fewer where the file is long.
fn nothing_is_lost_in_silence(step: usize, damaged: impl Fn(&[u8], usize) -> Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let (target, copies) = with_checkpoint(dir.path());
    for file in copies {
        let content = fs::read(&file).unwrap();
        let step = if content.len() > 1000 { 97 } else { step };
        for at in (0..content.len()).step_by(step) {
            let damaged = damaged(&content, at);
            assert!(!is_lost_in_silence(&target, &file, &damaged), "byte {at} of {file:?}");
        }
    }
}

#[test]
fn a_changed_bit_in_any_small_file_of_a_checkpoint_is_noticed_or_harmless() {
    nothing_is_lost_in_silence(1, |content, at| {
        let mut changed = content.to_vec();
        changed[at] ^= 1 << (at % 8);
        changed
    });
}

#[test]
fn a_checkpoint_whose_small_files_were_cut_is_noticed_or_has_everything() {
    nothing_is_lost_in_silence(3, |content, at| content[..at].to_vec());
}

#[test]
fn a_checkpoint_of_a_killed_writer_has_to_keep_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    killed(&source, "", |_| {});
    open_with(&source, "", OpenMode::ReadOnly).unwrap().checkpoint(&target).unwrap();
    assert_eq!(entries(&*open_with(&target, "", OpenMode::ReadOnly).unwrap()).len(), 10);
    let logs = files(&target, ".log");
    let log = logs.iter().max_by_key(|log| fs::metadata(log).unwrap().len()).unwrap();
    let content = fs::read(log).unwrap();
    let refusal = || {
        let error = refused(&target, "", OpenMode::MustExist);
        assert_eq!(error.kind(), ErrorKind::Corruption);
        error.to_string()
    };
    fs::write(log, &content[..content.len() - 1]).unwrap();
    assert!(refusal().contains("copy the checkpoint again"), "{}", refusal());
    fs::remove_file(log).unwrap();
    assert!(refusal().contains("it is missing"), "{}", refusal());
    fs::write(log, &content).unwrap();
    assert_eq!(entries(&*open(&target)).len(), 10);
}

#[test]
fn a_checkpoint_that_is_written_to_is_a_database_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let (target, _) = with_checkpoint(dir.path());
    let list = target.join("CHECKPOINT");
    let content = fs::read(&list).unwrap();
    drop(open_with(&target, "", OpenMode::ReadOnly).unwrap());
    assert!(list.exists(), "reading changes nothing");
    let storage = open(&target);
    put(&*storage, b"later", b"");
    drop(storage);
    assert!(!list.exists());
    // As if the process had been killed before it removed the list.
    fs::write(&list, content).unwrap();
    assert_eq!(entries(&*open(&target)).len(), 401);
}

/// RocksDB reads such a record again and again.
#[test]
fn a_changed_kind_in_a_manifest_or_a_log_does_not_keep_open_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    // Not written over: with the default, a log has other kinds.
    let options = "wal_recovery = \"tolerate_corrupted_tail_records\"";
    let second_kind = |bytes: &mut Vec<u8>| {
        let first = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
        bytes[7 + first + 6] ^= 4;
    };
    killed(dir.path(), options, second_kind);
    for options in [options, ""] {
        let error = refused(dir.path(), options, OpenMode::MustExist);
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert!(error.to_string().contains("wrong kind"), "{error}");
    }
}

#[test]
fn verify_notices_a_list_of_files_that_was_damaged_while_the_storage_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 400, 120);
    storage.compact(KeyRange::ALL).unwrap();
    let current = fs::read_to_string(dir.path().join("CURRENT")).unwrap();
    let manifest = dir.path().join(current.trim());
    assert_eq!(storage.verify().unwrap().problems, [""; 0]);
    let mut content = fs::read(&manifest).unwrap();
    let (mut at, mut last) = (0, 0);
    while at < content.len() {
        last = at;
        at += 7 + usize::from(u16::from_le_bytes([content[at + 4], content[at + 5]]));
    }
    content[last + 4] ^= 0x10;
    content[last + 5] ^= 0x10;
    fs::write(&manifest, content).unwrap();
    let problems = storage.verify().unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("MANIFEST"), "{problems:?}");
}
