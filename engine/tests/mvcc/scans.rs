//! Ordered reads.

use crate::support::{
    delete, entries, is_conflict, keys, on_stores, over_memory, put, read, remove, write,
};
use supervm_engine::mvcc::{Isolation, MvccConfig, MvccStore, Txn};
use supervm_plugin_sdk::Direction::{Forward, Reverse};
use supervm_plugin_sdk::{Direction, KeyRange};

const ALL: KeyRange<'static> = KeyRange::ALL;

fn scanned(txn: &mut Txn, range: KeyRange<'_>, direction: Direction, limit: usize) -> String {
    let found = entries(txn, range, direction, limit);
    found.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn range<'a>(start: &'a str, end: &'a str) -> KeyRange<'a> {
    KeyRange::new(start.as_bytes(), Some(end.as_bytes()))
}

#[test]
fn a_scan_has_the_range_in_order_in_both_directions_up_to_its_limit() {
    on_stores(|store| {
        put(store, &[("b", "2"), ("d", "4"), ("a", "1"), ("c", "3")]);
        let txn = &mut store.begin();
        assert_eq!(scanned(txn, ALL, Forward, 9), "a=1 b=2 c=3 d=4");
        assert_eq!(scanned(txn, ALL, Reverse, 9), "d=4 c=3 b=2 a=1");
        assert_eq!(scanned(txn, range("b", "d"), Forward, 9), "b=2 c=3");
        assert_eq!(scanned(txn, range("b", "d"), Reverse, 1), "c=3");
        assert_eq!(scanned(txn, ALL, Forward, 2), "a=1 b=2");
        assert_eq!(scanned(txn, ALL, Forward, 0), "");
        assert_eq!(scanned(txn, range("d", "b"), Forward, 9), "");
        assert_eq!(scanned(txn, KeyRange::new(b"c", None), Reverse, 9), "d=4 c=3");
    });
}

#[test]
fn a_scan_sees_own_writes_and_not_own_deletes_in_both_directions() {
    on_stores(|store| {
        put(store, &[("a", "1"), ("b", "1"), ("c", "1")]);
        let txn = &mut store.begin();
        write(txn, "b", "own");
        write(txn, "bb", "own");
        delete(txn, "c");
        write(txn, "0", "own");
        assert_eq!(scanned(txn, ALL, Forward, 9), "0=own a=1 b=own bb=own");
        assert_eq!(scanned(txn, ALL, Reverse, 9), "bb=own b=own a=1 0=own");
    });
}

#[test]
fn a_scan_is_of_the_moment_its_transaction_began() {
    on_stores(|store| {
        put(store, &[("a", "1"), ("b", "1"), ("c", "1")]);
        for is_evicted in [false, true] {
            if is_evicted {
                store.evict();
            }
            let txn = &mut store.begin_read_only();
            put(store, &[("a", "2"), ("aa", "2")]);
            remove(store, "b");
            for direction in [Forward, Reverse] {
                let mut found = entries(txn, ALL, direction, 9);
                found.sort();
                let found: Vec<_> = found.iter().map(|(k, v)| format!("{k}={v}")).collect();
                assert_eq!(found, ["a=1", "b=1", "c=1"], "{is_evicted} {direction:?}");
            }
            put(store, &[("a", "1"), ("b", "1")]);
            remove(store, "aa");
        }
    });
}

#[test]
fn a_prefix_scan_excludes_keys_after_the_prefix() {
    on_stores(|store| {
        let mut txn = store.begin();
        for key in [&b"a"[..], b"ab", b"ab\xff", b"ac", b"\xff", b"\xff\xff\x01"] {
            txn.write(key, b"").unwrap();
        }
        txn.commit().unwrap();
        let mut txn = store.begin();
        let mut keys = |prefix: &[u8]| -> Vec<Vec<u8>> {
            let found = txn.scan_prefix(prefix, 99).unwrap();
            found.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(b"ab"), [&b"ab"[..], b"ab\xff"]);
        assert_eq!(keys(b"\xff"), [&b"\xff"[..], b"\xff\xff\x01"]);
        assert_eq!(keys(b"\xff\xff"), [b"\xff\xff\x01"]);
        assert_eq!(keys(b"").len(), 6);
        assert!(keys(b"b").is_empty());
    });
}

#[test]
fn a_scan_merges_what_is_in_memory_with_what_only_the_backend_has() {
    let (store, _dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    for number in 0..2_000 {
        write(&mut txn, &format!("k{number:04}"), &number.to_string());
    }
    txn.commit().unwrap();
    assert_eq!(store.evict(), 2_000);
    assert_eq!(store.metrics().cells, 0);
    put(&store, &[("k0500", "changed"), ("k0500+", "new")]);
    remove(&store, "k0501");
    let mut txn = store.begin();
    let forward = entries(&mut txn, ALL, Forward, 9_999);
    let mut backward = entries(&mut txn, ALL, Reverse, 9_999);
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), 2_000);
    assert_eq!(forward[500].1, "changed");
    assert_eq!(forward[501].0, "k0500+");
    assert_eq!(forward[502].0, "k0502");
    assert!(store.metrics().cells < 10, "a scan brings nothing into memory");
}

