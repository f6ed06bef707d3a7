//! Damaged files are reported and left as they are; an unfinished end of a log is no damage.

use crate::*;

/// A closed storage with all of its entries in tables.
fn in_tables(count: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, count, 100);
    storage.compact(KeyRange::ALL).unwrap();
    storage.close().unwrap();
    dir
}

/// A closed storage with the batches `0..count` in one log, and where each ends in it.
fn in_a_log(count: u32) -> (tempfile::TempDir, PathBuf, Vec<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let log = files(dir.path(), ".log").pop().unwrap();
    let ends = (0..count).map(|number| {
        storage.write(&batch_of([entry(number, 100)]), Durability::Buffered).unwrap();
        fs::metadata(&log).unwrap().len()
    });
    let ends = ends.collect();
    storage.close().unwrap();
    (dir, log, ends)
}

fn leveldb_text(error: &Error) -> &str {
    error.context().find(|(name, _)| *name == "leveldb_text").unwrap().1
}

#[test]
fn a_changed_byte_in_a_table_is_corruption_to_every_read_of_it() {
    let dir = in_tables(2000);
    let table = files(dir.path(), ".ldb").remove(0);
    change(&table, |bytes| bytes[1000] ^= 1);
    let storage = open(dir.path());
    let error = get(&*storage, &0u32.to_be_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(leveldb_text(&error), "Corruption: block checksum mismatch");
    let snapshot = storage.snapshot().unwrap();
    let in_snapshot = snapshot.get(&0u32.to_be_bytes(), &mut ByteBuf::new());
    assert_eq!(in_snapshot.unwrap_err().kind(), ErrorKind::Corruption);
    for direction in [Direction::Forward, Direction::Reverse] {
        let (read, end) = drain(&mut *storage.cursor(KeyRange::ALL, direction).unwrap());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Corruption);
        let numbers: Vec<u32> = match direction {
            Direction::Forward => (0..2000).collect(),
            Direction::Reverse => (0..2000).rev().collect(),
        };
        let expected: Entries =
            numbers.into_iter().map(|n| entry(n, 100)).take(read.len()).collect();
        assert!(read == expected, "an entry from behind the damage");
    }
    assert_eq!(
        storage.checkpoint(&dir.path().join("copy")).unwrap_err().kind(),
        ErrorKind::Corruption
    );
    assert!(get(&*storage, &1999u32.to_be_bytes()).unwrap().is_some());
}

#[test]
fn verify_names_the_table_and_the_place_of_each_damaged_block_although_it_was_read_before() {
    let dir = in_tables(2000);
    let table = files(dir.path(), ".ldb").remove(0);
    let name = table.file_name().unwrap().to_str().unwrap().to_owned();
    let storage = open(dir.path());
    assert_eq!(entries(&*storage).len(), 2000);
    let sound = storage.verify().unwrap();
    assert_eq!((sound.checked, sound.problems), (2000, Vec::new()));
    // In place, for the file is in use.
    let file = fs::File::options().write(true).open(&table).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5], 1000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5], 50_000).unwrap();
    let problems = storage.verify().unwrap().problems;
    assert_eq!(problems[0], format!("{name}: the block at byte 0 has a wrong checksum"));
    assert!(problems[1].starts_with(&format!("{name}: the block at byte 4")), "{problems:?}");
}

#[test]
fn a_table_that_was_cut_or_removed_is_corruption_at_open_and_nothing_is_changed() {
    for is_removed in [false, true] {
        let dir = in_tables(2000);
        let table = files(dir.path(), ".ldb").remove(0);
        if is_removed {
            fs::remove_file(&table).unwrap();
        } else {
            change(&table, |bytes| bytes.truncate(bytes.len() / 2));
        }
        let before = listing(dir.path());
        let error = refused(dir.path(), "", OpenMode::Create);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(listing(dir.path()) == before);
    }
}

#[test]
fn a_manifest_that_lost_its_end_is_corruption_instead_of_the_end_of_its_tables() {
    let dir = in_tables(2000);
    let manifest =
        files(dir.path(), "").into_iter().find(|path| path.to_string_lossy().contains("MANIFEST"));
    let manifest = manifest.unwrap();
    let whole = fs::read(&manifest).unwrap();
    for kept in 1..whole.len() {
        fs::write(&manifest, &whole[..kept]).unwrap();
        let before = listing(dir.path());
        match open_with(dir.path(), "", OpenMode::Create) {
            Ok(storage) => {
                panic!("opened with {kept} bytes and {} entries", entries(&*storage).len())
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corruption, "{error}"),
        }
        assert!(listing(dir.path()) == before);
    }
    fs::write(&manifest, &whole).unwrap();
    assert_eq!(entries(&*open(dir.path())).len(), 2000);
}

#[test]
fn a_manifest_of_another_database_is_a_format_mismatch() {
    let dir = in_tables(10);
    let manifest =
        files(dir.path(), "").into_iter().find(|path| path.to_string_lossy().contains("MANIFEST"));
    // One record: a field with a tag that LevelDB does not have, as RocksDB writes them. The checksum is LevelDB's of it.
    fs::write(manifest.unwrap(), [0xf4, 0x47, 0x08, 0x3d, 2, 0, 1, 0xc8, 1]).unwrap();
    let error = refused(dir.path(), "", OpenMode::Create);
    assert_eq!(error.kind(), ErrorKind::FormatMismatch, "{error}");
}

