//! The order in which tasks run.

use std::cmp::Reverse;
use std::sync::{Barrier, Mutex, mpsc};
use supervm_engine::scheduler::{Task, WorkStealingScheduler};
use supervm_plugin_sdk::Result;

/// Numbers from 0 to 255 in no order.
fn scattered(count: usize) -> Vec<u8> {
    let step = |seed: &u64| Some(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    std::iter::successors(Some(7), step).map(|seed| (seed >> 56) as u8).take(count).collect()
}

/// A task that notes `entry` when it runs.
fn noting<'env, T: Send + 'env>(priority: u8, entry: T, ran: &'env Mutex<Vec<T>>) -> Task<'env> {
    Task::new(priority, move |_| {
        ran.lock().unwrap().push(entry);
        Ok(())
    })
}

#[test]
fn on_one_thread_tasks_run_by_priority_and_equals_in_the_order_of_submission() {
    let priorities = scattered(2_000);
    let ran = Mutex::new(Vec::new());
    let mut scheduler = WorkStealingScheduler::new(1);
    for (number, &priority) in priorities.iter().enumerate() {
        scheduler.submit(noting(priority, number, &ran)).unwrap();
    }
    scheduler.execute_all();
    drop(scheduler);
    let mut expected: Vec<_> = (0..priorities.len()).collect();
    expected.sort_by_key(|&number| Reverse(priorities[number]));
    assert_eq!(ran.into_inner().unwrap(), expected);
}

#[test]
fn on_one_thread_a_task_that_a_task_submits_takes_its_place_among_those_that_wait() {
    let ran = Mutex::new(Vec::new());
    let mut scheduler = WorkStealingScheduler::new(1);
    let parent = |scheduler: &_| submit_children(scheduler, &ran);
    scheduler.submit(Task::new(50, parent)).unwrap();
    scheduler.submit(noting(50, "equal", &ran)).unwrap();
    scheduler.submit(noting(20, "less urgent", &ran)).unwrap();
    scheduler.submit(noting(0, "least urgent", &ran)).unwrap();
    scheduler.execute_all();
    drop(scheduler);
    let expected = [
        "parent",
        "urgent child",
        "equal",
        "equal child",
        "less urgent",
        "less urgent child",
        "least urgent",
    ];
    assert_eq!(ran.into_inner().unwrap(), expected);
}

fn submit_children<'env>(
    scheduler: &WorkStealingScheduler<'env>,
    ran: &'env Mutex<Vec<&'static str>>,
) -> Result<()> {
    ran.lock().unwrap().push("parent");
    scheduler.submit(noting(10, "less urgent child", ran))?;
    scheduler.submit(noting(50, "equal child", ran))?;
    scheduler.submit(noting(255, "urgent child", ran))
}

#[test]
fn what_a_busy_thread_has_queued_is_taken_by_another_in_the_order_of_priority() {
    const EACH: usize = 20;
    let (ran, meet) = (Mutex::new(Vec::new()), Barrier::new(2));
    let (ran, meet) = (&ran, &meet);
    let (started, has_started) = mpsc::channel();
    let mut scheduler = WorkStealingScheduler::new(2);
    // One thread is held until all is submitted.
    let held = Task::new(255, move |_| {
        meet.wait();
        meet.wait();
        Ok(())
    });
    // The other submits, and goes on when the first has taken the blocker, and others after it into its own queue.
    let submitting = Task::new(255, move |scheduler| {
        meet.wait();
        let (done, is_done) = mpsc::channel();
        let blocker = Task::new(200, move |_| {
            started.send(()).unwrap();
            (0..2 * EACH).for_each(|_| is_done.recv().unwrap());
            Ok(())
        });
        scheduler.submit(blocker)?;
        for priority in [100, 200] {
            for _ in 0..EACH {
                let done = done.clone();
                let note = Task::new(priority, move |_| {
                    ran.lock().unwrap().push(priority);
                    done.send(()).unwrap();
                    Ok(())
                });
                scheduler.submit(note)?;
            }
        }
        meet.wait();
        has_started.recv().unwrap();
        Ok(())
    });
    scheduler.submit(held).unwrap();
    scheduler.submit(submitting).unwrap();
    let stats = scheduler.execute_all();
    assert_eq!(stats.successful, 2 * EACH as u64 + 3);
    assert!(stats.stolen > 0, "what lay behind the blocker");
    assert_eq!(*ran.lock().unwrap(), [[200; EACH], [100; EACH]].concat());
}
