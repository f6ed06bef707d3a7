//! Which tasks conflict.

use crate::support::task;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use supervm_engine::mvcc::MvccStore;
use supervm_engine::runtime::Receipt;
use supervm_engine::scheduler::{Conflict, ConflictDetector, ConflictKind, ReadWriteSet};
use supervm_engine::state::{Changes, Journal, TxnView};
use supervm_plugin_sdk::ByteBuf;

/// Sets of up to a dozen tasks over few keys, so that they meet; some come twice.
pub(crate) fn tasks() -> impl Strategy<Value = Vec<ReadWriteSet>> {
    let keys = || vec(0..6_u8, 0..4);
    let set = (keys(), keys()).prop_map(|(reads, writes)| {
        let set = reads.into_iter().fold(ReadWriteSet::new(), |set, key| set.reading([key]));
        writes.into_iter().fold(set, |set, key| set.writing([key]))
    });
    vec(set, 0..12)
}

/// The conflicts of all pairs, by comparing their keys one by one.
pub(crate) fn of_all_pairs(tasks: &[ReadWriteSet]) -> Vec<Conflict> {
    let meet = |one: &[Box<[u8]>], other: &[Box<[u8]>]| one.iter().any(|key| other.contains(key));
    let mut conflicts = Vec::new();
    for (later, second) in tasks.iter().enumerate() {
        for (earlier, first) in tasks[..later].iter().enumerate() {
            let kind = if meet(first.writes(), second.writes()) {
                ConflictKind::WriteWrite
            } else if meet(first.writes(), second.reads()) || meet(first.reads(), second.writes()) {
                ConflictKind::ReadWrite
            } else {
                continue;
            };
            conflicts.push(Conflict { earlier, later, kind });
        }
    }
    conflicts
}

fn conflicts(tasks: &[ReadWriteSet]) -> Vec<(usize, usize, ConflictKind)> {
    let found = ConflictDetector::new(tasks).conflicts();
    found.into_iter().map(|one| (one.earlier, one.later, one.kind)).collect()
}

#[test]
fn two_tasks_that_write_a_key_conflict() {
    let tasks = [task(&[], &["a", "b"]), task(&[], &["c", "b"])];
    assert_eq!(conflicts(&tasks), [(0, 1, ConflictKind::WriteWrite)]);
}

#[test]
fn a_task_that_reads_a_key_conflicts_with_one_that_writes_it_whichever_is_first() {
    let tasks = [task(&["a"], &[]), task(&[], &["a", "b"]), task(&["b"], &["c"])];
    let expected = [(0, 1, ConflictKind::ReadWrite), (1, 2, ConflictKind::ReadWrite)];
    assert_eq!(conflicts(&tasks), expected);
}

#[test]
fn tasks_that_read_the_same_keys_do_not_conflict() {
    assert_eq!(conflicts(&[task(&["a"], &["b"]), task(&["a"], &["c"]), task(&["a"], &[])]), []);
}

#[test]
fn tasks_that_touch_nothing_in_common_do_not_conflict() {
    assert_eq!(conflicts(&[task(&["a"], &["b"]), task(&["c"], &["d"]), task(&[], &[])]), []);
    assert_eq!(conflicts(&[]), []);
}

#[test]
fn a_task_does_not_conflict_with_itself() {
    assert_eq!(conflicts(&[task(&["a", "a"], &["a", "b", "b"])]), []);
}

#[test]
fn a_pair_is_found_once_however_many_keys_it_has_in_common_and_both_writing_counts_more() {
    let tasks = [task(&["a", "b"], &["c", "d"]), task(&["c", "c"], &["a", "b", "d", "d"])];
    assert_eq!(conflicts(&tasks), [(0, 1, ConflictKind::WriteWrite)]);
}

#[test]
fn of_tasks_that_write_one_key_all_pairs_conflict() {
    let tasks: Vec<_> = (0..100).map(|_| task(&["hot"], &["hot"])).collect();
    let found = conflicts(&tasks);
    assert_eq!(found.len(), 100 * 99 / 2);
    assert!(found.is_sorted_by_key(|&(earlier, later, _)| (later, earlier)));
}

#[test]
fn what_a_call_read_and_changed_is_a_set_of_state_keys() {
    let (one, two) = ([1; 20], [2; 20]);
    let mut journal = Journal::new(TxnView::new(MvccStore::new().begin()));
    journal.get(&one, b"read", &mut ByteBuf::new()).unwrap();
    journal.set(&one, b"written", b"1");
    journal.delete(&two, b"deleted");
    let changes = journal.into_changes();
    let key = |contract: [u8; 20], key: &[u8]| [&contract[..], key].concat();
    let expected = ReadWriteSet::new()
        .reading(key(one, b"read"))
        .writing(key(one, b"written"))
        .writing(key(two, b"deleted"));
    assert_eq!(ReadWriteSet::from(&changes), expected);
    let Changes { reads, writes, events } = changes;
    let receipt = Receipt { reads, writes, events, ..Receipt::default() };
    assert_eq!(ReadWriteSet::from(&receipt), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_detector_finds_what_a_comparison_of_all_pairs_finds(tasks in tasks()) {
        let detector = ConflictDetector::new(&tasks);
        prop_assert_eq!(detector.conflicts(), of_all_pairs(&tasks));
        let keys = tasks.iter().flat_map(|task| task.reads().iter().chain(task.writes()));
        prop_assert_eq!(detector.keys(), keys.collect::<BTreeSet<_>>().len());
        prop_assert_eq!(detector.tasks(), tasks.len());
    }
}