#[test]
fn a_log_that_was_cut_anywhere_has_the_batches_before_the_cut() {
    let (dir, log, ends) = in_a_log(400);
    let whole = fs::read(&log).unwrap();
    for cut in (0..whole.len()).step_by(1531).chain([whole.len() - 1, 32 << 10, (32 << 10) + 3]) {
        let killed = tempfile::tempdir().unwrap();
        kill_into(dir.path(), killed.path());
        fs::write(killed.path().join(log.file_name().unwrap()), &whole[..cut]).unwrap();
        let batches = ends.iter().filter(|&&end| end <= cut as u64).count();
        let expected: Entries = (0..batches as u32).map(|number| entry(number, 100)).collect();
        assert!(entries(&*open(killed.path())) == expected, "cut at {cut}");
        assert!(entries(&*open(killed.path())) == expected, "opened again");
    }
}

#[test]
fn zeros_where_the_end_of_a_log_did_not_reach_the_disk_are_no_damage() {
    let (dir, log, ends) = in_a_log(400);
    let whole_bytes = ends[299] as usize;
    change(&log, |bytes| bytes[whole_bytes..].fill(0));
    let expected: Entries = (0..300).map(|number| entry(number, 100)).collect();
    assert!(entries(&*open(dir.path())) == expected);
}

#[test]
fn damage_within_a_log_is_corruption_and_nothing_is_changed_unless_the_rest_is_given_up() {
    let (dir, log, ends) = in_a_log(400);
    // The length, the kind and the content of a record; the last record, too.
    for (batch, at) in [(0, 4), (200, 6), (200, 50), (399, 60), (250, 4)] {
        let damaged = tempfile::tempdir().unwrap();
        kill_into(dir.path(), damaged.path());
        let begin = if batch == 0 { 0 } else { ends[batch - 1] as usize };
        change(&damaged.path().join(log.file_name().unwrap()), |bytes| bytes[begin + at] ^= 0x20);
        let before = listing(damaged.path());
        let error = refused(damaged.path(), "", OpenMode::MustExist);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.to_string().contains("paranoid_checks"), "{error}");
        assert!(listing(damaged.path()) == before);
        let lenient = open_with(damaged.path(), "paranoid_checks = false", OpenMode::MustExist);
        let expected: Entries = (0..batch as u32).map(|number| entry(number, 100)).collect();
        assert!(entries(&*lenient.unwrap()) == expected, "batch {batch}: no write from behind it");
        assert!(entries(&*open(damaged.path())) == expected);
    }
}

/// A storage that lost the log with the entries 10 and what else was written with it, and has the one with entry 11.
fn without_a_log(is_synced: bool) -> tempfile::TempDir {
    let (dir, _, _) = in_a_log(10);
    let storage = open(dir.path());
    let log = files(dir.path(), ".log").pop().unwrap();
    storage.write(&batch_of([entry(10, 100)]), Durability::Buffered).unwrap();
    if is_synced {
        storage.flush(Durability::Synced).unwrap();
    }
    let lost_bytes = fs::metadata(&log).unwrap().len() as usize;
    storage.write(&batch_of([entry(11, 100)]), Durability::Buffered).unwrap();
    let killed = tempfile::tempdir().unwrap();
    kill_into(dir.path(), killed.path());
    let lost = killed.path().join(log.file_name().unwrap());
    let number: u64 = lost.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let later = fs::read(&lost).unwrap().split_off(lost_bytes);
    fs::write(killed.path().join(format!("{:06}.log", number + 1)), later).unwrap();
    fs::write(&lost, b"").unwrap();
    killed
}

#[test]
fn a_log_that_is_lost_takes_the_later_ones_along_unless_it_was_synced() {
    let dir = without_a_log(false);
    let expected: Entries = (0..10).map(|number| entry(number, 100)).collect();
    assert!(entries(&*open(dir.path())) == expected);
    let dir = without_a_log(true);
    let before = listing(dir.path());
    let error = refused(dir.path(), "", OpenMode::Create);
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert!(listing(dir.path()) == before);
    let lenient = open_with(dir.path(), "paranoid_checks = false", OpenMode::Create).unwrap();
    assert!(entries(&*lenient) == expected);
}

#[test]
fn a_page_of_zeros_in_a_log_ends_it_unless_a_later_write_followed_a_sync() {
    for is_synced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path());
        let log = files(dir.path(), ".log").pop().unwrap();
        for number in 0..300 {
            storage.write(&batch_of([entry(number, 100)]), Durability::Buffered).unwrap();
            if is_synced && number == 250 {
                storage.flush(Durability::Synced).unwrap();
            }
        }
        let killed = tempfile::tempdir().unwrap();
        kill_into(dir.path(), killed.path());
        change(&killed.path().join(log.file_name().unwrap()), |bytes| bytes[8192..12288].fill(0));
        let before = listing(killed.path());
        let opened = open_with(killed.path(), "", OpenMode::Create);
        if is_synced {
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::Corruption);
            assert!(listing(killed.path()) == before);
        } else {
            let found = entries(&*opened.unwrap());
            let expected: Entries = (0..found.len() as u32).map(|n| entry(n, 100)).collect();
            assert!(found == expected && (50..80).contains(&found.len()), "{}", found.len());
        }
    }
}
