//! Events that a scheduler keeps.

use crate::support::{get_in_the_way, kind, number, set, timed};
use std::thread;
use supervm_engine::mvcc::{Clock, MvccStore};
use supervm_engine::scheduler::{KEPT_EVENT_BYTES_MAX, KEPT_EVENTS_MAX, ParallelScheduler};
use supervm_engine::state::Event;
use supervm_plugin_sdk::ErrorKind;

fn scheduler() -> ParallelScheduler {
    ParallelScheduler::new(MvccStore::new())
}

fn event(contract: u8, data: &[u8]) -> Event {
    Event { contract: [contract; 20], data: data.to_vec() }
}

#[test]
fn events_are_taken_once_in_the_order_in_which_they_were_emitted() {
    let scheduler = scheduler();
    scheduler.batch_emit_events([event(1, b"a"), event(2, b"b")]).unwrap();
    scheduler.batch_emit_events([]).unwrap();
    scheduler.batch_emit_events(vec![event(1, b"c")]).unwrap();
    assert_eq!(scheduler.take_events(), [event(1, b"a"), event(2, b"b"), event(1, b"c")]);
    assert_eq!(scheduler.take_events(), []);
    assert_eq!(scheduler.get_stats().successful, 3);
}

#[test]
fn events_of_a_batch_stay_together_whoever_emits_meanwhile() {
    const BATCHES: u8 = 100;
    const LENGTH: u8 = 10;
    let scheduler = scheduler();
    thread::scope(|scope| {
        for contract in 0..4 {
            let scheduler = &scheduler;
            scope.spawn(move || {
                for batch in 0..BATCHES {
                    let events = (0..LENGTH).map(|number| event(contract, &[batch, number]));
                    scheduler.batch_emit_events(events).unwrap();
                }
            });
        }
    });
    let events = scheduler.take_events();
    assert_eq!(events.len(), 4 * usize::from(BATCHES) * usize::from(LENGTH));
    let mut next = [0; 4];
    for batch in events.chunks(LENGTH.into()) {
        let contract = batch[0].contract[0];
        let expected =
            (0..LENGTH).map(|number| event(contract, &[next[usize::from(contract)], number]));
        assert_eq!(batch, expected.collect::<Vec<_>>());
        next[usize::from(contract)] += 1;
    }
}

#[test]
fn events_that_do_not_fit_are_refused_as_a_batch_until_others_are_taken() {
    let scheduler = scheduler();
    scheduler.batch_emit_events(vec![event(1, b""); KEPT_EVENTS_MAX - 1]).unwrap();
    let two = || [event(2, b""), event(2, b"")];
    assert_eq!(kind(scheduler.batch_emit_events(two())), ErrorKind::Busy);
    scheduler.batch_emit_events([event(3, b"")]).unwrap();
    assert_eq!(kind(scheduler.batch_emit_events([event(4, b"")])), ErrorKind::Busy);
    let kept = scheduler.take_events();
    assert_eq!(kept.len(), KEPT_EVENTS_MAX);
    assert_eq!(kept.last(), Some(&event(3, b"")));
    scheduler.batch_emit_events(two()).unwrap();
    assert_eq!(scheduler.get_stats().failed, 2);
}

#[test]
fn the_bytes_of_events_are_bounded_too() {
    let scheduler = scheduler();
    let half = vec![0; KEPT_EVENT_BYTES_MAX / 2];
    scheduler.batch_emit_events([event(1, &half)]).unwrap();
    assert_eq!(
        kind(scheduler.batch_emit_events([event(1, &half), event(1, b"1")])),
        ErrorKind::Busy
    );
    scheduler.batch_emit_events([event(1, &half)]).unwrap();
    assert_eq!(kind(scheduler.batch_emit_events([event(1, b"1")])), ErrorKind::Busy);
    assert_eq!(scheduler.take_events().len(), 2);
    scheduler.batch_emit_events([event(1, &half)]).unwrap();
}

#[test]
fn events_that_an_execution_returns_are_those_of_the_try_that_succeeded() {
    let config = timed(&Clock::manual(), 8);
    let scheduler = ParallelScheduler::new_with_config(MvccStore::new(), config);
    let mut tries = 0;
    let events = scheduler.execute_with_retry(|txn| {
        tries += 1;
        let seen = number(txn, "a")?;
        if tries == 1 {
            get_in_the_way(scheduler.store(), "a");
        }
        set(txn, "a", seen + 1)?;
        Ok([event(1, &seen.to_be_bytes())])
    });
    scheduler.batch_emit_events(events.unwrap()).unwrap();
    assert_eq!((tries, scheduler.take_events()), (2, vec![event(1, &100_u64.to_be_bytes())]));
}
