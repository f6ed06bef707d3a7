//! What a store over a backend reads from it, writes to it, and finds there again.

use crate::probe::panel;
use crate::support::{
    delete, keys, latest, over_memory, put, read, remove, reopened, storage, write,
};
use supervm_engine::layout::{
    ChangedKeys, HistoryMode, Meta, Version, change_log_key, history_key, latest_key, put_record,
    split_record,
};
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::storage::Storage;

fn default() -> MvccConfig {
    MvccConfig::default()
}

fn with_history(mode: HistoryMode) -> MvccConfig {
    MvccConfig { history: Some(mode), ..default() }
}

/// What lies under the key of the newest value of `key`.
fn stored(storage: &Storage, key: &str) -> Option<(Version, Vec<u8>)> {
    let mut stored = Vec::new();
    latest_key(key.as_bytes(), &mut stored);
    let record = storage.get(&stored).unwrap()?;
    let (version, value) = split_record(&record).unwrap();
    Some((version, value.to_vec()))
}

#[test]
fn what_was_committed_is_there_after_reopening_and_versions_go_on() {
    let (store, dir) = over_memory(default());
    put(&store, &[("a", "1"), ("b", "1")]);
    put(&store, &[("a", "2")]);
    remove(&store, "b");
    let store = reopened(store, &dir, default());
    assert_eq!(store.last_version(), Version(3));
    assert_eq!(store.begin().read_version(), Version(3));
    assert_eq!(keys(&mut store.begin()), ["a"]);
    assert_eq!(latest(&store, "a").as_deref(), Some("2"));
    assert_eq!(latest(&store, "b"), None);
    assert_eq!(put(&store, &[("a", "3")]), Version(4), "above the persisted ones");
    let store = reopened(store, &dir, default());
    assert_eq!(store.last_version(), Version(4));
    assert_eq!(latest(&store, "a").as_deref(), Some("3"));
}

#[test]
fn an_opened_store_reads_values_when_they_are_asked_for() {
    let (store, dir) = over_memory(default());
    put(&store, &[("a", "1"), ("b", "1"), ("c", "1")]);
    let store = reopened(store, &dir, default());
    assert_eq!((store.metrics().cells, store.metrics().loads), (0, 0));
    let mut txn = store.begin();
    assert_eq!(read(&mut txn, "a").as_deref(), Some("1"));
    assert_eq!(read(&mut txn, "a").as_deref(), Some("1"));
    assert_eq!(read(&mut txn, "absent"), None);
    assert_eq!(read(&mut txn, "absent"), None);
    assert_eq!((store.metrics().cells, store.metrics().loads), (2, 2), "each once");
}

#[test]
fn opening_reads_meta_alone() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let storage = storage("probe", dir.path(), "panel = \"opening\"");
        MvccStore::open(storage, default()).unwrap()
    };
    let store = open();
    for number in 0..100 {
        put(&store, &[(&number.to_string(), "1")]);
    }
    store.storage().unwrap().close().unwrap();
    drop(store);
    let before = panel("opening").reads();
    let store = open();
    assert!(panel("opening").reads() - before < 10, "{}", panel("opening").reads() - before);
    assert_eq!(store.last_version(), Version(100));
}

#[test]
fn a_value_comes_with_the_version_that_wrote_it() {
    let (store, dir) = over_memory(default());
    put(&store, &[("a", "1")]);
    put(&store, &[("b", "1")]);
    let store = reopened(store, &dir, with_history(HistoryMode::Archive));
    put(&store, &[("a", "2")]);
    let mut key = Vec::new();
    history_key(b"a", Version(3), &mut key);
    let old = store.storage().unwrap().get(&key).unwrap().unwrap();
    assert_eq!(split_record(&old).unwrap(), (Version(1), &b"1"[..]));
}

#[test]
fn the_backend_has_the_newest_value_under_its_version_and_no_deleted_key() {
    let (store, _dir) = over_memory(default());
    put(&store, &[("a", "1"), ("b", "1")]);
    let mut txn = store.begin();
    write(&mut txn, "a", "2");
    write(&mut txn, "a", "3");
    delete(&mut txn, "b");
    txn.commit().unwrap();
    let storage = store.storage().unwrap();
    assert_eq!(stored(storage, "a"), Some((Version(2), b"3".to_vec())));
    assert_eq!(stored(storage, "b"), None);
    assert_eq!(Meta::read(storage).unwrap().last_version, Version(2));
}

