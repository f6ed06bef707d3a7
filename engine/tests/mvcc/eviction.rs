//! The bound on memory of a store over a backend.

use crate::support::{
    Random, delete, keys, kind, latest, over_memory, put, read, remove, reopened, seed, write,
};
use std::thread;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_plugin_sdk::ErrorKind;

const KEYS: u64 = 4_000;

/// Reads `key` in a transaction that remembers it, which brings it into memory.
fn load(store: &MvccStore, key: u64) -> Option<String> {
    read(&mut store.begin(), &key.to_string())
}

fn bounded(memory_bytes_max: usize) -> MvccConfig {
    MvccConfig { memory_bytes_max, ..MvccConfig::default() }
}

fn filled(config: MvccConfig, value: &str) -> (MvccStore, tempfile::TempDir) {
    let (store, dir) = over_memory(config);
    for chunk in 0..KEYS / 100 {
        let mut txn = store.begin();
        (0..100).for_each(|n| write(&mut txn, &(chunk * 100 + n).to_string(), value));
        txn.commit().unwrap();
    }
    (store, dir)
}

#[test]
fn memory_stays_below_its_bound_and_everything_is_read_back() {
    const BOUND: usize = 200_000;
    let value = "v".repeat(100);
    let (store, _dir) = filled(bounded(BOUND), &value);
    for round in 0..3 {
        for key in 0..KEYS {
            assert_eq!(load(&store, key).as_ref(), Some(&value));
            let metrics = store.metrics();
            // What one transaction needs at once, and one key.
            assert!(metrics.memory_bytes < BOUND as u64 + 30_000, "{round} {metrics:?}");
            // A cell of this size has about 230 bytes, whatever the store says.
            assert!(metrics.cells * 230 < 2 * BOUND as u64, "{round} {metrics:?}");
        }
    }
    assert!(store.metrics().evictions > 2 * KEYS);
}

#[test]
fn evicting_lets_everything_leave_that_nobody_needs() {
    let (store, _dir) = filled(MvccConfig::default(), "1");
    assert_eq!(store.metrics().cells, KEYS);
    assert_eq!(store.evict() as u64, KEYS);
    assert_eq!((store.metrics().cells, store.metrics().memory_bytes), (0, 0));
    assert_eq!(keys(&mut store.begin()).len() as u64, KEYS);
    assert_eq!(latest(&store, "7").as_deref(), Some("1"));
}

#[test]
fn a_key_whose_older_version_a_reader_needs_stays() {
    let (store, _dir) = over_memory(MvccConfig::default());
    put(&store, &[("k", "1"), ("same", "1"), ("gone", "1")]);
    let mut reader = store.begin_read_only();
    put(&store, &[("k", "2"), ("new", "2")]);
    remove(&store, "gone");
    assert_eq!(store.evict(), 1, "only the key that did not change");
    assert_eq!(read(&mut reader, "k").as_deref(), Some("1"));
    assert_eq!(read(&mut reader, "gone").as_deref(), Some("1"));
    assert_eq!(read(&mut reader, "new"), None);
    assert_eq!(keys(&mut reader), ["gone", "k", "same"]);
    drop(reader);
    store.evict();
    assert_eq!(store.metrics().cells, 0);
    assert_eq!(keys(&mut store.begin()), ["k", "new", "same"]);
}

#[test]
fn a_key_that_a_transaction_read_or_writes_stays() {
    let (store, _dir) = over_memory(MvccConfig::default());
    put(&store, &[("read", "1"), ("written", "1"), ("free", "1")]);
    let mut txn = store.begin();
    read(&mut txn, "read");
    write(&mut txn, "written", "2");
    assert_eq!(store.evict(), 1);
    txn.commit().unwrap();
    store.evict();
    assert_eq!(latest(&store, "written").as_deref(), Some("2"));
}

#[test]
fn the_estimate_of_memory_is_of_what_is_there() {
    let (store, _dir) = filled(MvccConfig::default(), &"v".repeat(100));
    let each = store.metrics().memory_bytes / KEYS;
    assert!((150..400).contains(&each), "{each} bytes");
    store.evict();
    let mut txn = store.begin();
    for round in 1..=5 {
        // Half of what is loaded is held, and the rest leaves.
        (0..KEYS / 2).for_each(|key| drop(read(&mut txn, &key.to_string())));
        (KEYS / 2..KEYS).for_each(|key| drop(load(&store, key)));
        assert_eq!(store.evict() as u64, KEYS / 2);
        let metrics = store.metrics();
        assert_eq!(metrics.cells, KEYS / 2);
        let now = metrics.memory_bytes / metrics.cells;
        assert!(now.abs_diff(each) <= 40, "round {round}: {now} bytes a key, first {each}");
    }
}