#[test]
fn a_scan_of_many_keys_in_memory_has_each_once() {
    on_stores(|store| {
        let mut txn = store.begin();
        (0..1_000).for_each(|number| write(&mut txn, &format!("k{number:04}"), ""));
        txn.commit().unwrap();
        let expected: Vec<_> = (0..1_000).map(|number| format!("k{number:04}")).collect();
        let mut txn = store.begin();
        assert_eq!(keys(&mut txn), expected);
        let mut backward: Vec<_> =
            entries(&mut txn, ALL, Reverse, 9_999).into_iter().map(|(key, _)| key).collect();
        backward.reverse();
        assert_eq!(backward, expected);
    });
}

#[test]
fn a_visit_ends_when_it_is_told_to() {
    on_stores(|store| {
        put(store, &[("a", "1"), ("b", "2"), ("c", "3")]);
        let mut seen = Vec::new();
        let mut txn = store.begin();
        txn.visit(ALL, Forward, |key, _| {
            seen.push(key.to_vec());
            seen.len() < 2
        })
        .unwrap();
        assert_eq!(seen, [b"a", b"b"]);
    });
}

type Change = fn(&mut Txn);

/// Scans as `scan` says, then another transaction makes the `change`; is the scanner refused?
fn is_refused(
    store: &MvccStore,
    isolation: Isolation,
    scan: impl FnOnce(&mut Txn),
    change: impl FnOnce(&mut Txn),
) -> bool {
    for key in keys(&mut store.begin()) {
        remove(store, &key);
    }
    put(store, &[("b", "1"), ("d", "1"), ("f", "1")]);
    let mut scanner = store.begin_with(isolation);
    scan(&mut scanner);
    write(&mut scanner, "result", "");
    let mut other = store.begin();
    change(&mut other);
    other.commit().unwrap();
    is_conflict(scanner.commit())
}

#[test]
fn a_serializable_commit_fails_when_a_range_that_it_scanned_changed() {
    let scan = |txn: &mut Txn| drop(entries(txn, range("a", "e"), Forward, 9));
    let changes: [(&str, Change); 3] = [
        ("a key appeared", |txn| write(txn, "c", "2")),
        ("a key changed", |txn| write(txn, "d", "2")),
        ("a key vanished", |txn| delete(txn, "b")),
    ];
    on_stores(|store| {
        for (what, change) in changes {
            assert!(is_refused(store, Isolation::Serializable, scan, change), "{what}");
            assert!(!is_refused(store, Isolation::Snapshot, scan, change), "{what}");
        }
        let after = |txn: &mut Txn| write(txn, "e", "2");
        assert!(!is_refused(store, Isolation::Serializable, scan, after), "the end is excluded");
    });
}

#[test]
fn a_change_of_a_key_that_only_the_backend_had_is_noticed_in_a_scanned_range() {
    let (store, _dir) = over_memory(MvccConfig::default());
    let scan = |txn: &mut Txn| {
        store.evict();
        entries(txn, range("a", "e"), Forward, 9);
        store.evict();
    };
    for change in [|txn: &mut Txn| write(txn, "d", "2"), |txn: &mut Txn| delete(txn, "d")] {
        assert!(is_refused(&store, Isolation::Serializable, scan, change));
    }
}

