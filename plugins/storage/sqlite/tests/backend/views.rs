//! Reads beside writes: what each sees, and that none waits.

use crate::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Writers publish the number that they wrote; no reader may then read a smaller one, nor after a greater one.
#[test]
fn a_read_sees_every_write_that_returned_and_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"n", &0u64.to_be_bytes()).unwrap();
    let (published, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let read = || {
        let value = value(&*storage, b"n").unwrap();
        u64::from_be_bytes(value.try_into().unwrap())
    };
    let seen: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let (mut last, mut changes) = (0, 0);
                    while !is_over.load(Ordering::SeqCst) {
                        let least = published.load(Ordering::SeqCst).max(last);
                        let number = read();
                        assert!(number >= least, "{number} after {least}");
                        changes += u64::from(number > last);
                        last = number;
                    }
                    changes
                })
            })
            .collect();
        for number in 1..=3000u64 {
            put(&*storage, b"n", &number.to_be_bytes()).unwrap();
            published.store(number, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(seen > 6, "the readers ran beside the writer: {seen}");
}

#[test]
fn a_snapshot_is_no_older_than_a_read_before_it_beyond_the_connections_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    put(&*storage, b"n", &0u64.to_be_bytes()).unwrap();
    let number = |value: &[u8]| u64::from_be_bytes(value.try_into().unwrap());
    let _held: Vec<_> = (0..20).map(|_| storage.snapshot().unwrap()).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        let before = number(&value(&*storage, b"n").unwrap());
                        let snapshot = storage.snapshot().unwrap();
                        let mut value = ByteBuf::new();
                        assert!(snapshot.get(b"n", &mut value).unwrap());
                        assert!(number(&value) >= before, "{} after {before}", number(&value));
                    }
                })
            })
            .collect();
        for next in 1..=2000u64 {
            put(&*storage, b"n", &next.to_be_bytes()).unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_cursor_outlives_its_snapshot_and_its_storage() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 5000, 100);
    let snapshot = storage.snapshot().unwrap();
    let mut cursor = snapshot.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    drop(snapshot);
    let mut page = Page::new();
    assert_eq!(cursor.next_page(&mut page).unwrap(), PageEnd::More);
    drop(storage);
    let rest = drain(&mut *cursor);
    assert_eq!(rest.len() + page.iter().count(), 5000);
    assert_eq!(rest.last().unwrap().0, [0; 4]);
}

#[test]
fn cursors_of_one_snapshot_interleave() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 3000, 100);
    let snapshot = storage.snapshot().unwrap();
    let mut forward = snapshot.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    let mut reverse = snapshot.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    let (mut page, mut up, mut down) = (Page::new(), Vec::new(), Vec::new());
    for _ in 0..10 {
        for (cursor, keys) in [(&mut forward, &mut up), (&mut reverse, &mut down)] {
            page.clear();
            cursor.next_page(&mut page).unwrap();
            keys.extend(page.iter().map(|(key, _)| key.to_vec()));
            assert!(snapshot.get(&[0; 4], &mut ByteBuf::new()).unwrap());
        }
    }
    down.reverse();
    assert_eq!(up.len(), 3000);
    assert_eq!(up, down);
}

#[test]
fn compact_shortens_the_file_beside_a_snapshot_that_keeps_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 5000, 1000);
    storage.compact(KeyRange::ALL).unwrap();
    let snapshot = storage.snapshot().unwrap();
    let mut batch = WriteBatch::new();
    batch.delete_range(KeyRange::new(&[0], Some(&4000u32.to_be_bytes())));
    storage.write(&batch, Durability::Buffered).unwrap();
    let content = entries(&*storage);
    let size = || fs::metadata(dir.path().join("storage.sqlite3")).unwrap().len();
    let before = size();
    assert!(stat(&*storage, "free_pages") > 500);
    storage.compact(KeyRange::ALL).unwrap();
    assert_eq!(stat(&*storage, "free_pages"), 0);
    assert_eq!(
        drain(&mut *snapshot.cursor(KeyRange::ALL, Direction::Forward).unwrap()).len(),
        5000
    );
    drop(snapshot);
    storage.compact(KeyRange::ALL).unwrap();
    assert!(size() < before / 3, "{} of {before} bytes", size());
    assert_eq!(entries(&*storage), content);
    assert!(storage.verify().unwrap().problems.is_empty());
}

#[test]
fn a_value_of_16_mib_and_an_empty_one_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let large = vec![0xa5; 16 << 20];
    put(&*storage, &[0xff; 511], &large).unwrap();
    put(&*storage, b"empty", b"").unwrap();
    assert!(value(&*storage, &[0xff; 511]).unwrap() == large);
    assert_eq!(value(&*storage, b"empty"), Some(Vec::new()));
    let mut values = Values::new();
    storage.multi_get(&[b"empty", b"absent", b"empty"], &mut values).unwrap();
    assert_eq!(values.iter().collect::<Vec<_>>(), [Some(&b""[..]), None, Some(&b""[..])]);
}

#[test]
fn synced_and_buffered_writes_take_turns_and_a_flush_syncs_the_latter() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    storage.flush(Durability::Synced).unwrap();
    for key in 0..20u8 {
        let durability = if key % 2 == 0 { Durability::Buffered } else { Durability::Synced };
        storage.write(&batch_of([(vec![key], vec![key])]), durability).unwrap();
        storage.flush(durability).unwrap();
    }
    storage.write(&WriteBatch::new(), Durability::Synced).unwrap();
    assert_eq!(entries(&*storage).len(), 20);
}

#[test]
fn the_log_stays_short_beside_threads_that_read_all_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_with(dir.path(), "wal_bytes = \"64KiB\"", OpenMode::Create).unwrap();
    let is_over = AtomicBool::new(false);
    let longest = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    value(&*storage, b"n");
                }
            });
        }
        let mut longest = 0;
        for number in 0..1000u64 {
            put(&*storage, b"n", &number.to_be_bytes().repeat(300)).unwrap();
            if number % 50 == 0 {
                longest = longest.max(stat(&*storage, "wal_bytes"));
            }
        }
        is_over.store(true, Ordering::SeqCst);
        longest
    });
    assert!(longest < 512 << 10, "{longest}");
}

/// A cursor reads more and more pages at once; the rows are those of single pages, and none is left over after a seek.
#[test]
fn pages_that_were_read_ahead_are_handed_out_in_order_and_forgotten_at_a_seek() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 1500, 1000);
    let all = entries(&*storage);
    assert_eq!(all.len(), 1500);
    assert!(all.is_sorted());
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut expected = all.clone();
        if direction == Direction::Reverse {
            expected.reverse();
        }
        let mut cursor = storage.cursor(KeyRange::ALL, direction).unwrap();
        assert_eq!(drain(&mut *cursor), expected);
        // After the end, and after as many pages as leave some read ahead.
        for pages in 0..6 {
            cursor.seek(&expected[700].0).unwrap();
            let mut page = Page::new();
            for _ in 0..pages {
                page.clear();
                assert_eq!(cursor.next_page(&mut page).unwrap(), PageEnd::More);
                assert!(page.byte_len() < 2 * supervm_plugin_sdk::PAGE_BYTES, "one page at a time");
            }
            cursor.seek(&expected[200].0).unwrap();
            assert_eq!(drain(&mut *cursor), expected[200..], "after {pages} pages");
        }
    }
}
