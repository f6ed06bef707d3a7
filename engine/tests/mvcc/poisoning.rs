//! After a write that failed.

use crate::probe::{Panel, panel};
use crate::support::{eventually, keys, kind, latest, put, read, storage, write};
use std::sync::Arc;
use std::thread;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_plugin_sdk::{Effect, Error, ErrorKind};
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

/// The version in the context of an error of a commit.
fn version_of(error: &Error) -> Version {
    let version = error.context().find(|(name, _)| *name == "version").expect("it has a version");
    Version(version.1.parse().unwrap())
}

#[test]
fn the_error_of_a_commit_names_the_version_that_tells_after_the_next_open_whether_it_took_effect() {
    for (applied, effect) in [
        (Effect::NotApplied, Effect::NotApplied),
        (Effect::Unknown, Effect::Unknown),
        // It took effect, and a sync may have failed after that.
        (Effect::Applied, Effect::Unknown),
    ] {
        let name = format!("told {applied:?}");
        let place = Place::new(Box::leak(name.into_boxed_str()));
        let store = place.open();
        put(&store, &[("k", "1")]);
        place.panel.fail_writes(Some(applied));
        let mut txn = store.begin();
        write(&mut txn, "k", "2");
        let error = txn.commit().unwrap_err();
        place.panel.fail_writes(None);
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Io, effect));
        assert_eq!(version_of(&error), Version(2));
        assert_eq!(error.message().contains("nothing took effect"), effect == Effect::NotApplied);
        // It never had a version.
        let mut txn = store.begin();
        write(&mut txn, "k", "3");
        let refused = txn.commit().unwrap_err();
        assert_eq!(refused.effect(), Effect::NotApplied);
        assert!(refused.context().all(|(name, _)| name != "version"), "{refused}");
        let _ = store.storage().unwrap().close();
        drop(store);
        let store = place.open();
        let took_effect = store.last_version() >= version_of(&error);
        assert_eq!(took_effect, applied != Effect::NotApplied);
        assert_eq!(latest(&store, "k").as_deref(), Some(if took_effect { "2" } else { "1" }));
    }
}

#[test]
fn after_a_sync_that_failed_each_commit_learns_from_its_version_what_became_of_it() {
    let place = Place::new("failed sync");
    let options = "panel = \"failed sync\"\nconcurrent_flush = true";
    let open = || {
        let storage = storage("probe", place.dir.path(), options);
        MvccStore::open(storage, MvccConfig::default()).unwrap()
    };
    let store = open();
    put(&store, &[("k", "1")]);
    let large = |store: &MvccStore, first: u32| {
        let mut txn = store.begin();
        // Enough for a batch that is appended and synced after that.
        (0..20).for_each(|nth| write(&mut txn, &(first + nth).to_string(), "1"));
        txn.commit()
    };
    let flushes = place.panel.flushes_begun();
    let errors = thread::scope(|scope| {
        let gate = place.panel.hold_flushes();
        let store = &store;
        let first = scope.spawn(move || large(store, 0).unwrap_err());
        eventually("the first is synced", || place.panel.flushes_begun() > flushes);
        let begun = place.panel.writes_begun();
        let second = scope.spawn(move || large(store, 100).unwrap_err());
        eventually("the second is appended", || place.panel.writes_begun() > begun);
        let third = scope.spawn(move || large(store, 200).unwrap_err());
        eventually("the third has its version", || store.metrics().commits == 4);
        place.panel.fail_flushes();
        drop(gate);
        [first, second, third].map(|commit| commit.join().unwrap())
    });
    assert_eq!(store.last_version(), Version(1));
    assert!(errors.iter().all(|error| error.effect() == Effect::Unknown), "{errors:?}");
    assert_eq!(errors.each_ref().map(version_of), [2, 3, 4].map(Version));
    let _ = store.storage().unwrap().close();
    drop(store);
    let store = open();
    // What reached the log is there, and nothing behind it.
    let took_effect = errors.each_ref().map(|error| store.last_version() >= version_of(error));
    assert_eq!(took_effect, [true, true, false]);
    let found = ["0", "100", "200"].map(|key| latest(&store, key).is_some());
    assert_eq!(found, took_effect);
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
