//! Running things at the same time: transactions with retries, tasks with priorities, and what is known of their conflicts.
//!
//! ```text
//!   ParallelScheduler        closures as transactions of an MvccStore, tried again after conflicts; batches
//!   WorkStealingScheduler    tasks on several threads, the more urgent ones first
//!   ConflictDetector         reads and writes that are known beforehand -> pairs that conflict
//!   DependencyGraph          conflicts -> levels that may run in parallel
//!   StateManager             a transaction with nested savepoints
//! ```
//! All of them rest on the transactions of [`mvcc`](crate::mvcc), which decide alone whether an outcome is right. What a detector says of
//! conflicts is for planning: it saves tries that would be refused.
//!
//! # Examples
//! Transfers whose accounts are known, level by level; no try is in vain.
//! ```
//! use supervm_engine::mvcc::MvccStore;
//! use supervm_engine::scheduler::{
//!     ConflictDetector, DependencyGraph, ParallelScheduler, ReadWriteSet, Task, WorkStealingScheduler,
//! };
//!
//! let transfers = [("alice", "bob"), ("carol", "dave"), ("bob", "carol")];
//! let scheduler = ParallelScheduler::new(MvccStore::new());
//! scheduler.batch_write(&[("alice", [9]), ("bob", [9]), ("carol", [9]), ("dave", [9])])?;
//!
//! let touched = transfers.map(|(from, to)| ReadWriteSet::new().writing(from).writing(to));
//! let graph = DependencyGraph::new(&ConflictDetector::new(&touched));
//! let mut tasks = WorkStealingScheduler::new(2);
//! for level in graph.levels() {
//!     for &number in level {
//!         let (from, to) = transfers[number];
//!         let scheduler = &scheduler;
//!         tasks.submit(Task::new(100, move |_| {
//!             scheduler.execute_with_retry(|txn| {
//!                 let [from_has, to_has] = [from, to].map(|name| txn.read(name.as_bytes()));
//!                 let balance = |value: Option<Vec<u8>>| value.map_or(0, |value| value[0]);
//!                 txn.write(from.as_bytes(), &[balance(from_has?) - 1])?;
//!                 txn.write(to.as_bytes(), &[balance(to_has?) + 1])
//!             })
//!         }))?;
//!     }
//!     tasks.execute_all();
//! }
//! assert_eq!((tasks.get_stats().successful, scheduler.get_stats().conflicts), (3, 0));
//! # Ok::<(), supervm_plugin_sdk::Error>(())
//! ```

mod stats;
mod retry;
mod events;
mod parallel;
mod batch;
mod access;
mod conflicts;
mod graph;
mod task;
mod waiting;
mod idle;
mod work_stealing;
mod state_manager;

pub use access::ReadWriteSet;
pub use batch::KEYS_PER_THREAD_MIN;
pub use conflicts::{Conflict, ConflictDetector, ConflictKind};
pub use events::{KEPT_EVENT_BYTES_MAX, KEPT_EVENTS_MAX};
pub use graph::DependencyGraph;
pub use parallel::{ParallelConfig, ParallelScheduler};
pub use retry::RetryPolicy;
pub use state_manager::{SAVEPOINTS_MAX, StateManager};
pub use stats::ExecutionStats;
pub use task::Task;
pub use work_stealing::{TASKS_MAX, WORKER_THREADS_MAX, WorkStealingScheduler};
