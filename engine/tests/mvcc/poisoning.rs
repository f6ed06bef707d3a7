//! After a write that failed.

use crate::probe::{Panel, panel};
use crate::support::{eventually, keys, kind, latest, put, read, storage, write};
use std::sync::Arc;
use std::thread;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_plugin_sdk::{Effect, ErrorKind};
use tempfile::TempDir;

struct Place {
    panel: Arc<Panel>,
    name: &'static str,
    dir: TempDir,
}

impl Place {
    fn new(name: &'static str) -> Self {
        Self { panel: panel(name), name, dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> MvccStore {
        let options = format!("panel = \"{}\"", self.name);
        let storage = storage("probe", self.dir.path(), &options);
        MvccStore::open(storage, MvccConfig::default()).unwrap()
    }
}

/// Commits what fails, and returns the kind of the failure.
fn failed_commit(store: &MvccStore) -> ErrorKind {
    let mut txn = store.begin();
    write(&mut txn, "k", "failed");
    write(&mut txn, "new", "failed");
    kind(txn.commit())
}

#[test]
fn what_a_failed_write_did_not_write_never_becomes_visible() {
    let place = Place::new("failed");
    let store = place.open();
    put(&store, &[("k", "1")]);
    place.panel.fail_writes(Some(Effect::NotApplied));
    assert_eq!(failed_commit(&store), ErrorKind::Io);
    assert_eq!(store.last_version(), Version(1));
    for _ in 0..2 {
        assert_eq!(latest(&store, "k").as_deref(), Some("1"));
        assert_eq!(keys(&mut store.begin_read_only()), ["k"]);
        store.gc();
        store.evict();
    }
}

#[test]
fn after_a_failed_write_commits_are_refused_and_reads_go_on() {
    for effect in [Effect::NotApplied, Effect::Applied, Effect::Unknown] {
        let name = format!("refused {effect:?}");
        let place = Place::new(Box::leak(name.into_boxed_str()));
        let store = place.open();
        put(&store, &[("k", "1")]);
        let mut before = store.begin();
        place.panel.fail_writes(Some(effect));
        failed_commit(&store);
        place.panel.fail_writes(None);
        write(&mut before, "other", "1");
        assert_eq!(kind(before.commit()), ErrorKind::Poisoned);
        let mut after = store.begin();
        assert_eq!(read(&mut after, "k").as_deref(), Some("1"), "{effect:?}");
        write(&mut after, "other", "1");
        let refused = after.commit().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Poisoned);
        assert!(!refused.is_retryable());
        assert!(std::error::Error::source(&refused).is_some(), "it says what failed");
        store.begin().commit().unwrap();
    }
}

#[test]
fn a_store_opened_anew_after_a_failed_write_has_what_the_backend_has() {
    for (effect, expected) in [(Effect::NotApplied, "1"), (Effect::Applied, "failed")] {
        let name = format!("anew {effect:?}");
        let place = Place::new(Box::leak(name.into_boxed_str()));
        let store = place.open();
        put(&store, &[("k", "1")]);
        place.panel.fail_writes(Some(effect));
        failed_commit(&store);
        place.panel.fail_writes(None);
        let _ = store.storage().unwrap().close();
        drop(store);
        let store = place.open();
        assert_eq!(latest(&store, "k").as_deref(), Some(expected));
        let version = put(&store, &[("k", "2")]);
        assert_eq!(version, Version(if effect == Effect::NotApplied { 2 } else { 3 }));
        assert_eq!(latest(&store, "k").as_deref(), Some("2"));
    }
}

#[test]
fn all_that_wait_behind_a_failed_write_are_told() {
    let place = Place::new("waiting");
    let store = place.open();
    thread::scope(|scope| {
        let gate = place.panel.hold_writes();
        let store = &store;
        let waiting: Vec<_> = (0..5)
            .map(|number: u64| {
                let commit = scope.spawn(move || {
                    let mut txn = store.begin();
                    write(&mut txn, &number.to_string(), "1");
                    kind(txn.commit())
                });
                eventually("it is given its version", || store.metrics().commits == number + 1);
                commit
            })
            .collect();
        place.panel.fail_writes(Some(Effect::NotApplied));
        drop(gate);
        let mut told: Vec<_> = waiting.into_iter().map(|one| one.join().unwrap()).collect();
        let failed = told.iter().filter(|kind| **kind == ErrorKind::Io).count();
        assert_eq!(failed, 1, "the failure itself is told once: {told:?}");
        told.retain(|kind| *kind != ErrorKind::Io);
        assert!(told.iter().all(|kind| *kind == ErrorKind::Poisoned), "{told:?}");
    });
    assert_eq!(store.last_version(), Version::ZERO);
    assert!(keys(&mut store.begin()).is_empty());
    assert!(place.panel.content().is_empty());
}

/// Its thread goes on with the batch behind it, and that one fails.
#[test]
fn a_commit_that_was_written_is_told_so_whatever_becomes_of_the_one_behind_it() {
    let place = Place::new("written before");
    let store = place.open();
    let begun = place.panel.writes_begun();
    thread::scope(|scope| {
        let gate = place.panel.hold_writes();
        let commit = |key: &'static str| {
            let store = &store;
            scope.spawn(move || {
                let mut txn = store.begin();
                write(&mut txn, key, "1");
                txn.commit()
            })
        };
        let first = commit("first");
        eventually("it is being written", || place.panel.writes_begun() > begun);
        let second = commit("second");
        eventually("it is given its version", || store.metrics().commits == 2);
        place.panel.spare_writes(1);
        place.panel.fail_writes(Some(Effect::NotApplied));
        drop(gate);
        first.join().unwrap().unwrap();
        assert!(second.join().unwrap().is_err());
    });
    assert_eq!(store.last_version(), Version(1));
    assert_eq!(keys(&mut store.begin()), ["first"]);
}

#[test]
fn a_failed_read_does_not_poison() {
    let place = Place::new("failed read");
    let store = place.open();
    put(&store, &[("k", "1")]);
    store.evict();
    place.panel.fail_reads(1);
    assert!(store.begin().read(b"k").is_err());
    assert_eq!(put(&store, &[("k", "2")]), Version(2));
}