#[test]
fn a_scan_that_its_limit_ended_conflicts_only_up_to_where_it_got() {
    let forward = |txn: &mut Txn| drop(entries(txn, ALL, Forward, 2));
    let reverse = |txn: &mut Txn| drop(entries(txn, ALL, Reverse, 2));
    let at = |key: &'static str| move |txn: &mut Txn| write(txn, key, "2");
    on_stores(|store| {
        let level = Isolation::Serializable;
        assert!(is_refused(store, level, forward, at("a")));
        assert!(is_refused(store, level, forward, at("d")), "the last one that was seen");
        assert!(!is_refused(store, level, forward, at("e")));
        assert!(is_refused(store, level, reverse, at("g")));
        assert!(is_refused(store, level, reverse, at("d")));
        assert!(!is_refused(store, level, reverse, at("c")));
    });
}

#[test]
fn a_phantom_that_was_deleted_again_is_a_conflict_still() {
    on_stores(|store| {
        let mut scanner = store.begin();
        assert!(keys(&mut scanner).is_empty());
        put(store, &[("phantom", "1")]);
        remove(store, "phantom");
        store.gc();
        write(&mut scanner, "count", "0");
        assert!(is_conflict(scanner.commit()));
    });
}

#[test]
fn a_scan_does_not_conflict_with_the_transaction_s_own_writes() {
    on_stores(|store| {
        let mut txn = store.begin();
        write(&mut txn, "a", "1");
        keys(&mut txn);
        write(&mut txn, "b", "1");
        assert_eq!(read(&mut txn, "b").as_deref(), Some("1"));
        txn.commit().unwrap();
        assert_eq!(keys(&mut store.begin()), ["a", "b"]);
    });
}

/// A transaction's own writes lie between those of others, over several pages, in both directions.
#[test]
fn a_scan_sees_own_writes_among_many_others_and_no_longer_after_a_rollback() {
    on_stores(|store| {
        let key = |n: u32| format!("{n:0>5}");
        let mut txn = store.begin();
        (0..1_200).filter(|n| n % 2 == 0).for_each(|n| write(&mut txn, &key(n), "stored"));
        txn.commit().unwrap();
        let expected = |of: &dyn Fn(u32) -> Option<&'static str>| -> Vec<(String, String)> {
            (0..1_200).filter_map(|n| Some((key(n), of(n)?.to_owned()))).collect()
        };
        let check = |txn: &mut Txn, of: &dyn Fn(u32) -> Option<&'static str>| {
            let mut expected = expected(of);
            let forward = entries(txn, KeyRange::ALL, Direction::Forward, usize::MAX);
            assert_eq!(forward, expected);
            expected.reverse();
            let reverse = entries(txn, KeyRange::ALL, Direction::Reverse, usize::MAX);
            assert_eq!(reverse, expected);
        };
        let stored = |n: u32| n.is_multiple_of(2).then_some("stored");
        let mut txn = store.begin();
        check(&mut txn, &stored);
        (0..1_200).filter(|n| n % 3 == 0).for_each(|n| write(&mut txn, &key(n), "own"));
        let first = |n: u32| if n.is_multiple_of(3) { Some("own") } else { stored(n) };
        check(&mut txn, &first);
        let savepoint = txn.savepoint();
        (0..1_200).filter(|n| n % 5 == 0).for_each(|n| delete(&mut txn, &key(n)));
        (0..1_200).filter(|n| n % 7 == 0).for_each(|n| write(&mut txn, &key(n), "late"));
        check(&mut txn, &|n| match () {
            () if n % 7 == 0 => Some("late"),
            () if n % 5 == 0 => None,
            () => first(n),
        });
        txn.rollback_to(savepoint).unwrap();
        check(&mut txn, &first);
        // What others write meanwhile is not seen, wherever it lies.
        let mut other = store.begin();
        (0..1_200).for_each(|n| match n % 4 {
            0 => delete(&mut other, &key(n)),
            _ => write(&mut other, &key(n), "other"),
        });
        other.commit().unwrap();
        store.gc();
        store.evict();
        check(&mut txn, &first);
        assert!(is_conflict(txn.commit()));
        check(&mut store.begin(), &|n| (n % 4 != 0).then_some("other"));
    });
}
