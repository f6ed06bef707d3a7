//! Tasks with priorities, on several threads that take work from one another.
//!
//! ```text
//!   submit ──> one queue a priority ──> a thread's own queue ──> run
//!              (waiting)                (up to 32 at once)        ^
//!                                        └── stolen by a thread that has nothing as urgent
//! ```
//! A thread that has nothing of its own takes several tasks of the highest priority at once, so that threads seldom meet at one queue; whoever has
//! nothing as urgent takes from those again. All that a thread has of its own is of one priority, which it lets the others see.
//!
//! Source: Blumofe and Leiserson, "Scheduling Multithreaded Computations by Work Stealing" (1999); the queues are Chase and Lev's (2005).

use super::idle::Idle;
use super::stats::{ExecutionStats, Tally};
use super::task::Task;
use super::waiting::Waiting;
use crossbeam_deque::{Steal, Stealer, Worker};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Tasks that may wait and run at a time.
pub const TASKS_MAX: usize = 1 << 20;
/// Threads of a [`WorkStealingScheduler`].
pub const WORKER_THREADS_MAX: usize = 256;

/// Runs tasks on several threads, the more urgent ones first.
///
/// # Behavior
/// - On one thread the order is exact: by priority, and among equals by submission, also of tasks that are submitted by tasks.
/// - On several threads a thread that becomes free takes a task of the highest priority that it finds waiting, whoever else has it in its queue. What runs is
///   not interrupted, and there is no order between what different threads take at one moment.
/// - A task of low priority waits as long as there are more urgent ones; nothing makes it more urgent with time.
/// - An error or a panic of a task ends that task alone and is counted; who wants to know more keeps it in the task.
/// - A thread that has nothing to do sleeps.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use supervm_engine::scheduler::{Task, WorkStealingScheduler};
/// let sum = AtomicU64::new(0);
/// let mut scheduler = WorkStealingScheduler::new(4);
/// for number in 1..=100 {
///     scheduler.submit(Task::new(number as u8, |scheduler| {
///         sum.fetch_add(1, Ordering::Relaxed);
///         scheduler.submit(Task::new(255, |_| {
///             sum.fetch_add(1, Ordering::Relaxed);
///             Ok(())
///         }))
///     }))?;
/// }
/// assert_eq!(scheduler.execute_all().successful, 200);
/// drop(scheduler);
/// assert_eq!(sum.into_inner(), 200);
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
pub struct WorkStealingScheduler<'env> {
    threads: usize,
    waiting: Waiting<'env>,
    /// Tasks that wait or run. A task that runs keeps it above 0 while it submits others, so 0 means that all is done.
    unfinished: AtomicUsize,
    idle: Idle,
    stats: ExecutionStats,
}

impl<'env> WorkStealingScheduler<'env> {
    /// A scheduler on so many threads, 1 to [`WORKER_THREADS_MAX`]; what is outside of that is taken for the nearer end. The thread that calls
    /// [`execute_all`](Self::execute_all) is one of them; the others live as long as that call.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.clamp(1, WORKER_THREADS_MAX),
            waiting: Waiting::new(),
            unfinished: AtomicUsize::new(0),
            idle: Idle::new(),
            stats: ExecutionStats::default(),
        }
    }

    /// Threads that tasks run on.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Tasks that wait to be run, or run.
    pub fn unfinished(&self) -> usize {
        self.unfinished.load(Ordering::SeqCst)
    }

    /// Puts a task where a free thread finds it. May be called from any thread, and by tasks.
    ///
    /// # Errors
    /// `Busy` when [`TASKS_MAX`] tasks wait or run; the task is dropped.
    pub fn submit(&self, task: Task<'env>) -> Result<()> {
        if self.unfinished.fetch_add(1, Ordering::SeqCst) >= TASKS_MAX {
            self.unfinished.fetch_sub(1, Ordering::SeqCst);
            let refused = format!("{TASKS_MAX} tasks wait or run, which is the most; submit later");
            return Err(Error::new(ErrorKind::Busy, "submit task", refused));
        }
        self.waiting.push(task);
        self.idle.wake_one();
        Ok(())
    }

    /// Runs all tasks and those that they submit, and returns when none is left; what became of these.
    ///
    /// When a thread cannot be started, those that could be do its work.
    pub fn execute_all(&mut self) -> ExecutionStats {
        let queues: Vec<_> = (0..self.threads).map(|_| Worker::new_fifo()).collect();
        let tally = Tally::default();
        let desks =
            queues.iter().map(|queue| Desk { tasks: queue.stealer(), priority: AtomicU8::new(0) });
        let crew = Crew { scheduler: self, desks: desks.collect(), tally: &tally };
        if crew.scheduler.unfinished() > 0 {
            crew.work(queues);
        }
        let stats = tally.stats();
        self.stats.add(&stats);
        stats
    }

    /// What became of all tasks that have run.
    pub fn get_stats(&self) -> ExecutionStats {
        self.stats
    }
}

