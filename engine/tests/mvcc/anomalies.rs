//! The ten anomalies of Hermitage, each as one interleaving, at both levels of isolation.
//!
//! In each a transaction is refused, or sees what rules the anomaly out. The names are those of Adya's "Weak Consistency: A Generalized
//! Theory and Optimistic Implementations for Distributed Transactions" (1999) and of Bailis et al., "Highly Available Transactions" (2013).
//!
//! Source: Martin Kleppmann, Hermitage. Every case begins with `1 = 10` and `2 = 20`.

use crate::support::{delete, entries, is_conflict, latest, on_stores, put, read, write};
use supervm_engine::mvcc::Isolation::{Serializable, Snapshot};
use supervm_engine::mvcc::{Isolation, MvccStore, Txn};
use supervm_plugin_sdk::{Direction, KeyRange};

/// Runs `case` on fresh stores at each level.
fn at_both_levels(case: impl Fn(&MvccStore, Isolation)) {
    for level in [Serializable, Snapshot] {
        on_stores(|store| {
            put(store, &[("1", "10"), ("2", "20")]);
            case(store, level);
        });
    }
}

fn sees(txn: &mut Txn, expected: [&str; 2]) {
    assert_eq!([read(txn, "1"), read(txn, "2")], expected.map(|value| Some(value.to_owned())));
}

fn left(store: &MvccStore, expected: [&str; 2]) {
    sees(&mut store.begin_read_only(), expected);
}

/// The keys whose value `holds`, as a query with a condition finds them.
fn matching(txn: &mut Txn, holds: impl Fn(u32) -> bool) -> Vec<String> {
    let all = entries(txn, KeyRange::ALL, Direction::Forward, usize::MAX);
    all.into_iter().filter(|(_, value)| holds(value.parse().unwrap())).map(|(key, _)| key).collect()
}

#[test]
fn g0_dirty_write_is_ruled_out() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        write(&mut one, "1", "11");
        write(&mut two, "1", "12");
        write(&mut one, "2", "21");
        one.commit().unwrap();
        left(store, ["11", "21"]);
        write(&mut two, "2", "22");
        assert!(is_conflict(two.commit()));
        left(store, ["11", "21"]);
    });
}

#[test]
fn g1a_aborted_read_is_ruled_out() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        write(&mut one, "1", "101");
        sees(&mut two, ["10", "20"]);
        one.abort();
        sees(&mut two, ["10", "20"]);
        two.commit().unwrap();
    });
}

#[test]
fn g1b_intermediate_read_is_ruled_out() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        write(&mut one, "1", "101");
        sees(&mut two, ["10", "20"]);
        write(&mut one, "1", "11");
        one.commit().unwrap();
        sees(&mut two, ["10", "20"]);
        two.commit().unwrap();
        left(store, ["11", "20"]);
    });
}

#[test]
fn g1c_circular_information_flow_is_ruled_out() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        write(&mut one, "1", "11");
        write(&mut two, "2", "22");
        assert_eq!(read(&mut one, "2").as_deref(), Some("20"));
        assert_eq!(read(&mut two, "1").as_deref(), Some("10"));
        one.commit().unwrap();
        // Neither saw the other: that is write skew, which only the stronger level refuses.
        assert_eq!(is_conflict(two.commit()), level == Serializable);
    });
}

#[test]
fn otv_observed_transaction_vanishes_is_ruled_out() {
    at_both_levels(|store, level| {
        let [mut one, mut two, mut three] = [(); 3].map(|()| store.begin_with(level));
        write(&mut one, "1", "11");
        write(&mut one, "2", "19");
        write(&mut two, "1", "12");
        one.commit().unwrap();
        assert_eq!(read(&mut three, "1").as_deref(), Some("10"));
        write(&mut two, "2", "18");
        assert_eq!(read(&mut three, "2").as_deref(), Some("20"));
        assert!(is_conflict(two.commit()));
        sees(&mut three, ["10", "20"]);
        three.commit().unwrap();
        left(store, ["11", "19"]);
        sees(&mut store.begin_with(level), ["11", "19"]);
    });
}

#[test]
fn pmp_predicate_many_preceders_is_ruled_out_for_reads() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        assert!(matching(&mut one, |value| value == 30).is_empty());
        write(&mut two, "3", "30");
        two.commit().unwrap();
        assert!(matching(&mut one, |value| value % 3 == 0).is_empty());
        one.commit().unwrap();
    });
}

