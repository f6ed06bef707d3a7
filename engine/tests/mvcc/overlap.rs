//! Batches that are appended while others are synced, over a backend that can do both at a time.

use crate::probe::{Panel, panel};
use crate::support::{eventually, keys, kind, latest, put, storage, write};
use std::sync::Arc;
use std::thread;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_plugin_sdk::{Durability, Effect, ErrorKind, Result};
use tempfile::TempDir;

/// Keys of a commit whose batch is appended by itself.
const MANY: usize = 20;

struct Place {
    store: MvccStore,
    panel: Arc<Panel>,
    _dir: TempDir,
}

impl Place {
    fn new(name: &str, concurrent_flush: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("panel = \"{name}\"\nconcurrent_flush = {concurrent_flush}");
        let store = MvccStore::open(storage("probe", dir.path(), &options), MvccConfig::default());
        panel(name).take_written();
        Self { store: store.unwrap(), panel: panel(name), _dir: dir }
    }

    /// Commits [`MANY`] keys that begin with `name`.
    fn commit_many(&self, name: &str) -> Result<Version> {
        let mut txn = self.store.begin();
        (0..MANY).for_each(|number| write(&mut txn, &format!("{name}{number:02}"), "1"));
        txn.commit()
    }

    /// Begins a commit for each of `names`, one behind the other: the first one waits in its sync, and each has its version.
    fn commit_behind<'a>(
        &'a self,
        scope: &'a thread::Scope<'a, '_>,
        names: &[&'static str],
    ) -> Vec<thread::ScopedJoinHandle<'a, Result<Version>>> {
        let before = self.store.metrics().commits;
        let mut commits = Vec::new();
        for (number, &name) in names.iter().enumerate() {
            commits.push(scope.spawn(move || self.commit_many(name)));
            eventually("it is given its version", || {
                self.store.metrics().commits == before + number as u64 + 1
            });
            if number == 0 {
                eventually("it is synced", || self.panel.flushes_begun() == 1);
            }
        }
        commits
    }
}

#[test]
fn a_batch_is_appended_while_another_one_is_synced_and_is_visible_when_it_is_synced_itself() {
    let place = Place::new("appended", true);
    thread::scope(|scope| {
        let gate = place.panel.hold_flushes();
        let commits = place.commit_behind(scope, &["a", "b"]);
        eventually("the second one is appended", || place.panel.writes_begun() == 2);
        assert_eq!(place.store.last_version(), Version::ZERO);
        assert_eq!(latest(&place.store, "a00"), None);
        drop(gate);
        for commit in commits {
            commit.join().unwrap().unwrap();
        }
    });
    assert_eq!(place.panel.take_durabilities(), [Durability::Buffered; 2]);
    assert_eq!((place.panel.flushes(), place.store.metrics().groups), (2, 2));
    assert_eq!(keys(&mut place.store.begin()).len(), 2 * MANY);
}

#[test]
fn one_batch_at_a_time_is_appended_and_those_behind_it_gather() {
    let place = Place::new("one ahead", true);
    thread::scope(|scope| {
        let gate = place.panel.hold_flushes();
        let commits = place.commit_behind(scope, &["a", "b", "c", "d"]);
        drop(gate);
        for commit in commits {
            commit.join().unwrap().unwrap();
        }
    });
    let sizes: Vec<_> = place.panel.take_written().iter().map(|one| one.operations).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[0] < 2 * MANY && sizes[1] < 2 * MANY && sizes[2] >= 2 * MANY, "{sizes:?}");
    assert_eq!((place.panel.flushes(), place.store.metrics().largest_group), (3, 2));
}

#[test]
fn a_small_batch_is_written_and_synced_at_once() {
    let place = Place::new("small", true);
    put(&place.store, &[("k", "1")]);
    assert_eq!(place.panel.take_durabilities(), [Durability::Synced]);
    assert_eq!(place.panel.flushes(), 0);
}

#[test]
fn a_backend_that_cannot_do_both_at_a_time_is_never_asked_to() {
    let place = Place::new("not concurrent", false);
    place.commit_many("a").unwrap();
    assert_eq!(place.panel.take_durabilities(), [Durability::Synced]);
    assert_eq!(place.panel.flushes_begun(), 0);
}

#[test]
fn when_a_sync_fails_nothing_of_it_or_of_what_was_appended_meanwhile_becomes_visible() {
    let place = Place::new("sync fails", true);
    thread::scope(|scope| {
        let gate = place.panel.hold_flushes();
        let commits = place.commit_behind(scope, &["a", "b"]);
        eventually("the second one is appended", || place.panel.writes_begun() == 2);
        place.panel.fail_flushes();
        drop(gate);
        let told: Vec<_> = commits.into_iter().map(|commit| kind(commit.join().unwrap())).collect();
        assert_eq!(told, [ErrorKind::Io, ErrorKind::Poisoned]);
    });
    assert_eq!(place.store.last_version(), Version::ZERO);
    assert!(keys(&mut place.store.begin()).is_empty());
    assert_eq!(kind(place.commit_many("c")), ErrorKind::Poisoned);
}

#[test]
fn a_batch_that_cannot_be_appended_is_followed_by_none_and_those_before_it_are_written() {
    let place = Place::new("append fails", true);
    thread::scope(|scope| {
        let gate = place.panel.hold_flushes();
        let mut first = place.commit_behind(scope, &["a"]);
        place.panel.fail_writes(Some(Effect::NotApplied));
        let failed = scope.spawn(|| place.commit_many("b"));
        eventually("it has failed", || place.panel.writes_failed() == 1);
        place.panel.fail_writes(None);
        let behind = scope.spawn(|| place.commit_many("c"));
        eventually("it is given its version", || place.store.metrics().commits == 3);
        drop(gate);
        first.remove(0).join().unwrap().unwrap();
        assert!(failed.join().unwrap().is_err());
        assert!(behind.join().unwrap().is_err());
    });
    assert_eq!(place.store.last_version(), Version(1));
    assert_eq!(keys(&mut place.store.begin()).len(), MANY);
    assert_eq!(place.panel.take_written().len(), 1, "none behind the one that is missing");
}

#[test]
fn commits_of_every_size_from_many_threads_are_all_written_in_their_order() {
    const THREADS: usize = 8;
    const COMMITS: usize = 400;
    let place = Place::new("many", true);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &place.store;
            scope.spawn(move || {
                for commit in 0..COMMITS {
                    let mut txn = store.begin();
                    for number in 0..=commit % MANY {
                        write(&mut txn, &format!("{thread}/{number}"), &commit.to_string());
                    }
                    let version = txn.commit().unwrap();
                    assert!(store.last_version() >= version, "acknowledged is visible");
                }
            });
        }
    });
    assert_eq!(place.store.last_version(), Version((THREADS * COMMITS) as u64));
    assert!(place.panel.flushes() > 0);
    for thread in 0..THREADS {
        let last = latest(&place.store, &format!("{thread}/0"));
        assert_eq!(last, Some((COMMITS - 1).to_string()));
    }
}
