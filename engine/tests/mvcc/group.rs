//! Group commit, and how durable a commit is.

use crate::probe::{Panel, panel};
use crate::support::{eventually, kind, latest, over_memory, put, storage, write};
use std::sync::Arc;
use std::thread;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{Acknowledgement, CommitOptions, MvccConfig, MvccStore};
use supervm_plugin_sdk::{Durability, ErrorKind};
use tempfile::TempDir;

fn over_probe(name: &str) -> (MvccStore, Arc<Panel>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage("probe", dir.path(), &format!("panel = \"{name}\""));
    let store = MvccStore::open(storage, MvccConfig::default()).unwrap();
    panel(name).take_written();
    (store, panel(name), dir)
}

fn commit(store: &MvccStore, key: &str, acknowledgement: Option<Acknowledgement>) -> Version {
    let mut txn = store.begin();
    write(&mut txn, key, "1");
    txn.commit_with(CommitOptions { acknowledgement, ..CommitOptions::default() }).unwrap()
}

#[test]
fn many_committers_share_one_batch() {
    const COMMITTERS: usize = 20;
    let (store, panel, _dir) = over_probe("group");
    thread::scope(|scope| {
        let gate = panel.hold_writes();
        let (store, panel) = (&store, &panel);
        // The first one writes, and waits at the gate; the others gather behind it.
        for number in 0..=COMMITTERS {
            scope.spawn(move || commit(store, &number.to_string(), None));
            eventually("the commit is given its version", || {
                store.metrics().commits == number as u64 + 1
            });
        }
        assert_eq!(store.last_version(), Version::ZERO, "visible is what is written");
        assert_eq!(latest(store, "0"), None);
        assert!(panel.take_written().is_empty());
        drop(gate);
    });
    assert_eq!(store.last_version(), Version(COMMITTERS as u64 + 1));
    let written = panel.take_written();
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(written[1].operations >= COMMITTERS);
    let metrics = store.metrics();
    assert_eq!((metrics.groups, metrics.largest_group), (2, COMMITTERS as u64));
}

#[test]
fn a_commit_is_one_batch_whatever_it_writes() {
    let (store, panel, _dir) = over_probe("one batch");
    let mut txn = store.begin();
    (0..100).for_each(|n| write(&mut txn, &n.to_string(), "1"));
    txn.commit().unwrap();
    assert_eq!(panel.take_written().len(), 1);
    store.begin().commit().unwrap();
    assert!(panel.take_written().is_empty(), "nothing to write");
}

#[test]
fn a_durable_commit_is_synced_and_a_visible_one_is_not() {
    let (store, panel, _dir) = over_probe("durable");
    let durabilities = |acknowledgement| {
        commit(&store, "k", acknowledgement);
        panel.take_durabilities()
    };
    assert_eq!(durabilities(Some(Acknowledgement::Durable)), [Durability::Synced]);
    assert_eq!(durabilities(Some(Acknowledgement::Visible)), [Durability::Buffered]);
    assert_eq!(durabilities(None), [Durability::Synced], "as the storage was opened");
}

#[test]
fn a_batch_is_synced_when_one_of_its_commits_asks_for_it() {
    let (store, panel, _dir) = over_probe("mixed");
    thread::scope(|scope| {
        let gate = panel.hold_writes();
        let store = &store;
        let asked = [Acknowledgement::Visible, Acknowledgement::Durable, Acknowledgement::Visible];
        for (number, asked) in asked.into_iter().enumerate() {
            scope.spawn(move || commit(store, &number.to_string(), Some(asked)));
            eventually("it is given its version", || store.metrics().commits == number as u64 + 1);
        }
        drop(gate);
    });
    assert_eq!(panel.take_durabilities(), [Durability::Buffered, Durability::Synced]);
}

#[test]
fn durable_is_refused_where_nothing_can_be_synced() {
    let (store, _dir) = over_memory(MvccConfig::default());
    let mut txn = store.begin();
    write(&mut txn, "k", "1");
    let acknowledgement = Some(Acknowledgement::Durable);
    let outcome = txn.commit_with(CommitOptions { acknowledgement, ..CommitOptions::default() });
    assert_eq!(kind(outcome), ErrorKind::Unsupported);
    assert_eq!(store.last_version(), Version::ZERO);
    commit(&store, "k", Some(Acknowledgement::Visible));
}

#[test]
fn in_memory_an_acknowledgement_means_nothing() {
    let store = MvccStore::new();
    commit(&store, "a", Some(Acknowledgement::Durable));
    commit(&store, "b", Some(Acknowledgement::Visible));
    assert_eq!(store.last_version(), Version(2));
}

#[test]
fn a_conflict_is_found_against_commits_that_are_not_written_yet() {
    let (store, panel, _dir) = over_probe("pending");
    thread::scope(|scope| {
        let gate = panel.hold_writes();
        let store = &store;
        scope.spawn(move || put(store, &[("k", "1")]));
        eventually("it is given its version", || store.metrics().commits == 1);
        let mut late = store.begin();
        assert_eq!(crate::support::read(&mut late, "k"), None);
        write(&mut late, "k", "2");
        assert_eq!(kind(late.commit()), ErrorKind::Conflict);
        drop(gate);
    });
    assert_eq!(latest(&store, "k").as_deref(), Some("1"));
}

#[test]
fn garbage_collection_and_eviction_keep_what_is_not_written_yet() {
    let (store, panel, _dir) = over_probe("unwritten");
    put(&store, &[("k", "1"), ("deleted", "1")]);
    thread::scope(|scope| {
        let gate = panel.hold_writes();
        let store = &store;
        scope.spawn(move || {
            let mut txn = store.begin();
            write(&mut txn, "k", "2");
            crate::support::delete(&mut txn, "deleted");
            txn.commit().unwrap();
        });
        eventually("it is given its version", || store.metrics().commits == 2);
        store.gc();
        store.evict();
        assert_eq!(latest(store, "k").as_deref(), Some("1"));
        assert_eq!(latest(store, "deleted").as_deref(), Some("1"));
        drop(gate);
    });
    assert_eq!(latest(&store, "k").as_deref(), Some("2"));
    assert_eq!(latest(&store, "deleted"), None);
}
