//! What iterators and snapshots keep alive, and how they see versions.

use crate::*;

#[test]
fn closing_under_a_live_cursor_is_busy_and_the_cursor_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 100);
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    let mut page = Page::new();
    assert_eq!(cursor.next_page(&mut page).unwrap(), PageEnd::More);
    assert_eq!(storage.close().unwrap_err().kind(), ErrorKind::Busy);
    let (rest, end) = drain(&mut *cursor);
    end.unwrap();
    assert_eq!(page.iter().count() + rest.len(), 2000);
    drop(cursor);
    storage.close().unwrap();
    assert_eq!(get(&*storage, b"a").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn cursors_and_snapshots_outlive_the_storage_that_they_were_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 100);
    let content = entries(&*storage);
    let snapshot = storage.snapshot().unwrap();
    let mut reverse = storage.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    drop(storage);
    let of_snapshot = snapshot.cursor(KeyRange::ALL, Direction::Forward);
    assert_eq!(drain(&mut *of_snapshot.unwrap()).0, content);
    drop(snapshot);
    let mut in_reverse = drain(&mut *reverse).0;
    in_reverse.reverse();
    assert_eq!(in_reverse, content);
    assert_eq!(refused(dir.path(), "", OpenMode::Create).kind(), ErrorKind::Locked);
    drop(reverse);
    assert_eq!(entries(&*open(dir.path())), content);
}

#[test]
fn a_cursor_that_skips_many_old_values_reads_each_key_once_with_its_last_value() {
    let dir = tempfile::tempdir().unwrap();
    let options = "write_buffer_bytes = \"64MiB\"";
    let storage = open_with(dir.path(), options, OpenMode::Create).unwrap();
    // Steps are slow where the first keys have many values, so that the cursor searches, and fast again behind.
    fill(&*storage, 1000, 10);
    for round in 0..3000u32 {
        let value = round.to_be_bytes().to_vec();
        let batch = batch_of((0..64u32).map(|n| (n.to_be_bytes().to_vec(), value.clone())));
        storage.write(&batch, Durability::Buffered).unwrap();
    }
    let expected: Entries = (0..1000u32)
        .map(|n| {
            if n < 64 {
                (n.to_be_bytes().to_vec(), 2999u32.to_be_bytes().to_vec())
            } else {
                entry(n, 10)
            }
        })
        .collect();
    assert_eq!(entries(&*storage), expected);
    let mut cursor = storage.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    let mut in_reverse = drain(&mut *cursor).0;
    in_reverse.reverse();
    assert_eq!(in_reverse, expected);
}

#[test]
fn a_range_deletes_what_is_stored_and_what_the_batch_put_before_it_and_nothing_later() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 1000, 10);
    put(&*storage, &[0xff; 511], b"last").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"before", b"");
    batch.delete_range(KeyRange::new(&2u32.to_be_bytes(), None));
    batch.put(b"after", b"");
    batch.delete_range(KeyRange::new(b"z", Some(b"a")));
    storage.write(&batch, Durability::Synced).unwrap();
    let keys: Vec<_> = entries(&*storage).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [vec![0; 4], vec![0, 0, 0, 1], b"after".to_vec()]);
}