impl fmt::Debug for WorkStealingScheduler<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkStealingScheduler")
            .field("threads", &self.threads)
            .field("unfinished", &self.unfinished())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// The threads of one [`WorkStealingScheduler::execute_all`].
struct Crew<'run, 'env> {
    scheduler: &'run WorkStealingScheduler<'env>,
    desks: Box<[Desk<'env>]>,
    tally: &'run Tally,
}

/// What a thread lets the others see of its queue.
struct Desk<'env> {
    tasks: Stealer<Task<'env>>,
    /// That of all tasks in it.
    priority: AtomicU8,
}

/// Where the most urgent task lies.
#[derive(Clone, Copy)]
enum Source {
    Own,
    Waiting,
    Desk(usize),
}

impl<'env> Crew<'_, 'env> {
    fn work(&self, queues: Vec<Worker<Task<'env>>>) {
        thread::scope(|scope| {
            let mut queues = queues.into_iter().enumerate();
            let own = queues.next();
            for (number, queue) in queues {
                let name = format!("supervm-worker-{number}");
                let work = move || self.work_at(number, &queue);
                if let Err(error) = thread::Builder::new().name(name).spawn_scoped(scope, work) {
                    tracing::error!(%error, number, "no thread for tasks");
                }
            }
            if let Some((number, queue)) = own {
                self.work_at(number, &queue);
            }
        });
    }

    /// Runs tasks until all are done.
    fn work_at(&self, number: usize, own: &Worker<Task<'env>>) {
        let Self { scheduler, tally, .. } = self;
        loop {
            let Some(task) = self.take(number, own) else {
                scheduler.idle.sleep_until(|| scheduler.unfinished() == 0 || self.anything_waits());
                if scheduler.unfinished() == 0 {
                    return;
                }
                continue;
            };
            // Whoever looked while tasks were on their way from one queue to another may have seen none.
            if scheduler.idle.anyone_sleeps() && self.anything_waits() {
                scheduler.idle.wake_one();
            }
            let priority = task.priority();
            let outcome = tally.ended(tally.attempt("run task", || task.run(scheduler)));
            if let Err(error) = outcome {
                tracing::debug!(priority, %error, "a task failed");
            }
            if scheduler.unfinished.fetch_sub(1, Ordering::SeqCst) == 1 {
                scheduler.idle.wake_all();
            }
        }
    }

    /// Takes a task of the highest priority; `None` when none was found.
    fn take(&self, number: usize, own: &Worker<Task<'env>>) -> Option<Task<'env>> {
        let waiting = &self.scheduler.waiting;
        loop {
            match self.most_urgent(number)? {
                (_, Source::Own) => {
                    if let Some(task) = own.pop() {
                        return Some(task);
                    }
                }
                (priority, Source::Waiting) => {
                    let more = own.is_empty().then(|| {
                        // IMPORTANT: before the tasks are there for others to see.
                        self.desks[number].priority.store(priority, Ordering::SeqCst);
                        own
                    });
                    if let Steal::Success(task) = waiting.take(priority, more) {
                        return Some(task);
                    }
                }
                (_, Source::Desk(other)) => {
                    if let Steal::Success(task) = self.desks[other].tasks.steal() {
                        self.tally.stolen.add(1);
                        return Some(task);
                    }
                }
            }
        }
    }

    /// Of equals its own come first, which are the oldest, and another thread's last, which is on its way to them.
    fn most_urgent(&self, number: usize) -> Option<(u8, Source)> {
        let own = self.desks[number].urgency().map(|priority| (priority, Source::Own));
        let waiting = self.scheduler.waiting.highest().map(|priority| (priority, Source::Waiting));
        // From the next one on, so that not all go to the first.
        let others = (number + 1..self.desks.len()).chain(0..number);
        let others = others.filter_map(|other| {
            self.desks[other].urgency().map(|priority| (priority, Source::Desk(other)))
        });
        let found = own.into_iter().chain(waiting).chain(others);
        found.reduce(|best, next| if next.0 > best.0 { next } else { best })
    }

    fn anything_waits(&self) -> bool {
        self.scheduler.waiting.highest().is_some()
            || self.desks.iter().any(|desk| !desk.tasks.is_empty())
    }
}

impl Desk<'_> {
    fn urgency(&self) -> Option<u8> {
        (!self.tasks.is_empty()).then(|| self.priority.load(Ordering::SeqCst))
    }
}