#[test]
fn an_archive_has_old_values_and_the_keys_that_each_version_changed() {
    let (store, _dir) = over_memory(with_history(HistoryMode::Archive));
    put(&store, &[("a", "1")]);
    put(&store, &[("a", "2"), ("b", "2")]);
    remove(&store, "a");
    let storage = store.storage().unwrap();
    let old = |key: &str, superseded_at| {
        let mut stored = Vec::new();
        history_key(key.as_bytes(), Version(superseded_at), &mut stored);
        storage.get(&stored).unwrap()
    };
    let record = |version, value: &str| {
        let mut record = Vec::new();
        put_record(Version(version), value.as_bytes(), &mut record);
        Some(record)
    };
    assert_eq!(old("a", 1), None, "there was nothing before");
    assert_eq!(old("a", 2), record(1, "1"));
    assert_eq!(old("a", 3), record(2, "2"));
    assert_eq!(old("b", 2), None);
    let changed = |version| -> Vec<Vec<u8>> {
        let part = storage.get(&change_log_key(Version(version), 0)).unwrap().unwrap();
        let mut keys: Vec<_> = ChangedKeys::new(&part).map(|key| key.unwrap().to_vec()).collect();
        keys.sort();
        keys
    };
    assert_eq!(changed(1), [b"a"]);
    assert_eq!(changed(2), [b"a", b"b"]);
    assert_eq!(changed(3), [b"a"]);
}

#[test]
fn the_history_mode_can_be_changed_while_the_store_is_open() {
    let (store, dir) = over_memory(default());
    let floor = |store: &MvccStore| Meta::read(store.storage().unwrap()).unwrap().floor;
    put(&store, &[("a", "1")]);
    put(&store, &[("a", "2")]);
    store.set_history_mode(HistoryMode::Archive).unwrap();
    let kept_from = store.last_version();
    assert_eq!(floor(&store), kept_from, "of what was not kept, nothing can be read");
    let third = put(&store, &[("a", "3")]);
    let store = reopened(store, &dir, default());
    let fourth = put(&store, &[("a", "4")]);
    let meta = Meta::read(store.storage().unwrap()).unwrap();
    assert_eq!((meta.history, meta.floor), (HistoryMode::Archive, kept_from));
    let is_kept = |store: &MvccStore, superseded_at| {
        let mut key = Vec::new();
        history_key(b"a", superseded_at, &mut key);
        store.storage().unwrap().get(&key).unwrap().is_some()
    };
    assert!(is_kept(&store, third) && is_kept(&store, fourth));
    store.set_history_mode(HistoryMode::None).unwrap();
    assert_eq!(floor(&store), store.last_version());
    let fifth = put(&store, &[("a", "5")]);
    assert!(!is_kept(&store, fifth));
    assert_eq!(latest(&store, "a").as_deref(), Some("5"));
}

#[test]
fn a_history_mode_means_nothing_in_memory() {
    let store = MvccStore::new();
    put(&store, &[("a", "1")]);
    store.set_history_mode(HistoryMode::Archive).unwrap();
    put(&store, &[("a", "2")]);
    assert!(store.storage().is_none());
    assert_eq!(store.evict(), 0);
}

#[test]
fn a_store_that_held_no_chain_state_is_empty() {
    let (store, _dir) = over_memory(default());
    assert_eq!(store.last_version(), Version::ZERO);
    assert_eq!(latest(&store, "k"), None);
    assert!(keys(&mut store.begin()).is_empty());
}

#[test]
fn values_of_every_length_come_back_from_the_backend() {
    let (store, dir) = over_memory(default());
    let value = |length: usize| vec![length as u8; length];
    let lengths = [0, 1, 13, 14, 15, 16, 1_000, 100_000];
    let mut txn = store.begin();
    for length in lengths {
        txn.write(format!("{length}").as_bytes(), &value(length)).unwrap();
    }
    txn.commit().unwrap();
    let store = reopened(store, &dir, default());
    for length in lengths {
        let found = store.begin().read(format!("{length}").as_bytes()).unwrap();
        assert_eq!(found, Some(value(length)), "{length}");
    }
}

#[test]
fn a_read_that_fails_is_an_error_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage("probe", dir.path(), "panel = \"reads\"");
    let store = MvccStore::open(storage, default()).unwrap();
    put(&store, &[("k", "1")]);
    store.evict();
    panel("reads").fail_reads(1);
    let mut txn = store.begin();
    assert!(txn.read(b"k").is_err());
    assert_eq!(read(&mut txn, "k").as_deref(), Some("1"));
    store.evict();
    drop(txn);
    store.evict();
    panel("reads").fail_reads(1);
    let mut txn = store.begin();
    assert!(txn.write(b"k", b"2").is_err());
    assert_eq!(txn.writes_len(), 0);
    write(&mut txn, "k", "2");
    txn.commit().unwrap();
    assert_eq!(latest(&store, "k").as_deref(), Some("2"));
}