#[test]
fn pmp_predicate_many_preceders_is_ruled_out_for_writes() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        write(&mut one, "1", "20");
        write(&mut one, "2", "30");
        for key in matching(&mut two, |value| value == 20) {
            assert_eq!(key, "2");
            delete(&mut two, &key);
        }
        one.commit().unwrap();
        assert!(is_conflict(two.commit()));
        left(store, ["20", "30"]);
    });
}

#[test]
fn p4_lost_update_is_ruled_out() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        assert_eq!(read(&mut one, "1").as_deref(), Some("10"));
        assert_eq!(read(&mut two, "1").as_deref(), Some("10"));
        write(&mut one, "1", "11");
        write(&mut two, "1", "11");
        one.commit().unwrap();
        assert!(is_conflict(two.commit()));
        assert_eq!(latest(store, "1").as_deref(), Some("11"));
    });
}

#[test]
fn g_single_read_skew_is_ruled_out() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        assert_eq!(read(&mut one, "1").as_deref(), Some("10"));
        sees(&mut two, ["10", "20"]);
        write(&mut two, "1", "12");
        write(&mut two, "2", "18");
        two.commit().unwrap();
        assert_eq!(read(&mut one, "2").as_deref(), Some("20"));
        one.commit().unwrap();
        left(store, ["12", "18"]);
    });
}

#[test]
fn g_single_read_skew_is_ruled_out_for_a_predicate() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        assert_eq!(matching(&mut one, |value| value % 5 == 0), ["1", "2"]);
        write(&mut two, "1", "12");
        two.commit().unwrap();
        assert!(matching(&mut one, |value| value % 3 == 0).is_empty());
        one.commit().unwrap();
    });
}

#[test]
fn g_single_read_skew_is_ruled_out_for_a_write_that_rests_on_it() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        assert_eq!(read(&mut one, "1").as_deref(), Some("10"));
        sees(&mut two, ["10", "20"]);
        write(&mut two, "1", "12");
        write(&mut two, "2", "18");
        two.commit().unwrap();
        for key in matching(&mut one, |value| value == 20) {
            delete(&mut one, &key);
        }
        assert!(is_conflict(one.commit()));
        left(store, ["12", "18"]);
    });
}

#[test]
fn g2_item_write_skew_is_ruled_out_at_serializable_and_allowed_at_snapshot() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        sees(&mut one, ["10", "20"]);
        sees(&mut two, ["10", "20"]);
        write(&mut one, "1", "11");
        write(&mut two, "2", "21");
        one.commit().unwrap();
        assert_eq!(is_conflict(two.commit()), level == Serializable);
        left(store, ["11", if level == Serializable { "20" } else { "21" }]);
    });
}

#[test]
fn g2_anti_dependency_cycle_is_ruled_out_at_serializable_and_allowed_at_snapshot() {
    at_both_levels(|store, level| {
        let (mut one, mut two) = (store.begin_with(level), store.begin_with(level));
        assert!(matching(&mut one, |value| value % 3 == 0).is_empty());
        assert!(matching(&mut two, |value| value % 3 == 0).is_empty());
        write(&mut one, "3", "30");
        write(&mut two, "4", "42");
        one.commit().unwrap();
        assert_eq!(is_conflict(two.commit()), level == Serializable);
        let found = matching(&mut store.begin_read_only(), |value| value % 3 == 0);
        assert_eq!(found.len(), if level == Serializable { 1 } else { 2 });
    });
}

#[test]
fn g2_anti_dependency_cycle_through_a_reader_is_ruled_out_at_serializable() {
    at_both_levels(|store, level| {
        let mut one = store.begin_with(level);
        assert_eq!(matching(&mut one, |_| true), ["1", "2"]);
        let mut two = store.begin_with(level);
        assert_eq!(read(&mut two, "2").as_deref(), Some("20"));
        write(&mut two, "2", "25");
        two.commit().unwrap();
        let mut reader = store.begin_with(level);
        sees(&mut reader, ["10", "25"]);
        reader.commit().unwrap();
        // In the order that the reader saw, the second comes before the first, which did not see it.
        write(&mut one, "1", "0");
        assert_eq!(is_conflict(one.commit()), level == Serializable);
    });
}