#[test]
fn the_estimate_of_memory_returns_to_nothing_when_all_keys_were_deleted() {
    crate::support::on_stores(|store| {
        for round in 0..50 {
            let mut txn = store.begin();
            (0..100).for_each(|n| write(&mut txn, &n.to_string(), "some value that is not short"));
            txn.commit().unwrap();
            let mut txn = store.begin();
            (0..100).for_each(|n| delete(&mut txn, &n.to_string()));
            txn.commit().unwrap();
            store.gc();
            let metrics = store.metrics();
            assert_eq!((metrics.cells, metrics.memory_bytes), (0, 0), "round {round}");
        }
    });
}

#[test]
fn keys_count_towards_the_bound_too() {
    let (store, _dir) = over_memory(bounded(100_000));
    for number in 0..2_000 {
        let key = format!("{number:0>400}");
        put(&store, &[(&key, "1")]);
        // A cell with such a key has more than 500 bytes.
        let cells = store.metrics().cells;
        assert!(cells * 500 < 150_000, "{cells} cells after {number}");
    }
}

#[test]
fn versions_of_keys_that_are_written_again_and_again_do_not_pass_the_bound() {
    const BOUND: u64 = 100_000;
    let (store, _dir) = over_memory(bounded(BOUND as usize));
    let value = "v".repeat(1_000);
    for n in 0..2_000 {
        put(&store, &[(&(n % 10).to_string(), &value)]);
        let memory = store.metrics().memory_bytes;
        assert!(memory < 2 * BOUND, "{memory} bytes after {n} commits");
    }
}

#[test]
fn keys_that_are_used_again_and_again_stay_while_others_pass_by() {
    const HOT: u64 = 50;
    let (store, _dir) = filled(bounded(200_000), "some value that is not short");
    (0..HOT).for_each(|key| drop(load(&store, key)));
    let mut reloads = 0;
    for passing in HOT..KEYS {
        assert!(load(&store, passing).is_some());
        let before = store.metrics().loads;
        assert!(load(&store, passing % HOT).is_some());
        reloads += store.metrics().loads - before;
    }
    assert!(store.metrics().evictions > KEYS / 2, "{:?}", store.metrics());
    assert!(reloads <= 2 * HOT, "{reloads} of {} reads came from the backend", KEYS - HOT);
}

