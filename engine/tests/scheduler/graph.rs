//! Which tasks wait for which.

use crate::conflicts::{of_all_pairs, tasks};
use crate::support::{number, set, task};
use proptest::prelude::*;
use std::collections::BTreeMap;
use supervm_engine::mvcc::{MvccStore, Txn};
use supervm_engine::scheduler::{
    ConflictDetector, DependencyGraph, ParallelScheduler, ReadWriteSet, Task, WorkStealingScheduler,
};

fn graph(tasks: &[ReadWriteSet]) -> DependencyGraph {
    DependencyGraph::new(&ConflictDetector::new(tasks))
}

fn levels(tasks: &[ReadWriteSet]) -> Vec<Vec<usize>> {
    graph(tasks).levels().map(<[usize]>::to_vec).collect()
}

#[test]
fn tasks_without_conflicts_are_one_level_and_none_are_no_level() {
    let tasks: Vec<_> =
        (0..5).map(|at| task(&["read"], &[["a", "b", "c", "d", "e"][at]])).collect();
    assert_eq!(levels(&tasks), [[0, 1, 2, 3, 4]]);
    assert_eq!(levels(&[]), [[0; 0]; 0]);
}

#[test]
fn a_chain_of_writes_has_a_level_and_a_dependency_a_task() {
    let tasks: Vec<_> = (0..100).map(|_| task(&["hot"], &["hot"])).collect();
    let graph = graph(&tasks);
    assert_eq!(graph.levels().len(), 100);
    assert_eq!(graph.dependencies(0), [0; 0]);
    for later in 1..100 {
        assert_eq!(graph.dependencies(later), [later - 1]);
    }
}

#[test]
fn readers_between_two_writers_run_in_parallel_after_the_one_and_before_the_other() {
    let (read, write) = (task(&["a"], &[]), task(&[], &["a"]));
    let tasks = [write.clone(), read.clone(), read.clone(), read, write];
    assert_eq!(levels(&tasks), [&[0][..], &[1, 2, 3], &[4]]);
    assert_eq!(graph(&tasks).dependencies(4), [1, 2, 3]);
}

#[test]
fn a_task_waits_for_the_longest_of_its_chains() {
    let tasks = [
        task(&[], &["a"]),
        task(&["a"], &["b"]),
        task(&[], &["c"]),
        task(&["b", "c"], &["d"]),
        task(&["c"], &[]),
    ];
    assert_eq!(levels(&tasks), [&[0, 2][..], &[1, 4], &[3]]);
}

#[test]
fn a_number_that_no_task_has_waits_for_nothing() {
    assert_eq!(graph(&[task(&[], &["a"])]).dependencies(1), [0; 0]);
}

/// Every pair that is connected, whatever lies between.
fn closure(tasks: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<bool>> {
    let mut reaches = vec![vec![false; tasks]; tasks];
    pairs.for_each(|(earlier, later)| reaches[later][earlier] = true);
    for later in 0..tasks {
        for middle in 0..later {
            if reaches[later][middle] {
                let (before, after) = reaches.split_at_mut(later);
                after[0].iter_mut().zip(&before[middle]).for_each(|(own, of)| *own |= of);
            }
        }
    }
    reaches
}

/// Reads what the task reads, and leaves in what it writes its number and what it saw.
fn touch(txn: &mut Txn, set_of: &ReadWriteSet, task: usize) -> supervm_plugin_sdk::Result<()> {
    let mut seen = task as u64 + 1;
    for key in set_of.reads() {
        let read = number(txn, &hex(key))?;
        seen = seen.wrapping_mul(31).wrapping_add(read);
    }
    set_of.writes().iter().try_for_each(|key| set(txn, &hex(key), seen))
}

fn hex(key: &[u8]) -> String {
    format!("{key:02x?}")
}

fn state(store: &MvccStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.begin_read_only().scan_prefix(b"", usize::MAX).unwrap().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn tasks_are_connected_when_their_conflicts_connect_them(tasks in tasks()) {
        let graph = graph(&tasks);
        let direct = (0..tasks.len()).flat_map(|later| {
            graph.dependencies(later).iter().map(move |&earlier| (earlier, later))
        });
        let direct: Vec<_> = direct.collect();
        prop_assert!(direct.iter().all(|(earlier, later)| earlier < later), "{:?}", direct);
        let conflicts = of_all_pairs(&tasks).into_iter().map(|one| (one.earlier, one.later));
        let expected = closure(tasks.len(), conflicts.clone());
        prop_assert_eq!(closure(tasks.len(), direct.iter().copied()), expected);
        let conflicts: Vec<_> = conflicts.collect();
        prop_assert!(direct.iter().all(|pair| conflicts.contains(pair)), "only what conflicts");
    }

    #[test]
    fn levels_hold_each_task_once_as_early_as_its_conflicts_allow(tasks in tasks()) {
        let mut level_of = vec![None; tasks.len()];
        for (level, of_level) in graph(&tasks).levels().enumerate() {
            prop_assert!(of_level.is_sorted() && !of_level.is_empty());
            for &task in of_level {
                prop_assert_eq!(level_of[task].replace(level), None);
            }
        }
        let mut expected = vec![0; tasks.len()];
        for conflict in of_all_pairs(&tasks) {
            expected[conflict.later] = expected[conflict.later].max(expected[conflict.earlier] + 1);
        }
        prop_assert_eq!(level_of, expected.into_iter().map(Some).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn levels_in_parallel_end_as_the_tasks_one_by_one_and_without_a_conflict(sets in tasks()) {
        let sequential = MvccStore::new();
        for (task, set_of) in sets.iter().enumerate() {
            let mut txn = sequential.begin();
            touch(&mut txn, set_of, task).unwrap();
            txn.commit().unwrap();
        }
        let transactions = ParallelScheduler::new(MvccStore::new());
        let mut scheduler = WorkStealingScheduler::new(4);
        for level in graph(&sets).levels() {
            for &task in level {
                let (transactions, set_of) = (&transactions, &sets[task]);
                let run = move |_: &_| {
                    transactions.execute_with_retry(|txn| touch(txn, set_of, task))
                };
                scheduler.submit(Task::new(0, run)).unwrap();
            }
            prop_assert_eq!(scheduler.execute_all().failed, 0);
        }
        prop_assert_eq!(transactions.get_stats().conflicts, 0);
        prop_assert_eq!(state(transactions.store()), state(&sequential));
    }
}
