//! Savepoints.

use crate::support::{delete, is_conflict, keys, kind, latest, on_stores, put, read, write};
use supervm_plugin_sdk::ErrorKind;

#[test]
fn rolling_back_undoes_writes_overwrites_and_deletes_since_the_savepoint() {
    on_stores(|store| {
        put(store, &[("stored", "0"), ("deleted", "0")]);
        let mut txn = store.begin();
        write(&mut txn, "own", "before");
        let savepoint = txn.savepoint();
        write(&mut txn, "own", "after");
        write(&mut txn, "own", "after that");
        write(&mut txn, "new", "after");
        write(&mut txn, "stored", "after");
        delete(&mut txn, "deleted");
        txn.rollback_to(savepoint).unwrap();
        assert_eq!(txn.writes_len(), 1);
        assert_eq!(read(&mut txn, "own").as_deref(), Some("before"));
        assert_eq!(read(&mut txn, "new"), None);
        assert_eq!(read(&mut txn, "stored").as_deref(), Some("0"));
        assert_eq!(keys(&mut txn), ["deleted", "own", "stored"]);
        txn.commit().unwrap();
        assert_eq!(latest(store, "own").as_deref(), Some("before"));
        assert_eq!(latest(store, "deleted").as_deref(), Some("0"));
    });
}

#[test]
fn a_savepoint_can_be_rolled_back_to_again_and_ends_those_after_it() {
    on_stores(|store| {
        let mut txn = store.begin();
        let outer = txn.savepoint();
        write(&mut txn, "a", "1");
        let inner = txn.savepoint();
        write(&mut txn, "a", "2");
        txn.rollback_to(inner).unwrap();
        assert_eq!(read(&mut txn, "a").as_deref(), Some("1"));
        write(&mut txn, "a", "3");
        txn.rollback_to(inner).unwrap();
        assert_eq!(read(&mut txn, "a").as_deref(), Some("1"));
        txn.rollback_to(outer).unwrap();
        assert_eq!(read(&mut txn, "a"), None);
        assert_eq!(kind(txn.rollback_to(inner)), ErrorKind::InvalidArgument);
        write(&mut txn, "a", "4");
        txn.rollback_to(outer).unwrap();
        assert_eq!(txn.writes_len(), 0);
    });
}

#[test]
fn releasing_keeps_what_was_done_and_an_outer_savepoint_still_undoes_it() {
    on_stores(|store| {
        let mut txn = store.begin();
        write(&mut txn, "a", "0");
        let outer = txn.savepoint();
        write(&mut txn, "a", "1");
        let inner = txn.savepoint();
        write(&mut txn, "a", "2");
        write(&mut txn, "b", "2");
        txn.release(inner).unwrap();
        assert_eq!(read(&mut txn, "a").as_deref(), Some("2"));
        assert_eq!(kind(txn.release(inner)), ErrorKind::InvalidArgument);
        assert_eq!(kind(txn.rollback_to(inner)), ErrorKind::InvalidArgument);
        txn.rollback_to(outer).unwrap();
        assert_eq!(read(&mut txn, "a").as_deref(), Some("0"));
        assert_eq!(read(&mut txn, "b"), None);
        txn.release(outer).unwrap();
        write(&mut txn, "c", "3");
        txn.commit().unwrap();
        assert_eq!(keys(&mut store.begin()), ["a", "c"]);
    });
}

#[test]
fn releasing_an_outer_savepoint_ends_the_inner_ones() {
    on_stores(|store| {
        let mut txn = store.begin();
        let outer = txn.savepoint();
        let inner = txn.savepoint();
        write(&mut txn, "a", "1");
        txn.release(outer).unwrap();
        assert_eq!(kind(txn.rollback_to(inner)), ErrorKind::InvalidArgument);
        txn.commit().unwrap();
        assert_eq!(latest(store, "a").as_deref(), Some("1"));
    });
}

#[test]
fn rolling_back_many_writes_finds_the_others_again() {
    on_stores(|store| {
        let mut txn = store.begin();
        let key = |number: u32| format!("k{number:03}");
        (0..20).for_each(|number| write(&mut txn, &key(number), "kept"));
        let savepoint = txn.savepoint();
        (0..100).for_each(|number| write(&mut txn, &key(number), "undone"));
        txn.rollback_to(savepoint).unwrap();
        assert_eq!(txn.writes_len(), 20);
        assert!((0..20).all(|number| read(&mut txn, &key(number)).as_deref() == Some("kept")));
        assert!((20..100).all(|number| read(&mut txn, &key(number)).is_none()));
        (0..40).for_each(|number| write(&mut txn, &key(number), "again"));
        txn.commit().unwrap();
        assert_eq!(keys(&mut store.begin()).len(), 40);
    });
}

#[test]
fn reads_stay_in_the_conflict_check_after_a_rollback() {
    on_stores(|store| {
        put(store, &[("read", "1")]);
        let mut txn = store.begin();
        let savepoint = txn.savepoint();
        read(&mut txn, "read");
        txn.rollback_to(savepoint).unwrap();
        write(&mut txn, "decided", "1");
        put(store, &[("read", "2")]);
        assert!(is_conflict(txn.commit()));
    });
}

#[test]
fn writes_that_were_rolled_back_do_not_conflict() {
    on_stores(|store| {
        let mut txn = store.begin();
        let savepoint = txn.savepoint();
        write(&mut txn, "k", "undone");
        txn.rollback_to(savepoint).unwrap();
        write(&mut txn, "other", "1");
        put(store, &[("k", "2")]);
        txn.commit().unwrap();
        assert_eq!(latest(store, "k").as_deref(), Some("2"));
    });
}

#[test]
fn a_savepoint_of_another_transaction_is_refused() {
    on_stores(|store| {
        let (mut one, mut two) = (store.begin(), store.begin());
        let (of_one, _) = (one.savepoint(), two.savepoint());
        write(&mut two, "k", "1");
        assert_eq!(kind(two.rollback_to(of_one)), ErrorKind::InvalidArgument);
        assert_eq!(kind(two.release(of_one)), ErrorKind::InvalidArgument);
        assert_eq!(two.writes_len(), 1);
    });
}