#[test]
fn one_read_makes_room_for_little_more_than_itself() {
    const MANY: u64 = 40_000;
    let (store, dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    (0..MANY).for_each(|key| write(&mut txn, &key.to_string(), "1"));
    txn.commit().unwrap();
    let store = reopened(store, &dir, bounded(2_000_000));
    // All of them are held, and far above the bound; then all may leave at once.
    let mut holder = store.begin();
    (0..MANY).for_each(|key| drop(read(&mut holder, &key.to_string())));
    assert!(store.metrics().memory_bytes > 3_000_000);
    drop(holder);
    let mut most = 0;
    for key in 0..2_000 {
        let before = store.metrics().evictions;
        assert_eq!(load(&store, MANY + key), None);
        most = most.max(store.metrics().evictions - before);
    }
    assert!((1..=1_024).contains(&most), "one read let {most} cells leave");
    assert!(store.metrics().memory_bytes < 2_000_000 + 30_000, "{:?}", store.metrics());
}

#[test]
fn reading_each_key_once_displaces_nothing() {
    let (store, dir) = filled(MvccConfig::default(), "1");
    let store = reopened(store, &dir, MvccConfig::default());
    (0..100).for_each(|key| drop(load(&store, key)));
    let cells = store.metrics().cells;
    for key in 100..KEYS {
        assert_eq!(latest(&store, &key.to_string()).as_deref(), Some("1"));
    }
    assert_eq!(latest(&store, "absent"), None);
    // A few share their place among the remembered keys with one that came before.
    assert!(store.metrics().cells < cells + 200, "{:?}", store.metrics());
    let loads = |store: &MvccStore| store.metrics().loads;
    assert_eq!(latest(&store, "3999").as_deref(), Some("1"));
    let before = loads(&store);
    assert_eq!(latest(&store, "3999").as_deref(), Some("1"));
    assert_eq!(loads(&store), before, "a key that is read again is in memory");
}

#[test]
fn a_key_that_is_read_past_memory_is_read_as_of_the_transactions_version() {
    let (store, dir) = over_memory(MvccConfig::default());
    put(&store, &[("changed", "1"), ("deleted", "1"), ("same", "1")]);
    let store = reopened(store, &dir, MvccConfig::default());
    let (mut before, mut other) = (store.begin_read_only(), store.begin_read_only());
    put(&store, &[("changed", "2"), ("new", "2")]);
    remove(&store, "deleted");
    for _ in 0..2 {
        let seen = ["changed", "deleted", "new", "same"].map(|key| read(&mut before, key));
        assert_eq!(seen.map(|value| value.is_some()), [true, true, false, true]);
        assert_eq!(read(&mut before, "changed").as_deref(), Some("1"));
    }
    store.gc();
    assert_eq!(read(&mut other, "deleted").as_deref(), Some("1"));
    assert_eq!(latest(&store, "changed").as_deref(), Some("2"));
    assert_eq!(latest(&store, "deleted"), None);
}

/// Overwrites a few keys until what an older reader needs has come to 60 MB.
fn overwrite_much(store: &MvccStore) -> u64 {
    let value = "v".repeat(100_000);
    let commits = (0..600).map(|n: u64| {
        put(store, &[(&(n % 8).to_string(), &value)]);
        store.metrics().memory_bytes
    });
    commits.max().unwrap()
}

#[test]
fn the_oldest_readers_expire_before_memory_passes_its_bound_by_far() {
    const BOUND: usize = 4 << 20;
    let (store, _dir) = over_memory(bounded(BOUND));
    put(&store, &[("0", "old"), ("untouched", "old"), ("other", "old")]);
    let mut reader = store.begin_read_only();
    let mut writer = store.begin();
    write(&mut writer, "untouched", "new");
    let most = overwrite_much(&store);
    assert!(most < 2 * BOUND as u64 + (18 << 20), "{most} bytes");
    for txn in [&mut reader, &mut writer] {
        assert_eq!(kind(txn.read(b"0")), ErrorKind::SnapshotExpired);
        let scanned = txn.scan_prefix(b"", 10);
        assert_eq!(kind(scanned), ErrorKind::SnapshotExpired);
    }
    let refused = writer.commit().expect_err("what it read is not known any more");
    assert_eq!(refused.kind(), ErrorKind::SnapshotExpired);
    assert!(refused.is_retryable());
    drop(reader);
    // Who begins anew goes on.
    assert_eq!(latest(&store, "untouched").as_deref(), Some("old"));
    put(&store, &[("untouched", "new")]);
    assert_eq!(store.metrics().transactions, 0);
}

#[test]
fn a_reader_of_the_newest_version_does_not_expire() {
    let (store, _dir) = over_memory(bounded(1 << 20));
    put(&store, &[("k", "1")]);
    let mut holder = store.begin();
    // Far above the bound, by what this transaction itself holds.
    for number in 0..300 {
        write(&mut holder, &format!("{number:0>400}"), &"v".repeat(100_000));
    }
    let mut reader = store.begin_read_only();
    (0..2_000).for_each(|key| assert_eq!(load(&store, key), None));
    assert_eq!(read(&mut reader, "k").as_deref(), Some("1"));
    holder.commit().unwrap();
}

#[test]
fn a_transaction_that_holds_too_many_keys_is_refused_by_name() {
    let config = MvccConfig { transaction_bytes_max: 100_000, ..MvccConfig::default() };
    crate::support::on_both(&config, |store| {
        let mut txn = store.begin();
        let refused = (0..).find_map(|key: u64| txn.read(key.to_string().as_bytes()).err());
        let refused = refused.expect("there is a bound");
        assert_eq!(refused.kind(), ErrorKind::QuotaFull, "{refused}");
        drop(txn);
        let mut txn = store.begin();
        let refused = (0..2_000).find_map(|key: u64| txn.write(&key.to_be_bytes(), b"1").err());
        assert_eq!(refused.expect("there is a bound").kind(), ErrorKind::QuotaFull);
        let mut reader = store.begin_read_only();
        (0..2_000).for_each(|key: u64| assert_eq!(read(&mut reader, &key.to_string()), None));
        put(store, &[("after", "1")]);
    });
}

#[test]
fn evicting_beside_writers_and_scanners_loses_nothing() {
    let seed = seed();
    let (store, _dir) = filled(bounded(100_000), "0");
    thread::scope(|scope| {
        for thread in 0..2 {
            let store = &store;
            scope.spawn(move || {
                let mut random = Random(seed + thread);
                for _ in 0..3_000 {
                    let key = (random.below(KEYS / 2) * 2 + thread).to_string();
                    let mut txn = store.begin();
                    let before: u64 = read(&mut txn, &key).unwrap().parse().unwrap();
                    random.maybe_yield();
                    write(&mut txn, &key, &(before + 1).to_string());
                    txn.commit().unwrap();
                }
            });
        }
        let store = &store;
        scope.spawn(move || {
            for _ in 0..30 {
                let mut txn = store.begin_read_only();
                assert_eq!(keys(&mut txn).len() as u64, KEYS);
                store.evict();
                assert_eq!(keys(&mut txn).len() as u64, KEYS);
            }
        });
    });
    store.evict();
    let sum: u64 = (0..KEYS)
        .map(|key| latest(&store, &key.to_string()).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, 6_000);
}
