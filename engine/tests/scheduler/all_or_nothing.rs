//! Many operations as one transaction.

use crate::support::{
    add, get_in_the_way, keys, kind, latest, number, on_stores, refused, set, timed,
};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use supervm_engine::mvcc::{Clock, Txn};
use supervm_engine::scheduler::{ExecutionStats, ParallelConfig};
use supervm_plugin_sdk::{ErrorKind, Result};

type Operation<'a> = Box<dyn FnMut(&mut Txn) -> Result<u64> + 'a>;

#[test]
fn operations_run_in_order_each_on_what_those_before_it_wrote_in_one_version() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let before = scheduler.store().last_version();
        let mut operations: Vec<Operation<'_>> = vec![
            Box::new(|txn| set(txn, "a", 7).map(|()| 0)),
            Box::new(|txn| number(txn, "a")),
            Box::new(|txn| txn.delete(b"a").map(|()| 1)),
            Box::new(|txn| add(txn, "b", 5).and_then(|()| number(txn, "a"))),
        ];
        assert_eq!(scheduler.execute_batch(&mut operations).unwrap(), [0, 7, 1, 0]);
        assert_eq!(keys(scheduler.store()), ["b"]);
        assert_eq!(scheduler.store().last_version(), before.next());
        let expected = ExecutionStats { successful: 1, ..ExecutionStats::default() };
        assert_eq!(scheduler.get_stats(), expected, "a batch is one execution");
    });
}

#[test]
fn an_operation_that_fails_leaves_nothing_of_any_and_those_after_it_do_not_run() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        scheduler.execute_with_retry(|txn| set(txn, "kept", 1)).unwrap();
        for failing in 0..4 {
            let ran = RefCell::new(Vec::new());
            let ran = &ran;
            let operation = |number| {
                move |txn: &mut Txn| {
                    ran.borrow_mut().push(number);
                    txn.delete(b"kept")?;
                    set(txn, &format!("of {number}"), 1)?;
                    if number == failing { Err(refused()) } else { Ok(()) }
                }
            };
            let error = scheduler.execute_batch(&mut [0, 1, 2, 3].map(operation)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let context: Vec<_> = error.context().collect();
            assert_eq!(context, [("failed_operation", failing.to_string().as_str())]);
            assert_eq!(*ran.borrow(), (0..=failing).collect::<Vec<_>>());
            assert_eq!(keys(scheduler.store()), ["kept"]);
        }
    });
}

#[test]
fn an_operation_that_panics_leaves_nothing_of_any() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let mut operations: Vec<Operation<'_>> = vec![
            Box::new(|txn| set(txn, "a", 1).map(|()| 0)),
            Box::new(|_| panic!("in the middle")),
            Box::new(|txn| set(txn, "b", 1).map(|()| 0)),
        ];
        assert_eq!(kind(scheduler.execute_batch(&mut operations)), ErrorKind::Internal);
        assert_eq!(keys(scheduler.store()), [""; 0]);
        assert_eq!((scheduler.get_stats().failed, scheduler.get_stats().panicked), (1, 1));
        assert_eq!(scheduler.store().metrics().transactions, 0);
    });
}

#[test]
fn a_batch_that_conflicts_runs_all_its_operations_again() {
    on_stores(&timed(&Clock::manual(), 8), |scheduler| {
        let (mut first, mut second) = (0, 0);
        let mut operations: Vec<Operation<'_>> = vec![
            Box::new(|txn| {
                first += 1;
                number(txn, "a")
            }),
            Box::new(|txn| {
                second += 1;
                if second == 1 {
                    get_in_the_way(scheduler.store(), "a");
                }
                add(txn, "b", 1).map(|()| 0)
            }),
        ];
        assert_eq!(scheduler.execute_batch(&mut operations).unwrap(), [100, 0]);
        drop(operations);
        assert_eq!((first, second), (2, 2));
        assert_eq!(latest(scheduler.store(), "b"), 1);
        assert_eq!((scheduler.get_stats().conflicts, scheduler.get_stats().retries), (1, 1));
    });
}

#[test]
fn an_empty_batch_of_operations_succeeds() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        assert_eq!(scheduler.execute_batch::<u64, Operation<'_>>(&mut []).unwrap(), [0; 0]);
    });
}

#[test]
fn readers_see_all_of_a_batch_or_nothing_of_it() {
    on_stores(&ParallelConfig::default(), |scheduler| {
        let is_over = AtomicBool::new(false);
        let transfer = |from: &'static str, to: &'static str| {
            move |txn: &mut Txn| {
                let amount = number(txn, from)?.min(3);
                let rest = number(txn, from)? - amount;
                set(txn, from, rest)?;
                add(txn, to, amount)
            }
        };
        scheduler.execute_with_retry(|txn| set(txn, "a", 1_000)).unwrap();
        thread::scope(|scope| {
            let writers = [("a", "b"), ("b", "c"), ("c", "a")].map(|(from, to)| {
                scope.spawn(move || {
                    for _ in 0..100 {
                        let mut both = [transfer(from, to), transfer(from, to)];
                        scheduler.execute_batch(&mut both).unwrap();
                    }
                })
            });
            let reader = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let sum = scheduler.execute_with_snapshot(|txn| {
                        Ok(number(txn, "a")? + number(txn, "b")? + number(txn, "c")?)
                    });
                    assert_eq!(sum.unwrap(), 1_000);
                }
            });
            let written: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            is_over.store(true, Ordering::Relaxed);
            reader.join().unwrap();
            assert!(written.iter().all(|one| one.is_ok()));
        });
    });
}
